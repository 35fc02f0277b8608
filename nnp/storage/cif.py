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

from nnp.storage.cif_block import (
    NUMBERS,
    OPERATIONS,
    UNKNOWN,
    CifError,
    atoms_told,
    column,
    first,
    formula_of,
    in_lowest_terms,
    named_in,
    to_number,
)
from nnp.storage.space_groups import Operations, SpaceGroupError, listed_operations, order_of

if TYPE_CHECKING:
    from ase import Atoms
    from ase.io.cif import CIFBlock

#: How far (Å) an atom may lie from where its symmetry puts it: coordinates have few digits.
SPECIAL_POSITION = 0.1
#: Å; atoms of different sites are never that near.
ONE_PLACE = 0.3
#: Occupancies within this of one are one.
FULL = 1e-3
#: Atoms of one structure.
MOST_ATOMS = 20_000


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
        blocks = [b for b in parse_cif(StringIO(text)) if first(b, ("_cell_length_a",)) != ""]
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
    if any("magn_operation" in tag for tag in block) and not first(block, OPERATIONS):
        raise CifError(f"{where} has magnetic operations; write it as a CIF without them")
    if to_number(block.get("_cell_modulation_dimension"), 0.0) > 0:
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

    lengths = [to_number(block.get(f"_cell_length_{axis}")) for axis in "abc"]
    angles = [
        to_number(block.get(f"_cell_angle_{axis}"), 90.0) for axis in ("alpha", "beta", "gamma")
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
        name: column(block, f"_atom_site_{name}")
        for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy",
                     "attached_hydrogens", "symmetry_multiplicity", "calc_flag",
                     "disorder_group")
    }  # fmt: skip
    length = len(columns["fract_x"] or [])
    groups = {str(group) for group in columns["disorder_group"] or []} - set(UNKNOWN)
    if len(groups) > 1:
        raise CifError(f"{where} has sites of which one or other is occupied: it is disordered")
    sites = []
    for i in range(length):
        row = {name: column[i] for name, column in columns.items() if column and i < len(column)}
        label = str(row.get("label", row.get("type_symbol", i + 1)))
        if str(row.get("calc_flag", "")).lower() == "dum":
            continue
        if not _is_occupied(row.get("occupancy", 1.0), f"{where}: the site {label}"):
            continue
        if to_number(row.get("attached_hydrogens"), 0.0) > 0:
            raise CifError(f"{where}: the site {label} stands for hydrogen atoms without positions")
        position = np.array([to_number(row.get(f"fract_{axis}")) for axis in "xyz"])
        if not np.isfinite(position).all():
            raise CifError(f"{where}: the site {label} has no coordinates")
        multiplicity = to_number(row.get("symmetry_multiplicity"))
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
    if isinstance(value, str) and value.strip() in UNKNOWN:
        return True
    occupancy = to_number(value)
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
    text = label if given in UNKNOWN else given
    letters = re.match(r"[A-Za-z]*", text)
    word = letters[0] if letters else ""
    isotopes = {"D": "H", "T": "H"}
    candidates = [word.capitalize()] if len(word) <= 2 else []
    if given in UNKNOWN:  # a label may go on with other letters: O1W, CuA
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
    listed = next((found for tag in OPERATIONS if (found := column(block, tag))), None)
    if listed:
        operations = listed_operations([str(text) for text in listed])
        if not operations.keep(cell):
            raise SpaceGroupError("lists operations that its cell does not have")
        return [operations]
    return named_in(block, cell) or [listed_operations(["x, y, z"])]


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
    wanted = atoms_told(block)
    told = [site.multiplicity for site in sites]
    if wanted is not None:
        made = [one for one in made if len(one[0]) in wanted]
    if None not in told:
        made = [one for one in made if [one[1].count(i) for i in range(len(sites))] == told]
    return list(made) if wanted is not None or None not in told else []


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
    """Refuse a crystal of fewer or other atoms than the file says it has."""
    _require_formula(block, where, atoms)
    listed = next((found for tag in OPERATIONS if (found := column(block, tag))), None)
    if listed is None:
        return
    operations = listed_operations([str(text) for text in listed])
    try:
        named = named_in(block, atoms.cell.array)
    except SpaceGroupError:  # of another cell, for instance a primitive one
        named = []
    # all atoms may be listed without their symmetry
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    if named:
        wanted = min(len(found.rotations) for found in named)
        lacks = len(operations.rotations) < wanted and _symmetries(cell)[0] < wanted
    else:
        number = to_number(first(block, NUMBERS))
        wanted = order_of(int(number)) if number >= 2 else 1
        lacks = operations.n_rotations() < wanted and _symmetries(cell)[1] < wanted
    if lacks:
        raise CifError(
            f"{where} lists fewer operations than the space group has that it names, and not all "
            "atoms"
        )


def _symmetries(cell: tuple[Any, ...]) -> tuple[int, int]:
    """Numbers of operations and of rotations of a crystal."""
    import spglib

    symmetry = spglib.get_symmetry(cell, symprec=0.05)
    if symmetry is None:
        return 0, 0
    return len(symmetry["rotations"]), len(np.unique(symmetry["rotations"], axis=0))


def _require_formula(block: CIFBlock, where: str, atoms: Atoms) -> None:
    """Refuse a crystal that is not of the formula of its file: hydrogen may be missing."""
    from pymatgen.core import Composition

    made = in_lowest_terms(Composition(str(atoms.symbols)))[0]
    formula = formula_of(block)
    told = None if formula is None else in_lowest_terms(formula)[0]
    if told not in (None, made):
        raise CifError(
            f"{where} says that it is {told}, and its sites are {made}: some "
            "are missing or disordered, or the formula is not of this crystal"
        )
    numbers = atoms_told(block)
    if numbers is not None and len(atoms) not in numbers:
        raise CifError(
            f"{where} says that its cell has {max(numbers)} atoms, and its sites make {len(atoms)}"
        )
