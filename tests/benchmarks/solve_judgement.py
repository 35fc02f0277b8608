"""
Whether a search has solved a compound, judged four ways, and why not.

(a) Its lowest reference energy is at or below that of the known phase, relaxed by the same engine,
    plus 1 meV/atom.
(b) The rank at which the known phase, as relaxed, is found: StructureMatcher with 0.2, 0.3 and 5
    degrees, and volumes within a tenth.
(c) The space group of rank 1 is that of the known phase, as given and as relaxed, with atoms that
    may miss it by 0.1 or 0.01 Å.
(d) Where (a) fails, the last step at which the known phase was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pymatgen.core import Structure

from search.relax.energy import BatchEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from tests.benchmarks.phases import (
    ENERGY_TOLERANCE,
    LOOSE,
    STRICT,
    KnownPhase,
    same_phase,
    space_group,
)
from tests.benchmarks.solve_found import Found, Minimum, Relaxation
from workflows.conversion import to_atoms, to_structure

#: Why a search has not reached the energy of the known phase.
NOT_FOUND, RANKED_WRONGLY = "not found", "ranked wrongly"
LEFT_OUT, LOST = "left out", "lost in relaxation"
#: Ranks within which finding the known phase counts.
RANKS = (1, 5, 20)

Same = Callable[[Structure], bool]


@dataclass(frozen=True)
class Reason:
    """
    Why a search has missed.

    Attributes
    ----------
    kind : str
        One of the four.
    text : str
        In words, with the figures.
    potential_above_best : float or None
        The known phase, relaxed on the last potential, above the best that the last search found
        on it, meV/atom; none without a potential.
    held_by_potential : bool or None
        Whether that relaxation ends in the known phase.
    lower : int or None
        Structures of the last search that are lower on the potential.
    """

    kind: str
    text: str
    potential_above_best: float | None = None
    held_by_potential: bool | None = None
    lower: int | None = None


@dataclass(frozen=True)
class Verdict:
    """
    What became of a compound.

    Attributes
    ----------
    difference : float
        Lowest reference energy minus that of the known phase, meV/atom.
    solved : bool
        Criterion (a).
    prefers_another : bool
        Whether the engine has found something that it puts more than 1 meV/atom lower.
    rank : int or None
        Criterion (b): the lowest at which the known phase is.
    groups : dict of str to int
        Space groups of rank 1, of the known phase as given and as relaxed, by name and tolerance.
    reason : Reason or None
        Where (a) fails.
    """

    difference: float
    solved: bool
    prefers_another: bool
    rank: int | None
    groups: dict[str, int]
    reason: Reason | None

    def within(self, rank: int) -> bool:
        """Whether the known phase is among the first so many."""
        return self.rank is not None and self.rank <= rank

    def same_group(self, known: str, tolerance: float) -> bool:
        """
        Say whether rank 1 has the space group of the known phase.

        Parameters
        ----------
        known : str
            ``"given"`` or ``"relaxed"``.
        tolerance : float
            Å, for both.
        """
        return self.groups[f"rank 1 {tolerance:g}"] == self.groups[f"{known} {tolerance:g}"]

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON types."""
        groups = {
            f"{known} {tolerance:g}": self.same_group(known, tolerance)
            for known in ("given", "relaxed")
            for tolerance in (LOOSE, STRICT)
        }
        within = {str(rank): self.within(rank) for rank in RANKS}
        return {**asdict(self), "within": within, "same_group": groups}


def judge(known: KnownPhase, found: Found, potential: BatchEnergy | None) -> Verdict:
    """
    Judge a search.

    Parameters
    ----------
    known : KnownPhase
        Relaxed by the engine of the ranking.
    found : Found
        What the search has found.
    potential : BatchEnergy or None
        The last one, on which it searched.

    Raises
    ------
    ValueError
        If nothing is ranked.
    """
    if not found.ranking:
        raise ValueError(f"nothing is ranked for {known.phase.name}")
    difference = min(minimum.energy for minimum in found.ranking) - known.energy
    solved = difference <= ENERGY_TOLERANCE
    first = found.ranking[0].structure
    crystals = {"rank 1": first, "given": known.phase.structure, "relaxed": known.relaxed}
    return Verdict(
        difference=1e3 * difference,
        solved=solved,
        prefers_another=difference < -ENERGY_TOLERANCE,
        rank=_first(found.ranking, lambda structure: same_phase(structure, known.relaxed)),
        groups={
            f"{name} {tolerance:g}": space_group(structure, tolerance)
            for name, structure in crystals.items()
            for tolerance in (LOOSE, STRICT)
        },
        reason=None if solved else find_reason(known, found, potential),
    )


def find_reason(known: KnownPhase, found: Found, potential: BatchEnergy | None) -> Reason:
    """
    Say at which step the known phase was lost: the last one at which it was there.

    Parameters
    ----------
    known : KnownPhase
        Whose energy was not reached.
    found : Found
        What the search has found.
    potential : BatchEnergy or None
        The last one, on which it searched.
    """
    on = None if potential is None else relax_on(known.relaxed, potential)
    held = None if on is None else on.usable and same_phase(on.structure, known.relaxed)
    targets = [known.relaxed, *([on.structure] if on is not None and held else [])]

    def same(structure: Structure) -> bool:
        return any(same_phase(structure, target) for target in targets)

    figures: dict[str, Any] = {}
    if potential is not None and on is not None and found.candidates:
        # what it becomes is another structure; the potential is asked what it makes of this one
        energy = on.energy if held else single_point(known.relaxed, potential)
        best = min(candidate.energy for candidate in found.candidates)
        figures = {
            "potential_above_best": 1e3 * (energy - best),
            "held_by_potential": held,
            "lower": sum(minimum.energy < energy for minimum in _all(found)),
        }
    for look in (_lost, _left_out):
        if (seen := look(known, found, same)) is not None:
            return Reason(*seen, **figures)
    return Reason(*_never_seen(figures), **figures)


def _all(found: Found) -> Sequence[Minimum]:
    return found.archive or found.candidates


def _lost(known: KnownPhase, found: Found, same: Same) -> tuple[str, str] | None:
    """Whether the engine began with the known phase, or passed it."""
    passed = [one for one in found.relaxations if same(one.start) or same(one.end)]
    if not passed:
        return None
    ends = [one for one in passed if one.energy is not None]
    if not ends:
        return LOST, f"{LOST}: it failed"
    lowest = min(ends, key=_energy)
    higher = 1e3 * (_energy(lowest) - known.energy)
    where = "in the known phase still" if same(lowest.end) else "in another structure"
    return LOST, f"{LOST}: ended {where}, {higher:.1f} meV/atom above it"


def _energy(one: Relaxation) -> float:
    return float("inf") if one.energy is None else one.energy


def _left_out(known: KnownPhase, found: Found, same: Same) -> tuple[str, str] | None:
    """Whether the last search had it and it was not chosen."""
    rank = _first(found.candidates, same)
    if rank is not None:
        return LEFT_OUT, f"{LEFT_OUT}: {rank} of {len(found.candidates)} candidates"
    rank = _first(found.archive, same)
    if rank is not None:
        return LEFT_OUT, f"{LEFT_OUT}: {rank} of {len(found.archive)} in the archive"
    if _first(found.unknown, same) is not None:
        return LEFT_OUT, f"{LEFT_OUT}: the potential was too uncertain of it"
    return None


def _never_seen(figures: dict[str, Any]) -> tuple[str, str]:
    """Whether the search would have seen it if it had come there."""
    above = figures.get("potential_above_best")
    if above is None:
        return NOT_FOUND, NOT_FOUND
    if not figures["held_by_potential"]:
        return RANKED_WRONGLY, (
            f"{RANKED_WRONGLY} by {above:.1f} meV/atom: the potential does not hold it"
        )
    if above <= 0:
        return NOT_FOUND, f"{NOT_FOUND}, though the potential prefers it by {-above:.1f} meV/atom"
    return RANKED_WRONGLY, (
        f"{RANKED_WRONGLY} by {above:.1f} meV/atom; not found; {figures['lower']} that were found "
        "are lower on the potential"
    )


def _first(minima: Iterable[Minimum], same: Same) -> int | None:
    """Rank of the first that is the same, from 1."""
    return next((k for k, minimum in enumerate(minima, 1) if same(minimum.structure)), None)


@dataclass(frozen=True)
class OnPotential:
    """
    A crystal, relaxed on a potential.

    Attributes
    ----------
    structure : Structure
    energy : float
        eV/atom.
    usable : bool
        Whether the relaxation came to an end.
    """

    structure: Structure
    energy: float
    usable: bool


def relax_on(structure: Structure, potential: BatchEnergy) -> OnPotential:
    """
    Relax a crystal on a potential, whatever its energy.

    Parameters
    ----------
    structure : Structure
    potential : BatchEnergy
    """
    relaxer = Relaxer(
        limits=RelaxationLimits(max_force=0.01, max_stress=1.0, max_steps=2000),
        energy_window=None,
        tight_window=None,
    )
    (relaxed,) = relaxer.relax([to_atoms(structure)], potential, threads=1)
    return OnPotential(
        to_structure(relaxed.atoms), relaxed.energy / len(relaxed.atoms), relaxed.usable
    )


def single_point(structure: Structure, potential: BatchEnergy) -> float:
    """
    Energy of a crystal as it is, eV/atom.

    Parameters
    ----------
    structure : Structure
    potential : BatchEnergy
    """
    atoms = to_atoms(structure)
    evaluator = potential.evaluator(atoms.numbers, np.array([len(atoms)]))
    energies, *_ = evaluator.compute(np.array([atoms.cell.array]), atoms.positions)
    return float(energies[0]) / len(atoms)
