"""Which structures count, relaxed or to begin with, and why others do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from search.candidate import MIGRANT
from search.create.operators import ATOMIC_ENERGIES, plain_sorted
from search.relax.relaxed import GIVEN_UP, LOOSE, OUT_OF_STEPS, Relaxed
from search.relax.trust import UNKNOWN
from search.state.individual import Individual

if TYPE_CHECKING:
    from ase import Atoms

    from search.candidate import Candidate
    from search.geometry import DistanceLimits
    from search.state.contents import Contents
    from search.state.fitness import Fitness

SHORT_BOND = "short bond"


def checked_seed(atoms: Atoms, contents: Contents) -> Atoms:
    """
    Return a plain copy of a structure to begin with.

    Parameters
    ----------
    atoms : ase.Atoms
        Of any number of formula units.
    contents : FormulaContents or SystemContents
        What the search looks for.

    Raises
    ------
    ValueError
        If it is of another composition.
    """
    if not contents.holds(atoms):
        raise ValueError(f"the seed {atoms.get_chemical_formula()} is of another composition")
    return plain_sorted(atoms)


def accept(
    candidate: Candidate,
    relaxed: Relaxed,
    generation: int,
    limits: DistanceLimits,
    fitness: Fitness,
) -> tuple[Individual, str | None]:
    """
    Judge a relaxed candidate; only a usable one keeps its structure and has a fitness.

    Parameters
    ----------
    candidate : Candidate
        What was to be relaxed.
    relaxed : Relaxed
        What became of it.
    generation : int
        Generation of both.
    limits : DistanceLimits
        Shortest distances a structure may have.
    fitness : Fitness
        What makes one structure better than another.

    Returns
    -------
    individual : Individual
        What there is to know of it.
    reason : str or None
        Why it is of no use, if it is not.

    Raises
    ------
    ValueError
        If the composition has changed.
    """
    atoms = relaxed.atoms
    if Counter(atoms.numbers.tolist()) != Counter(candidate.atoms.numbers.tolist()):
        raise ValueError(f"structure {candidate.id} came back with another composition")
    individual = Individual(
        id=candidate.id,
        generation=generation,
        operator=candidate.operator,
        parents=candidate.parents,
        formula_units=candidate.formula_units,
        energy=relaxed.energy / len(atoms),
        fitness=float("nan"),
        volume=float(atoms.get_volume()) / len(atoms),
        status=relaxed.status,
        uncertainty=relaxed.uncertainty,
    )
    reason = _failure(relaxed, limits, fitness)
    if reason is not None:
        individual.status = f"aborted: {reason}"
        return individual, reason
    renew(individual, relaxed, fitness)
    return individual, None


def may_go_on(individual: Individual) -> bool:
    """Whether a structure of this island has not been relaxed to the tight limits."""
    return individual.status in (LOOSE, OUT_OF_STEPS) and individual.operator != MIGRANT


def as_relaxed(individual: Individual) -> Relaxed:
    """Return an individual as its relaxation left it, forces and stress aside."""
    atoms = individual.structure
    return Relaxed(
        atoms,
        individual.energy * len(atoms),
        individual.status,
        uncertainty=individual.uncertainty,
    )


def renew(individual: Individual, relaxed: Relaxed, fitness: Fitness) -> None:
    """
    Write down what an individual became that was relaxed on.

    Parameters
    ----------
    individual : Individual
        With its structure.
    relaxed : Relaxed
        Usable.
    fitness : Fitness
        What makes one structure better than another.
    """
    n_atoms = len(relaxed.atoms)
    individual.energy = relaxed.energy / n_atoms
    individual.uncertainty = relaxed.uncertainty
    individual.fitness = fitness.of(relaxed)
    individual.volume = float(relaxed.atoms.get_volume()) / n_atoms
    individual.status = relaxed.status
    individual.space_group, individual.reduced = None, {}
    individual.atoms = relaxed.atoms.copy()
    if relaxed.atomic_energies is not None:
        individual.atoms.set_array(ATOMIC_ENERGIES, relaxed.atomic_energies)


def _failure(relaxed: Relaxed, limits: DistanceLimits, fitness: Fitness) -> str | None:
    """Why a relaxed structure is of no use, or none."""
    left_the_known = relaxed.status == GIVEN_UP
    if not relaxed.usable and not left_the_known:
        return _category(relaxed.status)
    if not np.isfinite(relaxed.energy):
        return "energy is not finite"
    if limits.violated(relaxed.atoms):
        return SHORT_BOND
    return UNKNOWN if left_the_known or not fitness.knows(relaxed) else None


def _category(status: str) -> str:
    """Return why a relaxation was aborted, without the particulars."""
    reason = status.removeprefix("aborted: ")
    return SHORT_BOND if reason.startswith(SHORT_BOND) else reason
