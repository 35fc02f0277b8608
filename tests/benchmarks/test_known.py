"""Known phases are what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Composition, Structure

from tests.benchmarks import known
from tests.benchmarks.known import PHASES, PublishedPhase
from tests.benchmarks.phases import STRICT, primitive_cell, read_phases, space_group

#: By formula and name: space group, formula units in the primitive cell, density (g/cm³, of
#: handbooks), shortest bond (Å), and elements and neighbours of two kinds of atoms, nearer than 1.2
#: bonds, or than a third number (Å).
EXPECTED = {
    "TiO2_rutile": (136, 2, 4.25, 1.95, ("Ti", 6), ("O", 3)),
    "TiO2_anatase": (141, 2, 3.89, 1.93, ("Ti", 6), ("O", 3)),
    "TiO2_brookite": (61, 8, 4.13, 1.87, ("Ti", 6), ("O", 3)),
    "Si3N4_beta": (176, 2, 3.20, 1.71, ("Si", 4), ("N", 3)),
    "Si3N4_alpha": (159, 4, 3.18, 1.71, ("Si", 4), ("N", 3)),
    "SiO2_quartz": (154, 3, 2.65, 1.605, ("Si", 4), ("O", 2)),
    "SiO2_coesite": (15, 8, 2.92, 1.594, ("Si", 4), ("O", 2)),
    "SiO2_stishovite": (136, 2, 4.28, 1.758, ("Si", 6), ("O", 3)),
    "MgO_periclase": (225, 1, 3.58, 2.106, ("Mg", 6), ("O", 6)),
    "MgSiO3_clinoenstatite": (14, 8, 3.21, 1.588, ("Si", 4), ("Mg", 6, 2.5)),
    "MgSiO3_akimotoite": (148, 2, 3.81, 1.766, ("Si", 6), ("Mg", 6, 2.5)),
    "MgSiO3_bridgmanite": (62, 4, 4.10, 1.783, ("Si", 6), ("Mg", 8, 2.5)),
    "Mg2SiO4_forsterite": (62, 4, 3.22, 1.615, ("Si", 4), ("Mg", 6, 2.5)),
    "Mg2SiO4_ringwoodite": (227, 2, 3.56, 1.664, ("Si", 4), ("Mg", 6, 2.5)),
    "Mg2Si_antifluorite": (225, 1, 1.99, 2.75, ("Mg", 4), ("Si", 8)),
    "GaN_wurtzite": (186, 2, 6.1, 1.95, ("Ga", 4), ("N", 4)),
    "GaN_zincblende": (216, 1, 6.1, 1.95, ("Ga", 4), ("N", 4)),
}
ALL = pytest.mark.parametrize("phase", PHASES, ids=lambda phase: f"{phase.formula}_{phase.name}")


@ALL
def test_space_group_and_formula(phase: PublishedPhase) -> None:
    group, z, density, *_ = EXPECTED[f"{phase.formula}_{phase.name}"]
    structure = phase.structure()
    assert space_group(structure, STRICT) == group
    units = Composition(phase.formula)
    assert structure.composition.reduced_composition == units.reduced_composition
    assert len(primitive_cell(structure)) == z * units.num_atoms
    assert float(structure.density) == pytest.approx(density, rel=0.015)


@ALL
def test_bonds(phase: PublishedPhase) -> None:
    *_, bond, first, second = EXPECTED[f"{phase.formula}_{phase.name}"]
    structure = phase.structure()
    distances = structure.distance_matrix + 100 * np.eye(len(structure))
    assert distances.min() == pytest.approx(bond, abs=0.02)
    for element, number, *radius in (first, second):
        sites = [site for site in structure if site.specie.symbol == element]
        counts = {len(_bonds(structure, site, *(radius or [1.2 * bond]))) for site in sites}
        assert counts == {number}


def _bonds(structure: Structure, site: object, radius: float) -> list[object]:
    """Neighbours of another element."""
    near = structure.get_neighbors(site, radius)  # type: ignore[arg-type]
    return [n for n in near if n.specie != site.specie]  # type: ignore[attr-defined]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["known", "-o", str(tmp_path / "phases")])
    known.main()
    monkeypatch.setattr(
        "sys.argv", ["known", "--formulas", "MgO", "Mg2SiO4", "-o", str(tmp_path / "few")]
    )
    known.main()
    few = {"MgO_periclase.vasp", "Mg2SiO4_forsterite.vasp", "Mg2SiO4_ringwoodite.vasp"}
    assert {path.name for path in (tmp_path / "few").iterdir()} == few
    read = read_phases([tmp_path / "phases"])
    assert {phase.name for phase in read} == set(EXPECTED)
    assert {phase.name: phase.z for phase in read} == {name: e[1] for name, e in EXPECTED.items()}
