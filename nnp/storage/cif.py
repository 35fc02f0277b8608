"""
Crystals from CIF, read right or not at all.

Readers made for pictures take a site that is half occupied for an atom, a site without occupancy
too, and a space group's first origin for its second, which makes twice the atoms in wrong places.
What is read here is ordered, in the setting that the file says, and has each atom once; all else is
refused in a sentence that names the site. It is used wherever crystals come from files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.storage.electronegativity import no_warnings_of_noble_gases
from nnp.storage.space_groups import (
    Operations,
    SpaceGroupError,
    listed_operations,
    named_operations,
    order_of,
)

if TYPE_CHECKING:
    from ase import Atoms
    from ase.io.cif import CIFBlock
    from pymatgen.core import Composition

#: How far (Å) an atom may lie from where its symmetry puts it: coordinates have few digits.
SPECIAL_POSITION = 0.1
#: Å; atoms of different sites are never that near.
ONE_PLACE = 0.3
#: Occupancies within this of one are one.
FULL = 1e-3
#: Atoms of one structure.
MOST_ATOMS = 20_000

_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
_SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_CHOICE = "_space_group_it_coordinate_system_code"
_ANGLES = ("alpha", "beta", "gamma")
_UNKNOWN = ("", "?", ".")


class CifError(ValueError):
    """A CIF is broken, disordered or does not say where its atoms are; the message says what."""


@dataclass(frozen=True)
class _Site:
    label: str
    symbol: str
    position: NDArray[np.float64]
    multiplicity: int | None


def read_cif(text: str, name: str) -> list[Atoms]:
    """
    Read the crystals of a CIF, one a block.

    Parameters
    ----------
    text : str
        What the file holds.
    name : str
        How messages call it.

    Returns
    -------
    list of Atoms
        At least one.

    Raises
    ------
    CifError
        If there is none, or one is broken, disordered or ambiguous.
    """
    from ase.io.cif import parse_cif

    try:
        blocks = [b for b in parse_cif(StringIO(text)) if _first(b, ("_cell_length_a",)) != ""]
    except Exception as error:  # ASE's parser raises whatever a malformed file leads it to
        said = str(error).strip().splitlines()
        raise CifError(f"{name} is no CIF that can be read: {(said or ['broken'])[0]}") from error
    blocks = [block for block in blocks if block.get("_atom_site_fract_x") is not None]
    if not blocks:
        raise CifError(f"{name} has no block with a cell and fractional coordinates of atoms")
    where = [name if len(blocks) == 1 else f"{name}, block {block.name}," for block in blocks]
    return [_crystal(block, place) for block, place in zip(blocks, where, strict=True)]


def _crystal(block: CIFBlock, where: str) -> Atoms:
    """Make the crystal of one block."""
    if any("magn_operation" in tag for tag in block) and not _first(block, _OPERATIONS):
        raise CifError(f"{where} has magnetic operations; write it as a CIF without them")
    if _number(block.get("_cell_modulation_dimension"), 0.0) > 0:
        raise CifError(f"{where} is an incommensurate crystal, which has no cell")
    cell = _cell(block, where)
    sites = _sites(block, where)
    try:
        made = [_fill(where, cell, sites, ops) for ops in _operations(block, cell)]
    except SpaceGroupError as error:
        raise CifError(f"{where} {error}") from None
    if len(made) > 1:
        made = _sensible(block, sites, made)
        if len(made) != 1:
            raise CifError(
                f"{where} lists no operations, and its space group has more than one origin: "
                "write the operations, or the origin after the symbol, such as F d -3 m :2"
            )
    atoms, numbers = made[0]
    _require_apart(where, atoms, [sites[i].label for i in numbers])
    _require_whole(block, where, atoms)
    return atoms


def _cell(block: CIFBlock, where: str) -> NDArray[np.float64]:
    """Lattice vectors as rows, Å."""
    from ase.geometry import cellpar_to_cell

    lengths = [_number(block.get(f"_cell_length_{axis}")) for axis in "abc"]
    angles = [
        _number(block.get(f"_cell_angle_{axis}"), 90.0) for axis in ("alpha", "beta", "gamma")
    ]
    given = np.array([*lengths, *angles])
    if not np.isfinite(given).all() or min(given) <= 0.0 or max(angles) >= 180.0:
        raise CifError(f"{where} has no cell: lengths or angles are missing or impossible")
    try:
        cell = np.asarray(cellpar_to_cell(given), dtype=float)
    except (AssertionError, ValueError, ZeroDivisionError):
        cell = np.zeros((3, 3))
    if not abs(np.linalg.det(cell)) > 1e-3:
        raise CifError(f"{where} has a cell without volume")
    return cell


def _sites(block: CIFBlock, where: str) -> list[_Site]:
    """Sites that hold an atom."""
    columns = {
        name: _column(block, f"_atom_site_{name}")
        for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy",
                     "attached_hydrogens", "symmetry_multiplicity", "calc_flag")
    }  # fmt: skip
    length = len(columns["fract_x"] or [])
    sites = []
    for i in range(length):
        row = {name: column[i] for name, column in columns.items() if column and i < len(column)}
        label = str(row.get("label", row.get("type_symbol", i + 1)))
        if str(row.get("calc_flag", "")).lower() == "dum":
            continue
        if not _is_occupied(row.get("occupancy", 1.0), f"{where}: the site {label}"):
            continue
        if _number(row.get("attached_hydrogens"), 0.0) > 0:
            raise CifError(f"{where}: the site {label} stands for hydrogen atoms without positions")
        position = np.array([_number(row.get(f"fract_{axis}")) for axis in "xyz"])
        if not np.isfinite(position).all():
            raise CifError(f"{where}: the site {label} has no coordinates")
        multiplicity = _number(row.get("symmetry_multiplicity"))
        sites.append(
            _Site(
                label,
                _symbol(row, label, where),
                position,
                int(multiplicity) if multiplicity >= 1 else None,
            )
        )
    if not sites:
        raise CifError(f"{where} holds no atoms")
    return sites


def _is_occupied(value: Any, site: str) -> bool:
    """Whether a site holds an atom; half of one is refused."""
    if isinstance(value, str) and value.strip() in _UNKNOWN:
        return True
    occupancy = _number(value)
    if abs(occupancy) < FULL / 1000:
        return False
    if not abs(occupancy - 1.0) <= FULL:
        raise CifError(
            f"{site} has an occupancy of {value}: a disordered crystal is no structure to "
            "compute; write an ordered one"
        )
    return True


def _symbol(row: dict[str, Any], label: str, where: str) -> str:
    """Element of a site: of its type, else of its label."""
    from ase.data import atomic_numbers

    given = str(row.get("type_symbol", "")).strip()
    text = label if given in _UNKNOWN else given
    letters = re.match(r"[A-Za-z]*", text)
    word = letters[0] if letters else ""
    isotopes = {"D": "H", "T": "H"}
    candidates = [word.capitalize()] if len(word) <= 2 else []
    if given in _UNKNOWN:  # a label may go on with other letters: O1W, CuA
        split = re.match(r"[A-Z][a-z]?(?![a-z])", text)
        candidates = [split[0]] if split else candidates
        if len(word) > 1 and word[:2].isupper():  # CA1: calcium or carbon
            both = [s for s in (word[0], word[:2].capitalize()) if s in atomic_numbers]
            candidates = both if len(both) == 1 else []
    for candidate in candidates:
        element = isotopes.get(candidate, candidate)
        if element != "X" and element in atomic_numbers:
            return element
    raise CifError(f"{where}: the site {label} is of no element that can be told from {text!r}")


def _operations(block: CIFBlock, cell: NDArray[np.float64]) -> list[Operations]:
    """Operations listed, else those of the space group; several if two origins are possible."""
    listed = next((found for tag in _OPERATIONS if (found := _column(block, tag))), None)
    number = _number(_first(block, _NUMBERS))
    group = int(number) if 1 <= number <= 230 else None
    if listed:
        operations = listed_operations([str(text) for text in listed])
        if not operations.keep(cell):
            raise SpaceGroupError("lists operations that its cell does not have")
        return [operations]
    symbol, hall = str(_first(block, _SYMBOLS)), str(_first(block, _HALL))
    if not (symbol or hall or group):
        return [listed_operations(["x, y, z"])]
    choice = str(_first(block, (_CHOICE,)))
    return named_operations(symbol=symbol, hall=hall, number=group, choice=choice, cell=cell)


def _fill(
    where: str, cell: NDArray[np.float64], sites: Sequence[_Site], operations: Operations
) -> tuple[Atoms, list[int]]:
    """All atoms of the cell, and the site of each."""
    from ase import Atoms

    if len(sites) * len(operations.rotations) > 48 * MOST_ATOMS:
        raise CifError(f"{where} has too many atoms")
    positions = [_orbit(where, cell, site, operations) for site in sites]
    numbers = [i for i, orbit in enumerate(positions) for _ in orbit]
    if len(numbers) > MOST_ATOMS:
        raise CifError(f"{where} has {len(numbers)} atoms; {MOST_ATOMS} are the most")
    atoms = Atoms(
        [sites[i].symbol for i in numbers],
        scaled_positions=np.concatenate(positions),
        cell=cell,
        pbc=True,
    )
    return atoms, numbers


def _orbit(
    where: str, cell: NDArray[np.float64], site: _Site, operations: Operations
) -> NDArray[np.float64]:
    """Positions (m, 3), fractional, to which the operations bring a site, each once."""
    rotations, translations = operations

    def apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        shift = one - other
        return shift - np.rint(shift)

    images = rotations @ site.position + translations
    shifts = apart(images, site.position)
    stay = np.linalg.norm(shifts @ cell, axis=-1) < SPECIAL_POSITION
    centre = site.position + shifts[stay].mean(axis=0)
    left = (rotations @ centre + translations) % 1.0
    orbit = []
    while len(left):
        orbit.append(left[0])
        left = left[np.linalg.norm(apart(left, left[0]) @ cell, axis=-1) >= SPECIAL_POSITION]
    if len(orbit) * int(stay.sum()) != len(rotations):
        raise CifError(
            f"{where}: the site {site.label} lies near a place of higher symmetry, not on it"
        )
    return np.array(orbit)


def _sensible(
    block: CIFBlock, sites: Sequence[_Site], made: Sequence[tuple[Atoms, list[int]]]
) -> list[tuple[Atoms, list[int]]]:
    """Of what several origins make, that which agrees with the numbers of atoms in the file."""
    wanted = _atoms_told(block)
    told = [site.multiplicity for site in sites]
    if wanted is not None:
        made = [one for one in made if len(one[0]) in wanted[0]]
    if None not in told:
        made = [one for one in made if [one[1].count(i) for i in range(len(sites))] == told]
    return list(made) if wanted is not None or None not in told else []


def _atoms_told(block: CIFBlock) -> tuple[set[int], str] | None:
    """
    Atoms that the cell may have by its formula and formula units, and the formula in lowest terms.

    The formula is that of one unit, but pymatgen writes that of the cell.
    """
    from pymatgen.core import Composition

    formula = block.get("_chemical_formula_sum")
    units = _number(block.get("_cell_formula_units_z"))
    if not isinstance(formula, str) or not units >= 1:
        return None
    try:
        composition = Composition(formula.strip("'\""))
        factor, reduced = _reduced(composition)
        atoms = [composition.num_atoms * units]
        if factor > 1 and factor % units == 0:
            atoms.append(composition.num_atoms)
        return {int(n) for n in atoms if n == int(n)}, reduced
    except (ValueError, TypeError, KeyError):
        return None


def _reduced(composition: Composition) -> tuple[float, str]:
    """Formula units of a composition, and its formula in lowest terms."""
    with no_warnings_of_noble_gases():
        factor = composition.get_reduced_composition_and_factor()[1]
        return float(factor), str(composition.reduced_formula)


def _require_apart(where: str, atoms: Atoms, labels: Sequence[str]) -> None:
    """Refuse two sites in one place, which is disorder or the work of wrong operations."""
    from ase.neighborlist import neighbor_list

    first, second, distances = neighbor_list("ijd", atoms, ONE_PLACE)
    if len(distances):
        nearest = int(np.argmin(distances))
        one, other = labels[first[nearest]], labels[second[nearest]]
        raise CifError(
            f"{where}: the sites {one} and {other} are {distances[nearest]:.2f} Å apart, which no "
            "two atoms are: the crystal is disordered, or its operations are wrong"
        )


def _require_whole(block: CIFBlock, where: str, atoms: Atoms) -> None:
    """Refuse a crystal of fewer or more atoms than the file says it has."""
    import spglib

    told = _atoms_told(block)
    if told is not None and len(atoms) not in told[0]:
        from pymatgen.core import Composition

        if _reduced(Composition(str(atoms.symbols)))[1] == told[1]:
            raise CifError(
                f"{where} says that its cell has {max(told[0])} atoms, and its sites and "
                f"operations make {len(atoms)}"
            )
    number = _number(_first(block, _NUMBERS))
    listed = next((found for tag in _OPERATIONS if (found := _column(block, tag))), None)
    if listed is None or not number >= 2:
        return
    wanted = order_of(int(number))
    if listed_operations([str(text) for text in listed]).n_rotations() >= wanted:
        return
    # all atoms may be listed without their symmetry
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    symmetry = spglib.get_symmetry(cell, symprec=0.05)
    n_found = 0 if symmetry is None else len(np.unique(symmetry["rotations"], axis=0))
    if n_found < wanted:
        raise CifError(
            f"{where} lists fewer operations than its space group {int(number)} has, and not all "
            "atoms"
        )


def _first(block: CIFBlock, tags: Sequence[str]) -> Any:
    """Value of the first of several tags that has one, else an empty string."""
    for tag in tags:
        value = block.get(tag)
        value = value[0] if isinstance(value, list) and value else value
        if value is not None and str(value).strip() not in _UNKNOWN:
            return value
    return ""


def _column(block: CIFBlock, tag: str) -> list[Any] | None:
    """Values of a loop, or the single one outside of a loop."""
    value: Any = block.get(tag)
    return value if value is None or isinstance(value, list) else [value]


def _number(value: Any, default: float = float("nan")) -> float:
    """Value as a number; the default if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return default
