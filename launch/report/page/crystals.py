"""Crystals as a page holds them: cells to draw, a CIF to take away, a powder pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.report.crystals import symmetric_cif
from launch.report.page.neighbors import bond_limits
from nnp.storage.electronegativity import no_warnings_of_noble_gases
from search.symmetry import TIGHT_TOLERANCE

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

#: Digits of lattice vectors (Å) and of fractional coordinates that a page keeps.
LENGTH_DIGITS, FRACTION_DIGITS = 4, 5


@dataclass(frozen=True)
class Crystal:
    """
    A crystal of a page.

    Attributes
    ----------
    name : str
        Of files that it is saved in, without suffix.
    title : str
        For people.
    cell : dict
        ``lattice``, nine numbers in Å; ``species``, pairs of element and number; ``positions``,
        fractional, three numbers an atom.
    conventional : dict or None
        The same of the conventional cell; none where it is the same, or nobody asked.
    cif : str or None
        Symmetric; none: the page writes one without symmetry.
    pattern : list or None
        As of `powder_pattern`; none where nobody asked.
    """

    name: str
    title: str
    cell: dict[str, Any]
    conventional: dict[str, Any] | None = None
    cif: str | None = None
    pattern: list[list[Any]] | None = None


def whole_crystal(name: str, title: str, structure: Structure) -> Crystal:
    """
    Describe a crystal with all that a page can show of it.

    Parameters
    ----------
    name, title : str
        As of `Crystal`.
    structure : pymatgen.core.Structure
        Symmetric within the tight tolerance where it has a symmetry.
    """
    from launch.report.page.powder import powder_pattern

    conventional = conventional_cell(structure)
    cell, standard = pack(structure), pack(conventional)
    return Crystal(
        name=name,
        title=title,
        cell=cell,
        conventional=None if standard == cell else standard,
        cif=symmetric_cif(structure),
        pattern=powder_pattern(conventional),
    )


def bare_crystal(name: str, title: str, atoms: Atoms) -> Crystal:
    """
    Describe a crystal by its cell alone, for what there are thousands of.

    Parameters
    ----------
    name, title : str
        As of `Crystal`.
    atoms : ase.Atoms
        Periodic in three directions.
    """
    order = np.argsort(atoms.numbers, kind="stable")
    symbols = [atoms.symbols[int(i)] for i in order]
    return Crystal(
        name, title, _packed(np.array(atoms.cell), symbols, atoms.get_scaled_positions()[order])
    )


def conventional_cell(structure: Structure) -> Structure:
    """
    Return the conventional cell of a crystal's space group; the crystal itself if it has none.

    Parameters
    ----------
    structure : pymatgen.core.Structure
        Symmetric within the tight tolerance where it has a symmetry.
    """
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

    try:
        analyzer = SpacegroupAnalyzer(structure, TIGHT_TOLERANCE, angle_tolerance=-1.0)
        found: Structure = analyzer.get_refined_structure()
    except SymmetryUndeterminedError:
        return structure
    return found.get_sorted_structure()


def pack(structure: Structure) -> dict[str, Any]:
    """Write the cell of a structure as short lists, its atoms sorted by elements."""
    ordered = structure.get_sorted_structure()
    symbols = [site.specie.symbol for site in ordered]
    return _packed(ordered.lattice.matrix, symbols, ordered.frac_coords)


def _packed(lattice: Any, symbols: list[str], fractions: Any) -> dict[str, Any]:
    species: list[list[Any]] = []
    for symbol in symbols:
        if species and species[-1][0] == symbol:
            species[-1][1] += 1
        else:
            species.append([symbol, 1])
    # adding nothing makes a zero of a minus zero
    positions = np.round(np.mod(fractions, 1.0), FRACTION_DIGITS) % 1.0 + 0.0
    return {
        "lattice": (np.round(lattice, LENGTH_DIGITS) + 0.0).ravel().tolist(),
        "species": species,
        "positions": positions.ravel().tolist(),
    }


def appearance(elements: set[str]) -> dict[str, dict[str, Any]]:
    """
    Colour (of Jmol), covalent radius and bonds in a crystal of that element alone (Å) of elements.

    Parameters
    ----------
    elements : set of str
    """
    from ase.data import atomic_numbers, covalent_radii
    from ase.data.colors import jmol_colors
    from pymatgen.core import Element

    with no_warnings_of_noble_gases():
        pulling = {symbol: float(Element(symbol).X) for symbol in elements}
        bonds = {symbol: bond_limits([symbol])[symbol, symbol] for symbol in elements}
    return {
        symbol: {
            "color": "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[number]),
            "radius": round(float(covalent_radii[number]), 2),
            # argon, for one, has none, and is no anion; JSON has no NaN
            "electronegativity": pulling[symbol] if pulling[symbol] > 0.0 else 0.0,
            "bond": bonds[symbol],
        }
        for symbol, number in sorted((symbol, atomic_numbers[symbol]) for symbol in elements)
    }
