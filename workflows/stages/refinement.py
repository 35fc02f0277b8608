"""
The highest symmetry of a relaxed crystal that keeps its energy.

A relaxation ends at finite forces, so that a symmetric crystal misses its symmetry by some
hundredths of an Å; a crystal that is truly distorted may miss it by as little. Only the energy of
the symmetric structure tells one from the other, by the same engine, in the same cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from search.create.wyckoff import ORDERS
from search.symmetrisation import higher_symmetries
from search.symmetry import (
    TIGHT_TOLERANCE,
    TOLERANCES,
    count_conventional,
    find_space_group,
    primitive_cell,
)
from workflows.conversion import to_atoms, to_structure
from workflows.documents.prediction import CandidateDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.stages.reference_search import relaxed_by_engine

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from search.state.fitness import Fitness

#: Symmetries of one crystal that are tried, the highest ones.
MOST_VARIANTS = 3
#: Evaluations below which a refinement tells too little: the start, and two steps.
LEAST_EVALUATIONS = 3


class Variant(NamedTuple):
    """
    A symmetrised crystal whose energy is to be found out.

    Attributes
    ----------
    row : int
        Which of the relaxed crystals it is of.
    structure : Structure
        In the cell of that one.
    tolerance : float
        Å within which that one has the symmetry.
    symbol : str
        Of the space group.
    """

    row: int
    structure: Structure
    tolerance: float
    symbol: str


class Refined(NamedTuple):
    """
    What became of a variant.

    Attributes
    ----------
    row : int
        Which of the relaxed crystals it is of.
    tolerance : float
        As of the variant, Å.
    job : str
        Id of the job that evaluated it.
    result : RelaxDocument or None
        None where the job failed.
    """

    row: int
    tolerance: float
    job: str
    result: RelaxDocument | None


def variants_of(row: int, structure: Structure, largest: float) -> list[Variant]:
    """
    Symmetrise a relaxed crystal within looser tolerances than the tight one.

    Parameters
    ----------
    row : int
        Which one it is.
    structure : Structure
        As relaxed.
    largest : float
        Largest tolerance, Å.

    Returns
    -------
    list of Variant
        The highest symmetry first; empty if no tolerance gives a higher one.
    """
    tolerances = [tolerance for tolerance in TOLERANCES if tolerance < largest]
    if largest > TIGHT_TOLERANCE:
        tolerances.append(largest)
    found = higher_symmetries(to_atoms(structure), tolerances)[:MOST_VARIANTS]
    return [Variant(row, to_structure(one.atoms), one.tolerance, one.group.symbol) for one in found]


def share_out(number: int, steps: int, evaluations: int | None) -> tuple[int, int]:
    """
    Share evaluations out to refinements.

    Parameters
    ----------
    number : int
        Of variants.
    steps : int
        Most steps of a refinement.
    evaluations : int or None
        Left for all together; none: as many as it takes.

    Returns
    -------
    tuple of int
        How many variants there is enough for, and the steps of each.
    """
    if evaluations is None or number == 0:
        return number, steps
    least = min(LEAST_EVALUATIONS, steps + 1)
    affordable = min(number, evaluations // least)
    if affordable == 0:
        return 0, steps
    return affordable, min(steps, evaluations // affordable - 1)


@dataclass(frozen=True)
class Refinement:
    """
    When a symmetrised crystal takes the place of the relaxed one.

    Parameters
    ----------
    energy : float
        By which its fitness may be higher, eV/atom.
    fitness : Fitness
        What is compared.
    """

    energy: float
    fitness: Fitness

    def choose(
        self, rows: Sequence[CandidateDocument], refined: Sequence[Refined]
    ) -> list[CandidateDocument]:
        """
        Let the highest symmetry that keeps the energy stand for each relaxed crystal.

        Parameters
        ----------
        rows : sequence of CandidateDocument
            As relaxed; they stay as they are.
        refined : sequence of Refined
            Of each row, the highest symmetry first.
        """
        by_row: dict[int, list[Refined]] = defaultdict(list)
        for one in refined:
            by_row[one.row].append(one)
        return [self._best(row, by_row[number]) for number, row in enumerate(rows)]

    def _best(self, row: CandidateDocument, refined: Sequence[Refined]) -> CandidateDocument:
        for one in refined:
            if one.result is None or one.result.energy is None or row.energy is None:
                continue
            before = row.energy if row.fitness is None else row.fitness
            after = self.fitness.of(relaxed_by_engine(one.result, one.result.energy))
            if after <= before + self.energy:
                return _replaced(row, one, one.result, after)
        return row


def _replaced(
    row: CandidateDocument, one: Refined, result: RelaxDocument, fitness: float
) -> CandidateDocument:
    """Document of a relaxed crystal in whose place the symmetric one stands."""
    structure = result.structure
    return row.model_copy(
        update={
            "structure": structure,
            "energy": result.energy,
            "enthalpy": result.enthalpy if result.pressure else None,
            "fitness": fitness,
            "magnetic_moments": result.moments_by_element,
            "density": float(structure.density),
            "volume": structure.volume / len(structure),
            "converged": result.converged,
            "max_force": result.max_force,
            "max_stress": result.max_stress,
            "symmetry_tolerance": one.tolerance,
            "refined_by": one.job,
        }
    )


def in_standard_cell(row: CandidateDocument, unit: int) -> CandidateDocument:
    """
    Put a crystal into the standard primitive cell of its space group, and say which that is.

    Parameters
    ----------
    row : CandidateDocument
        As relaxed, or refined.
    unit : int
        Atoms of a formula unit.
    """
    atoms = primitive_cell(to_atoms(row.structure))
    symbol, number = find_space_group(atoms, TIGHT_TOLERANCE)
    return row.model_copy(
        update={
            "structure": to_structure(atoms),
            "space_group": symbol,
            "space_group_number": number,
            "formula_units": max(1, len(atoms) // unit),
            "conventional_units": max(1, count_conventional(atoms) // unit),
        }
    )


def symmetry_of(row: CandidateDocument) -> float:
    """
    Symmetry operations of a crystal per atom of its cell: whatever the cell, more is higher.

    Parameters
    ----------
    row : CandidateDocument
        In its primitive cell.
    """
    return float(ORDERS[row.space_group_number - 1]) / len(row.structure)
