from __future__ import annotations

import json
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
from search.options import EvolutionOptions
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.run.islands import set_up_islands
from search.symmetry import find_space_group
from tests.search.pair_energy import PairEnergy

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
    with pytest.raises(ValueError, match=r"salt\.cif cannot be read"):
        PrototypeLibrary.load(str(tmp_path), {"Mg": 1, "O": 1})


def _first(formula: dict[str, int], units: tuple[int, ...], volume: float | None) -> list[Atoms]:
    limits = DistanceLimits.from_radii(list(formula), 0.7)
    library = PrototypeLibrary.load("aflow", formula)
    return library.first_structures(formula, units, volume, limits)


def test_first_structures_are_all_types_once() -> None:
    made = _first({"Na": 1, "Cl": 1}, (1, 2, 4), None)
    groups = Counter(_group(atoms) for atoms in made)
    assert groups[225] == 1, "exchanging the elements of rock salt makes no other structure"
    assert {221, 216, 186} <= set(groups)
    assert all(Counter(atoms.symbols)["Na"] == len(atoms) / 2 for atoms in made)
    (salt,) = (atoms for atoms in made if _group(atoms) == 225)
    bond = salt.get_all_distances(mic=True)[0, 1]
    assert bond == pytest.approx(2.82, rel=0.15)  # of NaCl; radii are no better
    (given,) = (a for a in _first({"Na": 1, "Cl": 1}, (1, 2, 4), 22.4) if _group(a) == 225)
    assert given.get_volume() / len(given) == pytest.approx(22.4)


def test_the_larger_ion_takes_the_larger_site_first() -> None:
    """Perovskite has two elements as frequent as each other: A in twelve oxygen atoms, B in six."""
    made = [a for a in _first({"Sr": 1, "Ti": 1, "O": 3}, (1,), None) if _group(a) == 221]
    assert len(made) >= 2
    first, second = made[:2]
    neighbours = []
    for atoms in (first, second):
        sr, ti = (list(atoms.symbols).index(symbol) for symbol in ("Sr", "Ti"))
        oxygen = [k for k, symbol in enumerate(atoms.symbols) if symbol == "O"]
        distances = atoms.get_all_distances(mic=True)
        neighbours.append(distances[sr, oxygen].min() > distances[ti, oxygen].min())
    assert neighbours == [True, False]
    volume = first.get_volume()
    assert volume == pytest.approx(59.5, rel=0.35)


def test_a_search_begins_with_them_and_knows_what_came_of_them(rock_salt: PairEnergy) -> None:
    options = EvolutionOptions(
        formula_units=(1, 2, 4), population=30, generations=4, prototypes="aflow"
    )
    islands = set_up_islands({"Na": 1, "Cl": 1}, options, [1, 2])
    number = sum(len(island.prototypes) for island in islands)
    evolution = islands[0]
    first = evolution.ask()
    own = [c for c in first if c.operator == "prototype"]
    assert len(own) >= min(30, number // 2)
    groups = {_group(c.atoms) for island in islands for c in island.ask()[:number]}
    assert 225 in groups
    again = type(evolution).from_dict(json.loads(json.dumps(evolution.as_dict())))
    assert len(again.prototypes) == len(evolution.prototypes)
    evolution = run_generations(again, Relaxer(), rock_salt, 4)
    for individual in evolution.individuals:
        expected = individual.operator == "prototype" or any(
            evolution.individuals[parent].of_prototype for parent in individual.parents
        )
        assert individual.of_prototype == expected
    origins = Counter(i.of_prototype for i in evolution.individuals)
    assert origins[True] > 0
    assert origins[False] > 0
    other = islands[1]
    other.pending = []
    other.add_migrants(evolution.best(3))
    migrants = [i for i in other.individuals if i.operator == "island"]
    assert [m.of_prototype for m in migrants] == [m.of_prototype for m in evolution.best(3)]


def test_prototypes_of_space_groups_asked_for(rock_salt: PairEnergy) -> None:
    options = EvolutionOptions(
        formula_units=(1,), population=4, prototypes="aflow", space_groups="225"
    )
    (island,) = set_up_islands({"Na": 1, "Cl": 1}, options, [1])
    assert [_group(atoms) for atoms in island.prototypes] == [225]
