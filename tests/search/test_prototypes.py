from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from search.create.prototypes import PrototypeLibrary
from search.create.random_crystals import GenerationError
from search.geometry import DistanceLimits
from search.symmetry import find_space_group

LIMITS = DistanceLimits.from_radii(("Mg", "O"), 0.7)


def _group(atoms: Atoms) -> int:
    return find_space_group(atoms, 1e-3).number


def test_aflow_has_the_simple_binary_types() -> None:
    library = PrototypeLibrary.load("aflow", {"Mg": 1, "O": 1})
    rng = np.random.default_rng(0)
    groups = {_group(library.structure({"Mg": 2, "O": 2}, 40.0, LIMITS, rng)) for _ in range(60)}
    assert {225, 221, 186} <= groups  # rock salt, caesium chloride, wurtzite


def test_structures_have_what_was_asked_for() -> None:
    counts = {"Mg": 4, "Si": 2, "O": 8}
    limits = DistanceLimits.from_radii(list(counts), 0.6)
    library = PrototypeLibrary.load("aflow", {"Mg": 2, "Si": 1, "O": 4})
    rng = np.random.default_rng(1)
    for _ in range(5):
        atoms = library.structure(counts, 160.0, limits, rng)
        assert Counter(atoms.symbols) == counts
        assert atoms.get_volume() == pytest.approx(160.0)
        assert not limits.violated(atoms)


def test_folder_of_cifs_and_both_ways_to_put_two_elements(tmp_path: Path) -> None:
    fluorite = bulk("CaF2", "fluorite", a=5.46)
    write(tmp_path / "fluorite.cif", fluorite * (2, 1, 1))
    library = PrototypeLibrary.load(str(tmp_path), {"Li": 2, "O": 1})
    assert [len(atoms) for atoms in library.types] == [3]
    limits = DistanceLimits.from_radii(("Li", "O"), 0.6)
    rng = np.random.default_rng(0)
    atoms = library.structure({"Li": 4, "O": 2}, 50.0, limits, rng)
    assert Counter(atoms.symbols) == {"Li": 4, "O": 2}
    assert _group(atoms) == 225


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither"):
        PrototypeLibrary.load(str(tmp_path), {"Mg": 1})
    with pytest.raises(ValueError, match="7:11"):
        PrototypeLibrary.load("aflow", {"Mg": 7, "O": 11})
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", a=5.6))
    library = PrototypeLibrary.load(str(tmp_path), {"Mg": 1, "O": 1})
    with pytest.raises(GenerationError, match="distances"):
        library.structure({"Mg": 1, "O": 1}, 2.0, LIMITS, np.random.default_rng(0))


def test_a_broken_or_disordered_prototype_is_named(tmp_path: Path) -> None:
    path = tmp_path / "salt.cif"
    write(path, bulk("NaCl", "rocksalt", a=5.6))
    good = path.read_text()
    for content, message in (
        ("", "salt.cif is no CIF|salt.cif has no block"),
        ("data_x\n", "salt.cif has no block with a cell"),
        (good.replace("1.0000", "0.5000", 1), "salt.cif: the site Na1 has an occupancy of 0.5"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            PrototypeLibrary.load(str(tmp_path), {"Mg": 1, "O": 1})
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="cannot be read"):
        PrototypeLibrary.load(str(tmp_path), {"Mg": 1, "O": 1})
