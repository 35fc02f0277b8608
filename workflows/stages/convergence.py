"""Cutoff and k-points that are enough for the melt, found on superheated snapshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Flow, JobConfig, Maker, Response, job

from nnp.frames import Frames
from nnp.units import KBAR
from workflows.documents.convergence import ConvergenceDocument, ConvergencePoint
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.base import Engine
from workflows.jobs.idempotency import replace_by
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray
    from pymatgen.core import Structure

#: Points that a point is compared with.
NEXT_POINTS = 2
#: Cutoff of the ladder, from 0, that is expected to be enough: the paper's 300 eV.
EXPECTED_RUNG = 2


@dataclass(frozen=True)
class Change:
    """
    How much two points differ.

    Attributes
    ----------
    energy : float
        meV/atom
    pressure : float
        kbar
    force : float
        eV/Å, the largest change of the force on an atom.
    """

    energy: float
    pressure: float
    force: float


@dataclass
class ConvergenceMaker(Maker):
    """
    Raise the cutoff, then the k-mesh, until nothing that matters changes.

    A short run of superheated atoms at a preset cutoff and Gamma gives snapshots. A point is
    converged if energy, pressure and forces of every snapshot differ by less than the limits from
    those of each of the next two points; the first such point is taken. Points are computed as
    they are needed, all that are surely needed side by side.

    Parameters
    ----------
    temperature, duration : float
        Of the short run, in K and ps.
    n_snapshots : int
        Snapshots from its second half.
    preset_cutoff : float or None
        eV, of the short run; none: the largest cutoff that the engine's potentials recommend.
    lowest_cutoff, cutoff_step, highest_cutoff : float
        eV
    largest_mesh : int
        Divisions of the reciprocal cell in each direction; from 1, Gamma, on.
    max_energy, max_pressure, max_force : float
        Limits in meV/atom, kbar and eV/Å.
    """

    name: str = "convergence"
    temperature: float = field(default=4000.0, metadata={"range": (1.0, 20_000.0), "unit": "K"})
    duration: float = field(
        default=0.5,
        metadata={"range": (0.001, 1e5), "unit": "ps", "help": "of the run for snapshots"},
    )
    n_snapshots: int = field(default=3, metadata={"range": (1, 100)})
    preset_cutoff: float | None = field(
        default=None,
        metadata={"range": (50.0, 5000.0), "unit": "eV", "help": "none: largest recommended one"},
    )
    lowest_cutoff: float = field(default=200.0, metadata={"range": (50.0, 5000.0), "unit": "eV"})
    cutoff_step: float = field(default=50.0, metadata={"range": (1.0, 1000.0), "unit": "eV"})
    highest_cutoff: float = field(default=700.0, metadata={"range": (50.0, 5000.0), "unit": "eV"})
    largest_mesh: int = field(
        default=4, metadata={"range": (1, 20), "help": "divisions in each direction"}
    )
    max_energy: float = field(default=20.0, metadata={"range": (0.001, 1000.0), "unit": "meV/atom"})
    max_pressure: float = field(default=10.0, metadata={"range": (0.001, 1000.0), "unit": "kbar"})
    max_force: float = field(default=0.3, metadata={"range": (1e-4, 10.0), "unit": "eV/Å"})

    def validate(self) -> None:
        """Raise a ValueError if numbers do not fit together."""
        if self.highest_cutoff < self.lowest_cutoff:
            raise ValueError(
                f"highest_cutoff {self.highest_cutoff:g} eV is below lowest_cutoff "
                f"{self.lowest_cutoff:g} eV"
            )

    def make(
        self, structure: Structure | OutputReference, dynamics: DynamicsMaker, engine: Engine
    ) -> Flow:
        """
        Find cutoff and k-points.

        Parameters
        ----------
        structure : Structure or OutputReference
            Packed atoms.
        dynamics : DynamicsMaker
            Makes the run.
        engine : Engine
            Reference engine; it has plane waves.

        Returns
        -------
        Flow
            Its output is a :class:`ConvergenceDocument`.
        """
        preset = engine
        if self.preset_cutoff is not None:
            preset = engine.with_plane_waves(PlaneWaves(self.preset_cutoff))
        run = replace(dynamics, engine=preset).make(
            structure, self.temperature, self.duration, stage="convergence", key="snapshots"
        )
        first = tag(
            self.start(run.output["segments"], engine), STAGES["convergence"], name="convergence"
        )
        return Flow([run, first], output=first.output, name="convergence")

    def cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        """
        Expected cost, if the cutoff of :data:`EXPECTED_RUNG` and Gamma are enough.

        The first point and its two next ones are computed side by side, further cutoffs one by
        one, and the two meshes beyond Gamma together.
        """
        cutoffs = min(len(self._cutoffs()), EXPECTED_RUNG + NEXT_POINTS + 1)
        meshes = min(self.largest_mesh, NEXT_POINTS + 1) - 1
        rounds = 1 + max(0, cutoffs - NEXT_POINTS - 1) + (meshes > 0)
        evaluations = (cutoffs + meshes) * self.n_snapshots
        hours = evaluations * context.step_hours(context.reference, context.n_atoms)
        return [
            replace(dynamics, engine=context.reference).cost(
                context, "convergence", 1, self.duration
            ),
            Cost("convergence", REFERENCE_QUEUE, cutoffs + meshes, evaluations, hours),
            repeated_decisions("convergence", rounds),
        ]

    @job
    def start(self, segments: list[SegmentDocument], engine: Engine) -> Response:
        """Take snapshots and compute the first points."""
        snapshots = self.snapshots(Frames.concatenate([segment.frames for segment in segments]))
        return self._more(engine, snapshots, [], {})

    def snapshots(self, frames: Frames) -> Frames:
        """Frames from the second half of a run, equally spaced, its last one among them."""
        if not len(frames):
            raise ValueError(
                "the run for snapshots kept no frame; raise convergence.duration or lower "
                "dynamics.sample_interval"
            )
        chosen = np.linspace(len(frames) // 2, len(frames) - 1, self.n_snapshots)
        return frames[np.unique(chosen.round().astype(int))]

    @job(config=JobConfig(expose_store=True))
    def advance(
        self,
        engine: Engine,
        snapshots: Frames,
        asked: list[PlaneWaves],
        runs: list[str],
        after: list[Frames],  # noqa: ARG002 (waits for them, and fetches all by their jobs)
    ) -> Response[ConvergenceDocument]:
        """
        Look at the points computed so far; then conclude, or compute more.

        Parameters
        ----------
        engine : Engine
            Reference engine.
        snapshots : Frames
            Configurations.
        asked, runs : list of PlaneWaves, list of str
            Cutoffs and meshes, and the jobs that computed them.
        after : list of Frames
            What has just been computed.
        """
        known = {point: output_of(run) for point, run in zip(asked, runs, strict=True)}
        if self.next_points(known):
            return self._more(engine, snapshots, runs, known)
        document = self.conclude(known)
        report_progress("convergence", 1, 1, cutoff_eV=document.plane_waves.cutoff)
        return Response(output=document)

    def _more(
        self, engine: Engine, snapshots: Frames, runs: list[str], known: dict[PlaneWaves, Frames]
    ) -> Response:
        asked = self.next_points(known)
        new = []
        for plane_waves in asked:
            run = engine.with_plane_waves(plane_waves).static().make(snapshots, "convergence")
            run.name = f"convergence {plane_waves.cutoff:g} eV {_spell(plane_waves.mesh)}"
            new.append(tag(run, STAGES["convergence"], REFERENCE_QUEUE))
        uuids = [*runs, *(run.uuid for run in new)]
        following = self.advance(
            engine, snapshots, [*known, *asked], uuids, [run.output for run in new]
        )
        tag(following, STAGES["convergence"], name="convergence")
        return replace_by(new, following)

    def next_points(self, known: Mapping[PlaneWaves, Frames]) -> list[PlaneWaves]:
        """
        Points to compute next; none if cutoff and mesh have converged.

        Parameters
        ----------
        known : mapping
            Snapshots as computed so far.
        """
        ladder = self._cutoffs()
        rung, missing = self._climb(ladder, known)
        return missing or self._climb(self._meshes(ladder[rung].cutoff), known)[1]

    def conclude(self, known: Mapping[PlaneWaves, Frames]) -> ConvergenceDocument:
        """Sum up; what did not converge within the points allowed gets a warning."""
        ladder = self._cutoffs()
        cutoff, _ = self._climb(ladder, known)
        meshes = self._meshes(ladder[cutoff].cutoff)
        mesh, _ = self._climb(meshes, known)
        failed = []
        if cutoff >= len(ladder) - NEXT_POINTS:
            failed.append("the cutoff; raise convergence.highest_cutoff")
        if mesh >= len(meshes) - NEXT_POINTS:
            failed.append("the k-points; raise convergence.largest_mesh")
        return ConvergenceDocument(
            plane_waves=meshes[mesh],
            points=[make_point(point, frames) for point, frames in known.items()],
            changes=[
                describe_change(row[i], row[k], change(known[row[i]], known[row[k]]))
                for row in (ladder, meshes)
                for i in range(len(row))
                for k in range(i + 1, min(i + 1 + NEXT_POINTS, len(row)))
                if row[i] in known and row[k] in known
            ],
            warning="not converged: " + ", and ".join(failed) if failed else None,
        )

    def _cutoffs(self) -> list[PlaneWaves]:
        n = int((self.highest_cutoff - self.lowest_cutoff) / self.cutoff_step + 1e-9)
        return [PlaneWaves(self.lowest_cutoff + i * self.cutoff_step) for i in range(max(n, 0) + 1)]

    def _meshes(self, cutoff: float) -> list[PlaneWaves]:
        return [PlaneWaves(cutoff, (n, n, n)) for n in range(1, self.largest_mesh + 1)]

    def _climb(
        self, ladder: list[PlaneWaves], known: Mapping[PlaneWaves, Frames]
    ) -> tuple[int, list[PlaneWaves]]:
        """Rung to take, and the points that must be known to say so."""

        def agree(i: int, k: int) -> bool:
            return self.accepts(change(known[ladder[i]], known[ladder[k]]))

        rung, needed = first_converged(len(ladder), lambda i: ladder[i] in known, agree)
        return rung, [ladder[i] for i in needed]

    def accepts(self, changes: Change) -> bool:
        """Whether two points differ by less than the limits."""
        return (
            changes.energy < self.max_energy
            and changes.pressure < self.max_pressure
            and changes.force < self.max_force
        )


def first_converged(
    n_points: int, known: Callable[[int], bool], agree: Callable[[int, int], bool]
) -> tuple[int, list[int]]:
    """
    Find the first of a row of ever better points that agrees with each of the next two.

    Parameters
    ----------
    n_points : int
        Length of the row.
    known : callable
        Whether a point has been computed.
    agree : callable
        Whether two computed points agree.

    Returns
    -------
    tuple of int and list of int
        The point, and those that must be computed before it can be named; with some of them
        missing, the point is where the search stands. If none agrees with two better ones, the
        last of the row.
    """
    for i in range(n_points - NEXT_POINTS):
        window = range(i, i + NEXT_POINTS + 1)
        missing = [k for k in window if not known(k)]
        if missing:
            return i, missing
        if all(agree(i, k) for k in window[1:]):
            return i, []
    last = n_points - 1
    return last, [] if known(last) else [last]


def make_point(plane_waves: PlaneWaves, frames: Frames) -> ConvergencePoint:
    """
    Describe what one cutoff and mesh gave.

    Parameters
    ----------
    plane_waves : PlaneWaves
        Cutoff and mesh.
    frames : Frames
        Snapshots, all of the same atoms; NaN where the calculation failed.
    """
    forces = np.linalg.norm(frames.forces.reshape(len(frames), -1, 3), axis=2)
    return ConvergencePoint(
        plane_waves=plane_waves,
        energies=_energies(frames).tolist(),
        pressures=_pressures(frames).tolist(),
        largest_forces=forces.max(axis=1).tolist(),
    )


def change(point: Frames, other: Frames) -> Change:
    """
    Largest changes between two points over all snapshots.

    Parameters
    ----------
    point, other : Frames
        The same snapshots at two cutoffs or meshes; one that failed in either counts as
        infinitely different.
    """
    changes = [
        np.abs(_energies(point) - _energies(other)).max(),
        np.abs(_pressures(point) - _pressures(other)).max(),
        np.linalg.norm(point.forces - other.forces, axis=1).max(),
    ]
    return Change(*(float(value) for value in np.nan_to_num(changes, nan=np.inf)))


def describe_change(point: PlaneWaves, other: PlaneWaves, changes: Change) -> dict[str, float]:
    """Changes between two points as flat numbers, for the document."""
    return {
        "cutoff": point.cutoff,
        "mesh": float(point.mesh[0]),
        "other_cutoff": other.cutoff,
        "other_mesh": float(other.mesh[0]),
        **asdict(changes),
    }


def _energies(frames: Frames) -> NDArray[np.float64]:
    """meV/atom, shape (n_frames,)."""
    return frames.energies / frames.counts * 1000


def _pressures(frames: Frames) -> NDArray[np.float64]:
    """kbar, shape (n_frames,)."""
    pressures: NDArray[np.float64] = -np.trace(frames.stresses, axis1=1, axis2=2) / 3 * KBAR
    return pressures


def _spell(mesh: Sequence[int]) -> str:
    return "x".join(map(str, mesh))
