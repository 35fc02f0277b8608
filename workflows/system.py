"""A chemical system to be searched: its compositions, and those that are melted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pymatgen.core import Composition, Structure

from search.composition_parsing import is_system, parse_space
from search.composition_space import CompositionSpace, CompositionSpaceError, formula_of
from workflows.composition import Target, parse_composition

#: In the place of a space where there is none: dataclasses want a default behind defaults.
_NO_SPACE: CompositionSpace = None  # type: ignore[assignment]


@dataclass(frozen=True)
class SystemTarget(Target):
    """
    A chemical system, the cells to search it in, and the pressure it is under.

    It is what a formula is to other campaigns: ``formula`` is the name of the system, ``counts``
    are those of one of each block, and there are no formula units. What is said of a crystal is
    said of its own composition.

    Parameters
    ----------
    space : CompositionSpace
        Blocks, ranges and sizes of cells.
    """

    space: CompositionSpace = field(default=_NO_SPACE)

    @property
    def is_system(self) -> bool:
        """Whether the composition varies."""
        return True

    @property
    def searched(self) -> CompositionSpace:
        """The space of its compositions."""
        return self.space

    def in_words(self) -> str:
        """Say what is looked for, and in which cells."""
        return (
            f"{self.formula}: {len(self.compounds)} compositions in cells of up to "
            f"{self.space.atoms_max} atoms"
        )

    @property
    def composition(self) -> Composition:
        """One of each block: the middle of the system."""
        return Composition(self.counts)

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in one of each block."""
        total: dict[str, int] = {}
        for counts in self.space.block_counts:
            for symbol, n in counts.items():
                total[symbol] = total.get(symbol, 0) + n
        return total

    @property
    def cell_sizes(self) -> tuple[int, ...]:
        """Atoms of the cells that are searched, in rising order."""
        return tuple(np.unique(self.space.sizes).tolist())

    @property
    def compounds(self) -> tuple[str, ...]:
        """Formulas of all compositions that are searched, in order of their fractions."""
        return tuple(formula_of(counts) for counts in self.space.compositions())

    def formula_of(self, structure: Structure) -> str:
        """
        Spell the formula of a crystal, its elements in the order of the system's.

        Parameters
        ----------
        structure : Structure
        """
        counts = structure.composition.get_el_amt_dict()
        return formula_of({s: round(counts[s]) for s in self.space.elements if s in counts})

    def amounts(self, formula: str) -> np.ndarray | None:
        """
        Return how many of each block make a formula unit; none where they cannot.

        Parameters
        ----------
        formula : str
        """
        return self.space.amounts(Composition(formula).get_el_amt_dict())

    def fractions(self, formula: str) -> np.ndarray:
        """
        Fraction of the atoms that are in each block.

        Parameters
        ----------
        formula : str
            That the blocks can make.

        Raises
        ------
        ValueError
            If they cannot.
        """
        amounts = self.amounts(formula)
        if amounts is None:
            raise ValueError(f"{formula} is no composition of the system {self.space.name}")
        atoms = amounts * self.space.matrix.sum(axis=1)
        return np.asarray(atoms / atoms.sum())

    @property
    def block_formulas(self) -> tuple[str, ...]:
        """Reduced formulas of the blocks, in their order."""
        return tuple(formula_of(self.space.as_counts(row)) for row in self.space.matrix)


def elements_of(name: str) -> tuple[str, ...]:
    """
    Symbols of the elements of a formula or of a system, in their order.

    Parameters
    ----------
    name : str
        As of a target.
    """
    blocks = [parse_composition(block) for block in name.split("-")]
    return tuple(dict.fromkeys(element.symbol for block in blocks for element in block))


def parse_system(
    text: str,
    known: frozenset[str] | None,
    engine: str,
    *,
    atoms_max: int | None = None,
    ranges: str = "",
    charge_balance: bool = False,
) -> SystemTarget:
    """
    Read a system as it was typed.

    Parameters
    ----------
    text : str
        E.g. ``"Mg-Si"``, or ``"MgO-SiO2"``.
    known : frozenset of str or None
        Symbols that the engine knows; none if it does not say.
    engine : str
        Name of the engine, for messages.
    atoms_max : int or None
        Most atoms of a cell.
    ranges : str
        Least and most of elements or blocks.
    charge_balance : bool
        Only compositions that common oxidation states balance.

    Raises
    ------
    CompositionSpaceError
        If there is no such system, or the engine does not know an element of it.
    """
    space = parse_space(text, atoms_max=atoms_max, ranges=ranges, charge_balance=charge_balance)
    unknown = sorted(set(space.elements) - known) if known is not None else []
    if unknown:
        raise CompositionSpaceError(
            f"the engine {engine} does not know {', '.join(unknown)}; choose another --engine"
        )
    return SystemTarget(formula=space.name, formula_units=(), space=space)


def melt_compositions(target: SystemTarget, number: int | None = None) -> tuple[str, ...]:
    """
    Choose the compositions that are melted: the ends of a system, and points between them.

    Each is the farthest from those before it, in fractions of the atoms, of all that the cells of
    the search have.

    Parameters
    ----------
    target : SystemTarget
    number : int or None
        How many; none: two for each block and one more, so that of a binary system a quarter, a
        half and three quarters are melted beside the ends.

    Returns
    -------
    tuple of str
        Formulas, the ends that are allowed first.
    """
    from nnp.analysis.selection import farthest_points

    compounds = list(target.compounds)
    fractions = np.array([target.fractions(formula) for formula in compounds])
    number = 2 * len(target.space.blocks) + 1 if number is None else number
    ends = [compounds.index(one) for one in target.block_formulas if one in compounds]
    more = farthest_points(fractions, number - len(ends), np.array(ends, dtype=np.int64))
    return tuple(compounds[k] for k in [*ends[:number], *more])


def same_system(one: str, other: str) -> bool:
    """
    Whether two names are of one system: ``Mg-Si`` and ``Si-Mg`` are.

    Parameters
    ----------
    one, other : str
    """
    if not (is_system(one) and is_system(other)):
        return False

    def blocks(name: str) -> set[frozenset[tuple[str, int]]]:
        return {frozenset(counts.items()) for counts in parse_space(name).block_counts}

    try:
        return blocks(one) == blocks(other)
    except CompositionSpaceError:
        return False


def reference_energies(target: SystemTarget, lowest: Mapping[str, float]) -> list[float | None]:
    """
    Energy of each block of a system in its most stable crystal, eV.

    Parameters
    ----------
    target : SystemTarget
    lowest : mapping of str to float
        Lowest energy by formula, eV/atom.

    Returns
    -------
    list of float or None
        None for a block of which there is no crystal.
    """
    sizes = target.space.matrix.sum(axis=1)
    return [
        None if formula not in lowest else lowest[formula] * int(size)
        for formula, size in zip(target.block_formulas, sizes, strict=True)
    ]


def formation_energy(
    target: SystemTarget, formula: str, energy: float, references: Sequence[float | None]
) -> float | None:
    """
    Energy of a crystal above those of the blocks that its atoms make, eV/atom.

    Parameters
    ----------
    target : SystemTarget
    formula : str
        Of the crystal.
    energy : float
        Of it, eV/atom.
    references : sequence of float or None
        As of :func:`reference_energies`.

    Returns
    -------
    float or None
        None where the crystal has a block without a reference, or is of another system.
    """
    amounts = target.amounts(formula)
    if amounts is None:
        return None
    total = 0.0
    for amount, reference in zip(amounts, references, strict=True):
        if amount < 1e-9:
            continue
        if reference is None:
            return None
        total += float(amount) * reference
    return energy - total / Composition(formula).num_atoms
