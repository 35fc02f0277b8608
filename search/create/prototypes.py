"""
Structures from prototypes: known structure types with the elements of the search put in.

Off unless a source is named, since a search that is given the answer proves nothing. "aflow" takes
the 288 types of the AFLOW library that pymatgen carries (Mehl et al., Comput. Mater. Sci. 136, S1
(2017)): the widest collection that comes with a package this one needs anyway, with primitive
cells and no licence of its own to mind. Any folder of CIF files works as well.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import chain, permutations, product
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnp.storage.cif import CifError, read_cif
from search.create.nets import repeated
from search.create.operators import plain_sorted
from search.create.random_crystals import GenerationError
from search.symmetry import spglib_cell

if TYPE_CHECKING:
    from ase import Atoms

    from search.geometry import DistanceLimits

AFLOW = "aflow"
TRIES = 10
MOST_ASSIGNMENTS = 24
"""Ways to put the elements into a type: five that are equally frequent would have 120."""


class PrototypeError(ValueError):
    """A source of prototypes is missing, broken or of no use for a compound."""


@dataclass(frozen=True)
class PrototypeLibrary:
    """
    Structure types of one stoichiometry, whatever their elements.

    Examples
    --------
    >>> library = PrototypeLibrary.load("aflow", {"Mg": 2, "Si": 1, "O": 4})
    >>> library.structure({"Mg": 4, "Si": 2, "O": 8}, 150.0, limits, rng)
    """

    types: tuple[Atoms, ...]

    @classmethod
    def load(cls, source: str, composition: Mapping[str, int]) -> PrototypeLibrary:
        """
        Read those of a source that have the stoichiometry of `composition`.

        Parameters
        ----------
        source : str
            "aflow", or a folder with CIF files.
        composition : mapping of str to int
            Atoms of each element in a formula unit.

        Raises
        ------
        PrototypeError
            If the source is neither, or has no type of that stoichiometry.
        """
        known = _aflow() if source == AFLOW else _from_folder(Path(source))
        wanted = _stoichiometry(composition)
        fitting = tuple(a for a in known if _stoichiometry(Counter(a.symbols)) == wanted)
        if not fitting:
            ratio = ":".join(str(n) for n in wanted)
            raise PrototypeError(
                f"the prototypes of {source} have none of the stoichiometry {ratio}"
            )
        return cls(fitting)

    def first_structures(
        self,
        composition: Mapping[str, int],
        units: Sequence[int],
        volume_per_atom: float | None,
        limits: DistanceLimits,
    ) -> list[Atoms]:
        """
        Put the elements into each type, once in each way that is another structure.

        Where elements are as frequent as each other, that which suits their radii best comes first:
        of all types, then the next best of all.

        Parameters
        ----------
        composition : mapping of str to int
            Atoms of each element in a formula unit.
        units : sequence of int
            Formula units that a cell may have; a type has as few as it can.
        volume_per_atom : float or None
            Å³; none: that of the type, scaled by the covalent radii of its elements and the new
            ones.
        limits : DistanceLimits
            Shortest distances; a type that does not keep them is left out.

        Returns
        -------
        list of ase.Atoms
        """
        rng = np.random.default_rng(0)  # which supercell a type becomes is no matter
        unit = sum(composition.values())
        ranked: list[tuple[int, Atoms]] = []
        for known in self.types:
            size = min((z * unit for z in units if z * unit % len(known) == 0), default=0)
            if not size:
                continue
            different: list[Atoms] = []
            for new in _assignments(known, composition):
                atoms = _with_elements(known, new)
                volume = volume_per_atom or _scaled_volume(known, new)
                if size > len(atoms):
                    atoms = repeated(atoms, size // len(atoms), rng)
                atoms.set_cell(
                    atoms.cell.array * (volume * size / atoms.get_volume()) ** (1 / 3),
                    scale_atoms=True,
                )
                is_new = not any(_is_same(atoms, other) for other in different)
                if is_new and limits.push_apart(atoms):
                    different.append(plain_sorted(atoms))
            ranked += enumerate(different)
        return [atoms for _, atoms in sorted(ranked, key=lambda pair: pair[0])]

    def structure(
        self,
        counts: Mapping[str, int],
        volume: float,
        limits: DistanceLimits,
        rng: np.random.Generator,
    ) -> Atoms:
        """
        Fill a random type with `counts` atoms of each element, in a cell of `volume` (Å³).

        A type whose primitive cell is a part of what is asked for is repeated. Raises
        `GenerationError` if none fits or keeps the distances.
        """
        total = sum(counts.values())
        fitting = [atoms for atoms in self.types if total % len(atoms) == 0]
        if not fitting:
            raise GenerationError(f"no prototype has a cell of {total} atoms or a part of it")
        for _ in range(TRIES):
            atoms = fitting[int(rng.integers(len(fitting)))].copy()
            _substitute(atoms, counts, rng)
            if len(atoms) < total:
                atoms = repeated(atoms, total // len(atoms), rng)
            scale = (volume / atoms.get_volume()) ** (1 / 3)
            atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
            if limits.push_apart(atoms):
                return plain_sorted(atoms)
        raise GenerationError("no prototype keeps the distances")


def _stoichiometry(counts: Mapping[str, int]) -> tuple[int, ...]:
    """Counts in lowest terms, in order."""
    common = gcd(*counts.values())
    return tuple(sorted(n // common for n in counts.values()))


def _substitute(atoms: Atoms, counts: Mapping[str, int], rng: np.random.Generator) -> None:
    """Put the elements of `counts` where elements are as frequent, by chance among equals."""
    from ase.data import atomic_numbers

    present = Counter(atoms.symbols)
    old = sorted(rng.permutation(sorted(present)), key=lambda symbol: present[symbol])
    new = sorted(counts, key=lambda symbol: counts[symbol])
    numbers = atoms.numbers.copy()
    for before, after in zip(old, new, strict=True):
        numbers[atoms.numbers == atomic_numbers[before]] = atomic_numbers[after]
    atoms.numbers[:] = numbers


def _assignments(known: Atoms, composition: Mapping[str, int]) -> list[dict[str, str]]:
    """New element for each of a type's, in many ways, that which suits the radii best first."""
    present = Counter(known.symbols)
    old = sorted(present, key=lambda symbol: (present[symbol], symbol))
    by_count: dict[int, list[str]] = defaultdict(list)
    for symbol, count in composition.items():
        by_count[count].append(symbol)
    ways = product(*(permutations(by_count[count]) for count in sorted(by_count)))
    found = [dict(zip(old, chain(*way), strict=True)) for way in ways]
    return sorted(found, key=_misfit)[:MOST_ASSIGNMENTS]


def _misfit(new: Mapping[str, str]) -> float:
    """How far radii are from those of the elements they replace, whatever the scale."""
    ratios = [np.log(_radius(after) / _radius(before)) for before, after in new.items()]
    return float(np.var(ratios))


def _radius(symbol: str) -> float:
    """Covalent radius, Å."""
    from ase.data import atomic_numbers, covalent_radii

    return float(covalent_radii[atomic_numbers[symbol]])


def _scaled_volume(known: Atoms, new: Mapping[str, str]) -> float:
    """Volume per atom (Å³) of a type whose atoms have other radii."""
    before = sum(_radius(symbol) ** 3 for symbol in known.symbols)
    after = sum(_radius(new[symbol]) ** 3 for symbol in known.symbols)
    return float(known.get_volume() / len(known) * after / before)


def _with_elements(known: Atoms, new: Mapping[str, str]) -> Atoms:
    """Return a type with other elements."""
    atoms = known.copy()
    atoms.symbols[:] = [new[symbol] for symbol in known.symbols]
    return atoms


def _is_same(one: Atoms, other: Atoms) -> bool:
    """Whether two ways to put the elements into a type are one structure."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    read = AseAtomsAdaptor.get_structure
    return bool(StructureMatcher().fit(read(plain_sorted(one)), read(plain_sorted(other))))


@lru_cache(maxsize=1)
def _aflow() -> tuple[Atoms, ...]:
    """Structure types of the AFLOW library in pymatgen."""
    from ase import Atoms

    file = files("pymatgen.analysis.prototypes") / "aflow_prototypes.json.gz"
    entries = json.loads(gzip.decompress(file.read_bytes()))
    structures = []
    for entry in entries:
        snl = entry["snl"]
        sites = snl["sites"]
        if any(len(site["species"]) != 1 for site in sites):
            continue
        structures.append(
            Atoms(
                [site["species"][0]["element"] for site in sites],
                scaled_positions=[site["abc"] for site in sites],
                cell=snl["lattice"]["matrix"],
                pbc=True,
            )
        )
    return tuple(structures)


def _from_folder(folder: Path) -> tuple[Atoms, ...]:
    """Structure types from the CIF files of a folder, in their primitive cells."""
    paths = sorted(folder.glob("*.cif")) if folder.is_dir() else []
    if not paths:
        raise PrototypeError(
            f"prototypes come from {AFLOW!r} or a folder with CIF files; {folder} is neither"
        )
    return tuple(_primitive(atoms) for path in paths for atoms in _read_prototypes(path))


def _read_prototypes(path: Path) -> list[Atoms]:
    """Crystals of a CIF file, ordered and in the setting it names."""
    try:
        return read_cif(path.read_text(encoding="utf-8", errors="replace"), str(path))
    except OSError as error:
        raise PrototypeError(f"the prototype {path} cannot be read: {error.strerror}") from error
    except CifError as error:
        raise PrototypeError(f"the prototype {error}") from error


def _primitive(atoms: Atoms) -> Atoms:
    """Return the primitive cell of a crystal."""
    import spglib
    from ase import Atoms

    found = spglib.find_primitive(spglib_cell(atoms))
    if found is None:
        return atoms
    cell, positions, numbers = found
    return Atoms(numbers, scaled_positions=positions, cell=cell, pbc=True)
