"""Output documents: small, flat, and queried by hand. Arrays travel beside them as blobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.potential import Potential
from search.state.changes import StateChanges
from search.state.evolution import Evolution
from workflows.documents.agreement import Agreement
from workflows.documents.base import Blob, Document, StageDocument
from workflows.documents.crystal import CrystalDocument
from workflows.documents.hull import HullDocument
from workflows.documents.phases import Phase, Transition
from workflows.documents.plane_waves import PlaneWaves


class SegmentDocument(Document):
    """One segment of molecular dynamics; it starts where another one ended."""

    structure: Structure = Field(description="last configuration, unwrapped, with velocities")
    engine: str
    temperature: float = Field(description="target at the first step (K)")
    end_temperature: float = Field(description="target at the last step (K)")
    time_step: float = Field(description="as run, smaller than asked for after a retry (fs)")
    duration: float = Field(description="fs")
    sample_interval: float = Field(description="fs")
    volume: float = Field(description="Å³")
    temperatures: list[float] = Field(description="mean of every sample interval (K)")
    pressures: list[float] = Field(
        description="mean of every sample interval, kinetic part included (kbar)"
    )
    energies: list[float] = Field(description="potential energy, interval means (eV/atom)")
    explosions: int = Field(0, description="attempts given up because the dynamics exploded")
    frames_unconverged: int = Field(
        0, description="sampled frames left out for want of electronic convergence"
    )
    stopped: str | None = Field(None, description="why it ended before its time")
    frames: Annotated[Frames, Blob]


class RelaxDocument(CrystalDocument):
    """A relaxation of cell and positions by the reference engine."""

    structure: Structure = Field(description="relaxed, or the start if it failed")
    engine: str
    energy: float | None = Field(None, description="eV/atom")
    max_force: float | None = Field(None, description="eV/Å")
    max_stress: float | None = Field(
        None, description="that the pressure from outside does not balance (kbar)"
    )
    converged: bool = False
    steps: int = 0
    magnetic_moments: list[float] | None = Field(
        None, description="of the atoms (μB); none where the engine has none, or all are zero"
    )
    failure: str | None = Field(None, description="why it has no energy")
    frames: Annotated[Frames | None, Blob] = Field(
        None, description="every fifth configuration on the way"
    )

    @property
    def enthalpy(self) -> float | None:
        """Energy and pressure times volume (eV/atom); none where there is no energy."""
        return None if self.energy is None else self.energy + self.work

    @property
    def moments_by_element(self) -> dict[str, list[float]] | None:
        """Smallest and largest magnitude of the moments of each element (μB)."""
        if self.magnetic_moments is None:
            return None
        found: dict[str, list[float]] = {}
        for site, moment in zip(self.structure, self.magnetic_moments, strict=True):
            found.setdefault(site.specie.symbol, []).append(abs(moment))
        return {symbol: [min(moments), max(moments)] for symbol, moments in found.items()}


class MobilityPoint(Document):
    """What one temperature of the search for the melting temperature showed."""

    temperature: float = Field(description="K")
    liquid: bool
    pressure: float = Field(description="kbar, kinetic part included")
    pressure_error: float = Field(description="block-averaged standard error (kbar)")
    species: dict[str, dict[str, float | bool]] = Field(
        description="by element: diffusivity and its error (Å²/ps), R², liquid; intercept of the "
        "line and displacement at the longest lag (Å²)"
    )
    times: list[float] = Field(description="lags of the displacement curves (ps)")
    displacements: dict[str, list[float]] = Field(description="mean-square displacement (Å²)")


class MeltingTemperatureDocument(StageDocument):
    """Result of the search for the melting temperature."""

    melting_temperature: float = Field(description="lowest temperature of a liquid (K)")
    uncertainty: float = Field(description="half the distance to the next one that froze (K)")
    pressure: float = Field(description="at the melting temperature and the melt's volume (kbar)")
    aimed_at: float | None = Field(
        None, description="pressure of the melt that was aimed at (kbar); none: an earlier version"
    )
    structure: Structure
    points: list[MobilityPoint]
    segments: list[str] = Field(description="jobs of the runs")

    def in_words(self) -> str:
        """Say what is known of it: a value, or that it is not above or below what was tried."""
        tried = [point.temperature for point in self.points if point.species]
        liquid = [point.liquid for point in self.points if point.species]
        at = f"{self.melting_temperature:.0f}"
        if tried and all(liquid) and self.melting_temperature <= min(tried):
            return f"T_m ≤ {at} K"
        if tried and not any(liquid):
            return f"T_m > {at} K"
        return f"T_m = {at} ± {self.uncertainty:.0f} K"

    def summary(self) -> dict[str, Any]:
        """Melting temperature and its uncertainty."""
        return {
            "melting_temperature_K": self.melting_temperature,
            "melting_temperature_uncertainty_K": self.uncertainty,
        }


class PressurePoint(Document):
    """Time-averaged pressure of one volume."""

    volume: float = Field(description="Å³/atom")
    pressure: float = Field(description="kbar, kinetic part included")
    error: float = Field(description="block-averaged standard error (kbar)")


class VolumeDocument(StageDocument):
    """Result of the volume adjustment."""

    volume: float = Field(description="Å³/atom")
    pressure: float = Field(description="kbar")
    pressure_error: float = Field(description="kbar")
    aimed_at: float | None = Field(
        None, description="pressure of the melt that was aimed at (kbar); none: an earlier version"
    )
    structure: Structure
    points: list[PressurePoint]
    segments: list[str] = Field(description="jobs of the runs")

    def summary(self) -> dict[str, Any]:
        """Volume, and the pressure with its error."""
        return {
            "liquid_volume_A3_atom": self.volume,
            "liquid_pressure_kbar": [self.pressure, self.pressure_error],
        }


class ConvergencePoint(Document):
    """What one cutoff and k-mesh gave for the snapshots."""

    plane_waves: Annotated[PlaneWaves, Blob]
    energies: list[float] = Field(description="by snapshot (meV/atom)")
    pressures: list[float] = Field(description="by snapshot (kbar)")
    largest_forces: list[float] = Field(description="by snapshot (eV/Å)")


class ConvergenceDocument(StageDocument):
    """Cutoff and k-points that are enough for the melt."""

    plane_waves: Annotated[PlaneWaves, Blob]
    points: list[ConvergencePoint]
    changes: list[dict[str, float]] = Field(
        description="from each point to the next two: cutoffs (eV) and meshes, energy (meV/atom), "
        "pressure (kbar), force (eV/Å)"
    )


class CheckDocument(StageDocument):
    """Frames of the training set against calculations with more plane waves and k-points."""

    plane_waves: Annotated[PlaneWaves, Blob] = Field(description="of the better calculations")
    n_frames: int
    energy_error: float = Field(description="mean absolute error (meV/atom)")
    energy_error_shifted: float = Field(
        description="the same after the mean difference is taken away (meV/atom)"
    )
    force_error: float = Field(description="mean absolute error of components (eV/Å)")
    stress_error: float = Field(description="mean absolute error of components (kbar)")
    failed: int = Field(0, description="frames that could not be computed")


class SampleDocument(StageDocument):
    """The training set that a melt-quench-anneal trajectory gave."""

    formula: str
    n_frames: int
    n_atoms: int
    frames_by_stage: dict[str, int]
    frames_left_out: int = Field(0, description="not finite, or with atoms on top of each other")
    evaluations: int | None = Field(
        None, description="static runs of the reference engine, if it only labels"
    )
    failures: list[str] = Field(
        default_factory=list, description="frames that the reference engine could not label"
    )
    shortest_distances: dict[str, float] = Field(description="by pair of elements (Å)")
    volume_per_atom: float = Field(description="of the glass (Å³)")
    series: dict[str, list[float]] = Field(
        description="along the trajectory: time (ps), temperature (K), energy (eV/atom), "
        "pressure (kbar)"
    )
    frames: Annotated[Frames, Blob]

    def summary(self) -> dict[str, Any]:
        """Frames by stage, and what their labels took if the reference engine only labels."""
        labels: dict[str, Any] = (
            {}
            if self.evaluations is None
            else {"reference_evaluations": self.evaluations, "failed_labels": self.failures}
        )
        return {"frames": self.frames_by_stage, **labels}


class SelectionDocument(StageDocument):
    """Frames of a fast engine's trajectory, chosen to be labelled."""

    n_pool: int = Field(description="frames to choose from")
    n_chosen: int
    n_scaled: int = Field(description="of them at other volumes than the trajectory's")
    stopped_runs: int = Field(description="segments that ended where the potential knew nothing")
    uncertainty: float | None = Field(
        None, description="of the pool's energies, root mean square (eV/atom)"
    )
    chosen_uncertainty: float | None = Field(None, description="of the chosen frames' (eV/atom)")
    shortest_distances: dict[str, float] = Field(description="of the trajectory, by pair (Å)")
    volume_per_atom: float = Field(description="of its glass (Å³)")
    series: dict[str, list[float]] = Field(description="as in SampleDocument")
    frames: Annotated[Frames, Blob]


class LabelDocument(Document):
    """A batch of frames, labelled by the reference engine."""

    engine: str
    n_labelled: int
    failures: list[str] = Field(description="frames that could not be labelled, and why")
    frames: Annotated[Frames, Blob]


class TrainingDocument(StageDocument):
    """A trained potential and how well it fits."""

    formula: str
    n_training: int
    n_validation: int
    validation_split: str
    converged: bool = Field(description="whether the validation thresholds were reached")
    energy_rmse: float = Field(description="validation (meV/atom)")
    force_rmse: float = Field(description="validation (eV/Å)")
    stress_rmse: float = Field(description="validation (kbar)")
    epochs: int
    history: list[dict[str, float]]
    parity: dict[str, list[float]] = Field(
        description="validation set: reference and predicted energies (eV/atom), and a sample "
        "of force components (eV/Å)"
    )
    potential: Annotated[Potential, Blob]

    def summary(self) -> dict[str, Any]:
        """Errors on the validation set."""
        return {
            "validation_rmse": {
                "energy_meV_atom": self.energy_rmse,
                "force_eV_A": self.force_rmse,
                "stress_kbar": self.stress_rmse,
            }
        }


class LearningCurvePoint(Document):
    """Errors of a potential trained on part of the frames, on the same validation frames."""

    fraction: float = Field(description="of the training frames")
    n_training: int
    energy_rmse: float = Field(description="validation (meV/atom)")
    force_rmse: float = Field(description="validation (eV/Å)")
    stress_rmse: float = Field(description="validation (kbar)")


class LearningCurveDocument(StageDocument):
    """Whether more frames would help: errors against the size of the training set."""

    points: list[LearningCurvePoint] = Field(description="smallest part first")


#: In the place of an engine's name: the energies are those of the trained potential.
POTENTIAL = "potential"
#: In the place of an operator of the search: somebody knew the crystal.
KNOWN = "known"


class SearchCandidate(CrystalDocument):
    """A low-energy crystal structure of the search, relaxed in it."""

    energy: float = Field(description="eV/atom")
    energy_of: str = Field(POTENTIAL, description='whose: "potential", or an engine')
    uncertainty: float | None = Field(
        None, description="error to expect of the energy (eV/atom); none where it is not known"
    )
    formula_units: int = Field(description="Z")
    found_by: str = Field(description="operator that made it")
    found_at: int = Field(description="its number among the structures of its island")
    of_prototype: bool = Field(
        False, description="whether it, or an ancestor, came from a known structure type"
    )
    converged: bool = Field(True, description="under all limits of the search, the tight ones too")
    above_hull: float | None = Field(
        None,
        description="of what the search has found, by the same energies (eV/atom); none where the "
        "composition is one",
    )

    @property
    def enthalpy(self) -> float:
        """Energy and pressure times volume (eV/atom)."""
        return self.energy + self.work


class SearchDocument(StageDocument):
    """What an evolutionary search found, and how."""

    formula: str
    formula_units: list[int]
    generations: int
    n_structures: int
    ended: list[str] = Field(
        default_factory=list,
        description="by island: what it had done enough of, or that it found nothing new",
    )
    n_went_on: int = Field(
        0, description="of them, those relaxed on to the tight limits in the end"
    )
    energies_of: str = Field(POTENTIAL, description='whose: "potential", or an engine')
    pressure: float = Field(0.0, description="from outside (kbar)")
    pressures: list[float] = Field(
        default_factory=list,
        description="all of them (kbar) where searches at several are joined: what is said of the "
        "best is at the lowest then; none: one search",
    )
    best_energy: float = Field(description="of the best one (eV/atom)")
    best_enthalpy: float | None = Field(
        None, description="of the best one (eV/atom); none without a pressure"
    )
    candidates: list[SearchCandidate]
    unknown: list[SearchCandidate] = Field(
        default_factory=list,
        description="beyond what the potential knows, as they were given up; lowest first",
    )
    histories: list[dict[str, list[float]]] = Field(
        description="by island: structures relaxed, and the best energy (eV/atom) by then; the "
        "best enthalpy where there is a pressure; which one, where there are several"
    )
    shares: list[dict[str, float]] = Field(
        description="share of every operator in each generation of the best island"
    )
    discarded: list[tuple[str, int]] = Field(description="structures left out, by reason")
    cpu_seconds: float

    def summary(self) -> dict[str, Any]:
        """What was relaxed and how fast, and what was left out."""
        return {
            **pressures_told(self.pressure, self.pressures),
            "structures_relaxed": self.n_structures,
            "relaxed_on_to_tight_limits": self.n_went_on,
            "ended": "; ".join(dict.fromkeys(self.ended)),
            "structures_per_cpu_second": self.n_structures / self.cpu_seconds,
            "unknown_structures": len(self.unknown),
            "discarded": dict(self.discarded),
        }


class IslandDocument(Document):
    """State of one population between two blocks of generations."""

    generation: int
    n_structures: int
    best_energy: float = Field(description="eV/atom; an enthalpy where there is a pressure")
    finished: bool
    cpu_seconds: float
    relaxation_steps: int = Field(0, description="of all structures, by the reference engine")
    evolution: Annotated[Evolution | None, Blob] = Field(
        None, description="the whole state; none where it is told by changes, or was dropped"
    )
    previous: str | None = Field(None, description="job of the block before; none of the first")
    changes: Annotated[StateChanges | None, Blob] = Field(
        None, description="of the state since the block before"
    )
    changes_since_whole: int = Field(0, description="blocks since the last whole state")
    bytes_since_whole: int = Field(0, description="of their changes")
    bytes_whole: int = Field(0, description="of the last whole state")


class CandidateDocument(CrystalDocument):
    """
    A crystal structure, relaxed by the reference engine and refined to its symmetry.

    ``structure`` and all that is said of it is the refined one in the standard primitive cell;
    ``relaxed`` is what the relaxation left, in the cell of the search.
    """

    formula: str
    chemical_system: str
    formula_units: int = Field(description="Z of the primitive cell")
    conventional_units: int | None = Field(None, description="Z of the conventional cell")
    space_group: str
    space_group_number: int
    symmetry_tolerance: float | None = Field(
        None, description="Å within which the relaxed structure has the space group"
    )
    energy: float | None = Field(description="reference engine (eV/atom)")
    enthalpy: float | None = Field(
        None, description="reference engine (eV/atom); none without a pressure, or an energy"
    )
    fitness: float | None = Field(None, description="what ranks it (eV/atom); none: the energy")
    energy_above_best: float | None = Field(None, description="in fitness (meV/atom)")
    potential_energy: float | None = Field(
        None,
        description="neural network potential, relaxed by it (eV/atom); none if it did not search",
    )
    potential_enthalpy: float | None = Field(
        None, description="the same; none without a pressure, or a potential (eV/atom)"
    )
    single_point: float | None = Field(
        None, description="neural network potential at this geometry (eV/atom)"
    )
    expected_error: float | None = Field(
        None, description="that the potential expects of that energy (eV/atom)"
    )
    magnetic_moments: dict[str, list[float]] | None = Field(
        None, description="by element, smallest and largest magnitude (μB); none: all are zero"
    )
    density: float = Field(description="g/cm³")
    volume: float = Field(description="Å³/atom")
    rank: int | None = Field(None, description="at its pressure")
    motif: int | None = Field(
        None, description="of its local structure: 1 is that of the best, numbered by the ranking"
    )
    converged: bool = False
    max_force: float | None = Field(None, description="eV/Å")
    max_stress: float | None = Field(
        None, description="that the pressure from outside does not balance (kbar)"
    )
    steps: int = 0
    found_by: str = Field("", description="operator that made it")
    found_at: int = Field(0, description="its number among the structures of its island")
    of_prototype: bool = Field(
        False, description="whether it, or an ancestor, came from a known structure type"
    )
    failure: str | None = Field(None, description="why it has no energy")
    engine: str
    job: str = Field("", description="id of the job that relaxed it; its output has the frames")
    refined_by: str = Field(
        "", description="id of the job that evaluated the refined structure; none: as relaxed"
    )
    relaxed_energy: float | None = Field(None, description="as relaxed (eV/atom)")
    relaxed: Structure | None = Field(None, description="as relaxed")
    known: str | None = Field(
        None, description="label of the known phase of a system that it is; none: of none"
    )
    formation_energy: float | None = Field(
        None, description="from the blocks of a system, at a pressure enthalpy (eV/atom)"
    )
    above_hull: float | None = Field(
        None, description="of all crystals of a system at its pressure, known ones too (meV/atom)"
    )
    above_known: float | None = Field(
        None,
        description="of the hull of known phases alone (meV/atom): below zero it is more stable; "
        "none where they cannot make it",
    )
    reaction: str | None = Field(
        None, description="what it becomes in equilibrium; none: it is on the hull"
    )


class PredictionDocument(StageDocument):
    """The ranked crystal structures of a campaign."""

    formula: str
    engine: str
    pressure: float = Field(0.0, description="from outside (kbar); of several the lowest")
    pressures: list[float] = Field(
        default_factory=list, description="all of them (kbar), if there are several"
    )
    candidates: list[CandidateDocument] = Field(
        description="by rank; where there are several pressures, ranked at each by itself"
    )
    phases: list[Phase] = Field(
        default_factory=list, description="followed through several pressures"
    )
    transitions: list[Transition] = Field(
        default_factory=list, description="between the phases of lowest enthalpy"
    )
    known: list[CandidateDocument] = Field(
        default_factory=list, description="phases of a system that the user gave, relaxed alike"
    )
    hulls: list[HullDocument] = Field(
        default_factory=list, description="of a system, one at each pressure"
    )
    failures: list[str] = Field(default_factory=list)
    notes: list[str] = Field(
        default_factory=list, description="what the engine cannot say of this compound"
    )
    provenance: dict[str, Any] = Field(default_factory=dict)
    agreement: Agreement | None = Field(
        None, description="of the potential with the engine at the engine's geometries"
    )
    evaluations: int = Field(0, description="of the engine in this stage")
    n_frames: int = Field(0, description="labelled configurations of these relaxations")
    frames: Annotated[Frames | None, Blob] = Field(
        None, description='the configurations, of the stage "candidate"; none: an earlier ranking'
    )

    def summary(self) -> dict[str, Any]:
        """The ranking without its structures, what failed, and how good the potential was."""
        left_out = {"relaxed", "structure", "version"}
        return {
            **pressures_told(self.pressure, self.pressures),
            "candidates": [candidate.model_dump(exclude=left_out) for candidate in self.candidates],
            "failures": self.failures,
            "notes": self.notes,
            "relaxation_evaluations": self.evaluations,
            "relaxation_frames": self.n_frames,
            "agreement": None if self.agreement is None else self.agreement.figures(),
            **self._of_phases(),
            **self._of_system(left_out),
        }

    def hull_at(self, pressure: float) -> HullDocument | None:
        """Hull of a system at one of its pressures (kbar); none of a formula."""
        return next((hull for hull in self.hulls if hull.pressure == pressure), None)

    def by_pressure(self) -> list[PredictionDocument]:
        """Return the ranking at each pressure, as if it were that of a campaign of its own."""
        if not self.pressures:
            return [self]
        return [
            self.model_copy(
                update={
                    "pressure": pressure,
                    "pressures": [],
                    "candidates": [one for one in self.candidates if one.pressure == pressure],
                    "known": [one for one in self.known if one.pressure == pressure],
                    "hulls": [one for one in self.hulls if one.pressure == pressure],
                }
            )
            for pressure in self.pressures
        ]

    def _of_system(self, left_out: set[str]) -> dict[str, Any]:
        """Hulls and known phases as JSON types, of a system."""
        if not self.hulls:
            return {}
        return {
            "hulls": [hull.model_dump(exclude={"version"}) for hull in self.hulls],
            "known_phases": [one.model_dump(exclude=left_out) for one in self.known],
        }

    def _of_phases(self) -> dict[str, Any]:
        """Phases and transitions as JSON types, where there are several pressures."""
        if not self.pressures:
            return {}
        return {
            "phases": [
                {
                    "phase": phase.number,
                    "points": [point.model_dump(exclude={"version"}) for point in phase.points],
                }
                for phase in self.phases
            ],
            "transitions": [one.figures() for one in self.transitions],
        }


def pressures_told(pressure: float, pressures: Sequence[float]) -> dict[str, Any]:
    """Pressure of a summary, or all of them; nothing where there is none."""
    if pressures:
        return {"pressures_kbar": list(pressures)}
    return {"pressure_kbar": pressure} if pressure else {}
