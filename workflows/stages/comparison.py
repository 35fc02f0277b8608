"""What a potential says of crystals that the reference engine has relaxed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnp.analysis.coverage import Coverage, CoverageReport
from nnp.analysis.ranking import WINDOWS, RankingErrors, ranking_errors
from nnp.evaluation import predict
from nnp.evaluator import Predictions
from nnp.frames import Frames
from nnp.potential import Potential
from search.relax.pressure import work_of
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.state.fingerprint import distances, fingerprint
from search.state.similarity import REFERENCE_ENERGY_TOLERANCE, TIGHTLY_RELAXED, match
from search.symmetry import find_space_group
from workflows.conversion import to_structure
from workflows.documents.judge import EarlierPotential, JudgePoint

KNOWN, RANDOM, SEARCH = "known", "random", "search"
#: Fingerprint distance beyond which a frame of the training set is no test structure, and the
#: relative difference in volume.
NEAR_FINGERPRINT, NEAR_VOLUME = 0.02, 0.05


@dataclass(frozen=True)
class TestCrystal:
    """
    A crystal that the reference engine has relaxed.

    Attributes
    ----------
    label, origin : str
        As in :class:`JudgePoint`.
    atoms : Atoms
        As relaxed.
    energy : float
        Of the reference engine, to be compared with the potential's, eV/atom.
    """

    __test__ = False  # for pytest

    label: str
    origin: str
    atoms: Atoms
    energy: float

    def enthalpy(self, pressure: float) -> float:
        """Energy and pressure (kbar) times volume, eV/atom."""
        return self.energy + work_of(pressure, self.atoms.get_volume()) / len(self.atoms)


def distinct_crystals(crystals: Sequence[TestCrystal], pressure: float = 0.0) -> list[TestCrystal]:
    """
    Keep one of crystals that are the same, and sort them by reference enthalpy.

    Parameters
    ----------
    crystals : sequence of TestCrystal
        Of the same ones the first is kept.
    pressure : float
        At which they were relaxed, kbar.
    """
    kept: list[TestCrystal] = []
    for crystal in crystals:
        own = crystal.enthalpy(pressure)
        near = [k for k in kept if abs(k.enthalpy(pressure) - own) < REFERENCE_ENERGY_TOLERANCE]
        if not any(same_crystal(crystal.atoms, other.atoms) for other in near):
            kept.append(crystal)
    return sorted(kept, key=lambda crystal: crystal.enthalpy(pressure))


def same_crystal(one: Atoms, other: Atoms) -> bool:
    """Whether two relaxed crystals are the same structure."""
    return match(to_structure(one), to_structure(other), TIGHTLY_RELAXED)


def labelled(crystals: Sequence[TestCrystal]) -> Frames:
    """Frames of crystals with their reference energies."""
    structures = []
    for crystal in crystals:
        atoms = crystal.atoms.copy()
        atoms.calc = SinglePointCalculator(atoms, energy=crystal.energy * len(atoms))
        structures.append(atoms)
    return Frames.from_atoms(structures, stage="judge")


def in_training(crystals: Sequence[TestCrystal], training: Frames) -> list[bool]:
    """
    Say which crystals the training set has among its frames.

    It may have the relaxations of candidates. A frame is looked at only if it has the energy, the
    volume and the fingerprint of a crystal.

    Parameters
    ----------
    crystals : sequence of TestCrystal
    training : Frames
        With the energies of the reference engine.
    """
    if not crystals or not len(training):
        return [False] * len(crystals)
    energies = training.energies / training.counts
    volumes = training.volumes / training.counts
    elements = sorted(set(crystals[0].atoms.get_chemical_symbols()))
    prints: dict[int, np.ndarray] = {}
    found = []
    for crystal in crystals:
        volume = crystal.atoms.get_volume() / len(crystal.atoms)
        near = np.flatnonzero(
            (np.abs(energies - crystal.energy) < REFERENCE_ENERGY_TOLERANCE)
            & (np.abs(volumes / volume - 1.0) < NEAR_VOLUME)
        )
        own = fingerprint(crystal.atoms, elements) if len(near) else None
        hit = False
        for index in near:
            (frame,) = training[[int(index)]].to_atoms()
            if int(index) not in prints:
                prints[int(index)] = fingerprint(frame, elements)
            assert own is not None
            apart = float(distances(own, prints[int(index)][None, :])[0])
            if apart < NEAR_FINGERPRINT and same_crystal(crystal.atoms, frame):
                hit = True
                break
        found.append(hit)
    return found


@dataclass(frozen=True, eq=False)
class Comparison:
    """
    A potential against the reference engine, crystal by crystal.

    Attributes
    ----------
    predictions : Predictions
        At the reference geometries.
    seconds : float
        Of these by one thread, per atom.
    relaxed : list of Relaxed
        By the potential, from there.
    coverage : CoverageReport
        Of the reference geometries by the training set.
    """

    predictions: Predictions
    seconds: float
    relaxed: list[Relaxed]
    coverage: CoverageReport


def compare(
    potential: Potential, training: Frames, frames: Frames, relaxer: Relaxer, threads: int
) -> Comparison:
    """
    Evaluate and relax crystals by a potential.

    Parameters
    ----------
    potential : Potential
    training : Frames
        What it was trained on.
    frames : Frames
        Crystals as the reference engine has relaxed them.
    relaxer : Relaxer
        Relaxes them.
    threads : int
        Of the relaxations.
    """
    predict(potential, frames[:1])  # the first evaluation compiles
    started = time.perf_counter()
    predictions = predict(potential, frames)
    seconds = (time.perf_counter() - started) / int(frames.counts.sum())
    relaxed = relaxer.relax([_plain(atoms) for atoms in frames.to_atoms()], potential,
                            threads=threads)  # fmt: skip
    coverage = Coverage.fit(potential.functions, training).assess(frames)
    return Comparison(predictions, seconds, relaxed, coverage)


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def describe(
    crystals: Sequence[TestCrystal],
    seen: Sequence[bool],
    found: Comparison,
    unit: int,
    pressure: float = 0.0,
) -> list[JudgePoint]:
    """
    Tabulate a comparison, at a pressure by enthalpies.

    Parameters
    ----------
    crystals : sequence of TestCrystal
    seen : sequence of bool
        Which of them the training set has.
    found : Comparison
    unit : int
        Atoms in a formula unit.
    pressure : float
        At which they were relaxed, kbar.
    """
    starts = np.cumsum(found.coverage.counts) - found.coverage.counts
    covered = np.add.reduceat(~found.coverage.far, starts) / found.coverage.counts
    points = []
    for index, crystal in enumerate(crystals):
        result, n = found.relaxed[index], len(crystal.atoms)
        work = crystal.enthalpy(pressure) - crystal.energy
        points.append(
            JudgePoint(
                label=crystal.label,
                origin=crystal.origin,
                formula_units=n // unit,
                space_group=find_space_group(crystal.atoms).symbol,
                reference_energy=crystal.energy + work,
                potential_energy=float(found.predictions.energies[index]) / n + work,
                uncertainty=float(found.predictions.uncertainties[index]),
                relaxed_energy=result.energy / n if result.usable else None,
                relaxation=result.status,
                stays=same_crystal(crystal.atoms, result.atoms) if result.usable else None,
                covered=float(covered[index]),
                in_training=seen[index],
            )
        )
    return points


def errors_of(points: Sequence[JudgePoint], relaxed: bool) -> list[dict[str, float | None]]:
    """
    Correlations and errors by window, of crystals that training has not seen.

    Parameters
    ----------
    points : sequence of JudgePoint
    relaxed : bool
        Whether by the energies of the potential relaxed by it.
    """
    found = ranking_errors(
        [point.reference_energy for point in points],
        [_energy(point, relaxed) for point in points],
        WINDOWS,
    )
    return [_as_numbers(errors) for errors in found]


def by_earlier(
    job: str,
    potential: Potential,
    points: Sequence[JudgePoint],
    frames: Frames,
    pressure: float = 0.0,
) -> EarlierPotential:
    """
    Say what a potential of an earlier round gives for the same crystals.

    Parameters
    ----------
    job : str
        That trained it.
    potential : Potential
    points : sequence of JudgePoint
        By the newest potential.
    frames : Frames
        Reference geometries, in the same order.
    pressure : float
        At which they were relaxed, kbar.
    """
    found = predict(potential, frames).energies + work_of(pressure, frames.volumes)
    energies = [float(energy) for energy in found / frames.counts]
    others = [
        point.model_copy(update={"potential_energy": energy})
        for point, energy in zip(points, energies, strict=True)
    ]
    tested = [point for point in others if not point.in_training]
    errors = errors_of(tested, relaxed=False)
    return EarlierPotential(training_job=job, energies=energies, single_points=errors)


def _as_numbers(errors: RankingErrors) -> dict[str, float | None]:
    """Plain numbers, none for those that are not defined."""
    return {k: None if math.isnan(v) else v for k, v in asdict(errors).items()}


def _energy(point: JudgePoint, relaxed: bool) -> float:
    if not relaxed:
        return point.potential_energy
    return float("nan") if point.relaxed_energy is None else point.relaxed_energy


def lowest_of(points: Sequence[JudgePoint]) -> dict[str, str | None]:
    """
    Say which crystal is the lowest: by the reference, by the potential, and relaxed by it.

    Parameters
    ----------
    points : sequence of JudgePoint
        Those that training has seen included: this is no statistics.
    """
    known = [point for point in points if point.origin == KNOWN]
    relaxed = [point for point in points if point.relaxed_energy is not None]
    return {
        "reference": _label(points, lambda p: p.reference_energy),
        "potential": _label(points, lambda p: p.potential_energy),
        "potential_relaxed": _label(relaxed, lambda p: _energy(p, relaxed=True)),
        "known_phase": _label(known, lambda p: p.reference_energy),
    }


def _label(points: Sequence[JudgePoint], energy: Callable[[JudgePoint], float]) -> str | None:
    return min(points, key=energy).label if points else None


def coverage_by_origin(
    points: Sequence[JudgePoint], found: CoverageReport, elements: Sequence[str]
) -> dict[str, dict[str, float]]:
    """
    Fraction of atoms within the training set, by origin and element.

    Parameters
    ----------
    points : sequence of JudgePoint
        Those that training has seen do not count.
    found : CoverageReport
        Of all of them.
    elements : sequence of str
        Of the potential.
    """
    table: dict[str, dict[str, float]] = {}
    for origin in (KNOWN, RANDOM, SEARCH):
        chosen = [point.origin == origin and not point.in_training for point in points]
        atoms = np.repeat(chosen, found.counts)
        of_element = {
            element: ~found.far[atoms & (found.types == e)] for e, element in enumerate(elements)
        }
        if atoms.any():
            table[origin] = {e: float(inside.mean()) for e, inside in of_element.items()}
    return table
