"""Crystals from files: CIF, POSCAR, extended XYZ, packed and several in one."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.io import write
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from nnp.formats.structures import StructureFileError, read_crystals, read_structures
from nnp.storage import space_groups
from nnp.storage.space_groups import named_operations

CUBE = "_cell_length_a {a}\n_cell_length_b {a}\n_cell_length_c {a}\n"
COLUMNS = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"


def cif(path: Path, lines: str, sites: str, a: float = 5.43, more: str = "") -> Path:
    """A cubic crystal with some lines about its symmetry, its sites and further columns of them."""
    path.write_text(f"data_x\n{CUBE.format(a=a)}{lines}\n{COLUMNS}{more}{sites}\n")
    return path


def group(atoms: Atoms) -> int:
    """Number of the space group."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    assert found is not None
    return int(found.number)


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("_space_group_name_H-M_alt 'F d -3 m :1'", "Si1 0 0 0"),
        ("_space_group_name_H-M_alt 'F d -3 m :2'", "Si1 0.125 0.125 0.125"),
        ("_symmetry_space_group_name_H-M 'F d -3 m Z'", "Si1 0.125 0.125 0.125"),
        ("_symmetry_space_group_name_H-M 'Fd-3m:2'\n_symmetry_Int_Tables_number 227",
         "Si1 0.125 0.125 0.125"),
        ("_symmetry_space_group_name_H-M 'F d 3 m S'", "Si1 0 0 0"),
        ("_space_group_name_Hall '-F 4vw 2vw 3'", "Si1 0.125 0.125 0.125"),
        ("_space_group_IT_number 227\n_space_group_IT_coordinate_system_code 2",
         "Si1 0.125 0.125 0.125"),
        ("_space_group_name_H-M_alt 'F d -3 m'\n_chemical_formula_sum Si\n"
         "_cell_formula_units_Z 8", "Si1 0.125 0.125 0.125"),
    ],
)  # fmt: skip
def test_the_origin_is_the_one_the_file_says(tmp_path: Path, name: str, sites: str) -> None:
    """Silicon, however its space group is written: eight atoms, bonds of 2.35 Å."""
    (atoms,) = read_crystals(cif(tmp_path / "si.cif", name, sites))
    assert len(atoms) == 8
    assert group(atoms) == 227
    distances = atoms.get_all_distances(mic=True)
    assert distances[distances > 0].min() == pytest.approx(5.43 * 3**0.5 / 4)


def test_both_origins_of_litharge_are_one_crystal(tmp_path: Path) -> None:
    """PbO, P4/nmm, after both settings of the International Tables."""
    cell = "_cell_length_a 3.96\n_cell_length_b 3.96\n_cell_length_c 5.01\n"
    made = []
    for origin, sites in (
        (1, "Pb1 0 0.5 0.237\nO1 0 0 0"),
        (2, "Pb1 0.25 0.25 0.237\nO1 0.75 0.25 0"),
    ):
        path = tmp_path / f"{origin}.cif"
        name = f"_symmetry_space_group_name_H-M 'P 4/n m m :{origin}'"
        path.write_text(f"data_x\n{cell}{name}\n{COLUMNS}{sites}\n")
        (atoms,) = read_crystals(path)
        assert atoms.get_chemical_formula() == "O2Pb2"
        assert group(atoms) == 129
        made.append(AseAtomsAdaptor.get_structure(atoms))
        path.write_text(path.read_text().replace(f" :{origin}'", "'"))
        with pytest.raises(StructureFileError, match="more than one origin"):
            read_crystals(path)
    assert StructureMatcher(ltol=1e-3, stol=1e-3).fit(*made)


def test_cells_tell_the_axes_of_rhombohedral_crystals(tmp_path: Path) -> None:
    """Bismuth in hexagonal and in rhombohedral axes, of one symbol: six atoms and two."""
    for (a, c, alpha, gamma), site, n_atoms in (
        ((4.546, 11.862, 90, 120), "Bi1 0 0 0.234", 6),
        ((4.746, 4.746, 57.23, 57.23), "Bi1 0.234 0.234 0.234", 2),
    ):
        path = tmp_path / "bi.cif"
        path.write_text(
            f"data_x\n_cell_length_a {a}\n_cell_length_b {a}\n_cell_length_c {c}\n"
            f"_cell_angle_alpha {alpha}\n_cell_angle_beta {alpha}\n_cell_angle_gamma {gamma}\n"
            f"_symmetry_space_group_name_H-M 'R -3 m'\n{COLUMNS}{site}\n"
        )
        (atoms,) = read_crystals(path)
        assert len(atoms) == n_atoms
        assert group(atoms) == 166


def test_an_origin_that_is_not_said_is_not_guessed(tmp_path: Path) -> None:
    path = cif(tmp_path / "si.cif", "_space_group_name_H-M_alt 'F d -3 m'", "Si1 0 0 0")
    with pytest.raises(StructureFileError, match="more than one origin: write the operations"):
        read_structures(path)


def test_every_setting_is_found_by_its_symbols() -> None:
    """In a cell that has the symmetry, symbol and choice, or Hall's symbol, name one setting."""
    for number in range(1, 531):
        row, operations = spglib.get_spacegroup_type(number), space_groups._operations(number)
        assert row is not None
        vectors = 5 * np.eye(3) + np.random.default_rng(number).normal(0, 0.3, (3, 3))
        metric = vectors @ vectors.T
        metric = np.mean([w.T @ metric @ w for w in operations.rotations], axis=0)
        cell = np.linalg.cholesky(metric)
        name = row.international.split("=")[1 if "=" in row.international else 0]
        name = f"{name}:{row.choice}" if row.choice else name
        for symbol, hall in ((name, ""), ("", row.hall_symbol)):
            found = named_operations(
                symbol=symbol, hall=hall, number=row.number, choice="", cell=cell
            )
            assert len(found) == 1, (symbol, hall)
            assert len(space_groups._distinct([found[0], operations])) == 1, (symbol, hall)


@pytest.mark.parametrize("number", [2, 14, 62, 136, 166, 194, 221, 225, 227, 230])
def test_crystals_are_those_of_pymatgen(tmp_path: Path, number: int) -> None:
    """Written with their operations and an asymmetric unit, and with their symbol alone."""
    lattice = {
        2: Lattice.from_parameters(5.1, 6.2, 7.3, 80, 95, 105),
        14: Lattice.monoclinic(5.1, 6.2, 7.3, 103),
        62: Lattice.orthorhombic(5.1, 6.2, 7.3),
        136: Lattice.tetragonal(5.1, 7.3),
        166: Lattice.hexagonal(9.1, 12.2),
        194: Lattice.hexagonal(9.1, 7.3),
    }.get(number, Lattice.cubic(9.1))
    general = [0.05, 0.11, 0.19] if number > 194 else [0.14, 0.42, 0.09]
    sites = [[0.0, 0.0, 0.0], general]
    crystal = Structure.from_spacegroup(number, lattice, ["Cu", "O"], sites)
    path = tmp_path / "crystal.cif"
    CifWriter(crystal, symprec=0.01).write_file(path)
    (atoms,) = read_structures(path)
    assert len(atoms) == len(crystal)
    assert group(atoms) == number
    assert atoms.get_volume() == pytest.approx(crystal.volume)


def test_positions_of_few_digits_are_put_where_they_belong(tmp_path: Path) -> None:
    """Magnesium at 0.333, 0.667: two atoms, not twelve."""
    path = tmp_path / "mg.cif"
    path.write_text(
        "data_mg\n_cell_length_a 3.21\n_cell_length_b 3.21\n_cell_length_c 5.21\n"
        "_cell_angle_gamma 120\n_symmetry_space_group_name_H-M 'P 63/m m c'\n"
        f"{COLUMNS}Mg1 0.333 0.667 0.25\n"
    )
    (atoms,) = read_crystals(path)
    assert len(atoms) == 2
    assert group(atoms) == 194


@pytest.mark.parametrize(
    ("occupancies", "message"),
    [
        (("0.5", "1"), "the site Cu1 has an occupancy of 0.5: a disordered crystal"),
        (("1", "1.2"), "the site Cl1 has an occupancy of 1.2"),
        (("1", "-1"), "the site Cl1 has an occupancy of -1"),
    ],
)
def test_disorder_is_refused_by_file_and_site(
    tmp_path: Path, occupancies: tuple[str, str], message: str
) -> None:
    path = cif(
        tmp_path / "salt.cif",
        "_space_group_name_H-M_alt 'F m -3 m'",
        f"Cu1 0 0 0 {occupancies[0]}\nCl1 0.5 0.5 0.5 {occupancies[1]}",
        more="_atom_site_occupancy\n",
    )
    with pytest.raises(StructureFileError, match=message) as raised:
        read_structures(path)
    assert str(path) in str(raised.value)


def test_what_ase_notes_beside_the_atoms_is_disorder_too(tmp_path: Path) -> None:
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    for share, refused in ((0.5, True), (1.0, False)):
        atoms.set_array("occupancy", np.array([1.0, 1.0, share, 1.0]))
        atoms.info["occupancy"] = {"0": {"Cu": 1.0}}
        write(tmp_path / "atoms.extxyz", atoms)
        noted = bulk("Cu")
        noted.info["occupancy"] = {"0": {"Cu": share}}
        write(tmp_path / "noted.traj", noted)
        for name in ("atoms.extxyz", "noted.traj"):
            if refused:
                with pytest.raises(StructureFileError, match="partly occupied"):
                    read_structures(tmp_path / name)
            else:
                assert len(read_structures(tmp_path / name)) == 1


def test_symmetry_that_is_not_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "cell.pdb", bulk("Cu", cubic=True))
    assert len(read_structures(tmp_path / "cell.pdb")[0]) == 4
    text = (tmp_path / "cell.pdb").read_text()
    (tmp_path / "cell.pdb").write_text(text.replace(" P 1", " F m -3 m"))
    with pytest.raises(StructureFileError, match="has symmetry"):
        read_structures(tmp_path / "cell.pdb")


def test_either_or_is_disorder_without_occupancies(tmp_path: Path) -> None:
    sites = "Cu1 0 0 0 {}\nCl1 0.5 0.5 0.5 {}"
    for groups, disordered in ((("1", "2"), True), (("1", "-1"), True), ((".", "1"), False)):
        path = cif(
            tmp_path / "salt.cif", "", sites.format(*groups), more="_atom_site_disorder_group\n"
        )
        if disordered:
            with pytest.raises(StructureFileError, match="it is disordered"):
                read_structures(path)
        else:
            assert read_structures(path)[0].get_chemical_formula() == "ClCu"


def test_a_site_that_nobody_occupies_holds_no_atom(tmp_path: Path) -> None:
    path = cif(
        tmp_path / "salt.cif",
        "_space_group_name_H-M_alt 'F m -3 m'",
        "Cu1 0 0 0 1.0\nCl1 0.5 0.5 0.5 1.000(3)\nO1 0.25 0.25 0.25 0\nO2 0.25 0.25 0.25 0.0",
        more="_atom_site_occupancy\n",
    )
    (atoms,) = read_structures(path)
    assert atoms.get_chemical_formula() == "Cl4Cu4"


SHELX = "TITL salt\nCELL 1.0 4 4 4 90 90 90\nLATT -1\nSFAC Cu Cl\n{sites}\nEND\n"


@pytest.mark.parametrize("ending", ["res", "ins"])
def test_a_whole_shelx_file_is_read(tmp_path: Path, ending: str) -> None:
    """As programs for structure prediction write it, and as SHELX marks what is not refined."""
    path = tmp_path / f"salt.{ending}"
    for first, second in (("1.0", "1.0"), ("11.00000 0.05", "11.0 0.02 0.02 =\n 0.02 0 0 0")):
        path.write_text(
            SHELX.format(sites=f"UNIT 1 1\nCu 1 0 0 0 {first}\nCl 2 0.5 0.5 0.5 {second}")
        )
        (atoms,) = read_crystals(path)
        assert atoms.get_chemical_formula() == "ClCu"
        assert atoms.get_scaled_positions()[1] == pytest.approx([0.5] * 3)
    write(tmp_path / "silicon.res", bulk("Si", cubic=True))
    (atoms,) = read_crystals(tmp_path / "silicon.res")
    assert group(atoms) == 227


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0.5 1.0", "0.5 0.5"), "the site Cl has an occupancy of 0.5: a disordered crystal"),
        (("0.5 1.0", "0.5 10.5"), "the site Cl has an occupancy of 10.5"),
        (("0.5 1.0", "0.5 21.0"), "the site Cl has an occupancy of 21.0"),
        (("0.5 1.0", "0.5 0.0"), "the site Cl has an occupancy of 0.0"),
        (("0.5 1.0", "0.5 -1.0"), "the site Cl has an occupancy of -1.0"),
        (("0.5 1.0", "0.5 much"), "the site Cl has an occupancy of much"),
        (("LATT -1", "LATT 1"), "lists only some of its atoms"),
        (("LATT -1\n", ""), "lists only some of its atoms"),
        (("LATT -1", "LATT -1\nSYMM -X, Y, Z"), "lists only some of its atoms"),
        (("0.5 1.0", "0.5"), "has atoms that cannot be read"),
    ],
)
def test_disorder_in_a_shelx_file_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    text = SHELX.format(sites="Cu 1 0 0 0 1.0\nCl 2 0.5 0.5 0.5 1.0")
    path = tmp_path / "salt.res"
    path.write_text(text)
    assert len(read_structures(path)[0]) == 2
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(StructureFileError, match=message) as raised:
        read_structures(path)
    assert str(path) in str(raised.value)


def test_a_noble_gas_is_read_without_a_warning(tmp_path: Path) -> None:
    path = cif(
        tmp_path / "argon.cif",
        "_space_group_name_H-M_alt 'F m -3 m'\n_chemical_formula_sum Ar4\n_cell_formula_units_Z 4",
        "Ar1 0 0 0",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (atoms,) = read_structures(path)
    assert len(atoms) == 4


@pytest.mark.parametrize(
    ("lines", "sites", "message"),
    [
        ("_space_group_name_H-M_alt 'F m -3 m'", "Cu1 0 0 0\nAu1 0 0 0",
         "the sites (Cu1 and Au1|Au1 and Cu1) are 0.00 Å apart"),
        ("_space_group_name_H-M_alt 'F m -3 q'", "Cu1 0 0 0", "space group that is not known"),
        ("_space_group_name_H-M_alt 'P 63/m m c'", "Cu1 0 0 0", "that its cell does not have"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-y,x,z'", "Cu1 0 0 0",
         "no group: some are missing"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'x,q,z'", "Cu1 0 0 0", "are no group"),
        ("_symmetry_Int_Tables_number 225\nloop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'",
         "Na1 0 0 0\nCl1 0.5 0.1 0.5", "lists fewer operations than the space group"),
        ("_symmetry_space_group_name_H-M 'F m -3 m'\nloop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'",
         "Cu1 0 0 0", "lists fewer operations than the space group"),
        ("_chemical_formula_sum 'Cu Au H2'", "Cu1 0 0 0\nAu1 0.5 0.5 0.5",
         "says that it is .*, and its sites are"),
        ("_chemical_formula_sum 'Cu0.5 Au'", "Cu1 0 0 0\nAu1 0.5 0.5 0.5",
         "says that it is .*, and its sites are"),
        ("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 4\n"
         "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'",
         "Na1 0 0 0\nCl1 0.5 0.5 0.5", "says that its cell has 8 atoms"),
        ("", "Cu1 ? ? ?", "the site Cu1 has no coordinates"),
        ("", "Qq1 0 0 0", "the site Qq1 is of no element"),
        ("", "CA1 0 0 0", "the site CA1 is of no element that can be told"),
        ("", "Wat1 0 0 0", "the site Wat1 is of no element"),
        ("_cell_angle_alpha 190", "Cu1 0 0 0", "has no cell"),
        ("_cell_angle_alpha 30\n_cell_angle_beta 30\n_cell_angle_gamma 90", "Cu1 0 0 0",
         "has a cell without volume"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused(
    tmp_path: Path, lines: str, sites: str, message: str
) -> None:
    with pytest.raises(StructureFileError, match=message):
        read_structures(cif(tmp_path / "x.cif", lines, sites))


def test_atoms_nearer_than_in_any_crystal_are_refused(tmp_path: Path) -> None:
    near = bulk("Cu", "fcc", a=3.6, cubic=True)
    near.positions[1] = near.positions[0] + [0.6, 0.0, 0.0]
    for atoms, message in (
        (near, r"atoms 1 \(Cu\) and 2 \(Cu\) only 0.60 Å apart"),
        (Atoms("Cu", cell=[3.0, 3.0, 1e-4], pbc=True), "cell too small"),
        (Atoms("Cu", cell=[3.0, 3.0, 0.9], pbc=True), r"atoms 1 \(Cu\) and 1 \(Cu\)"),
        (Atoms("Cu", cell=[3.0, 3.0, 3.0]), "not periodic"),
        (Atoms("Cu", [[0, 0, np.nan]], cell=[3.0, 3.0, 3.0], pbc=True), "not finite"),
    ):
        write(tmp_path / "x.extxyz", atoms)
        with pytest.raises(StructureFileError, match=message):
            read_crystals(tmp_path / "x.extxyz")


def test_files_of_several_crystals(tmp_path: Path) -> None:
    """Frames, blocks, also of one name, and POSCARs one after another; packed or not."""
    two = [bulk("Cu", "fcc", a=3.6), bulk("Cu", "bcc", a=2.9, cubic=True)]
    write(tmp_path / "two.extxyz", two)
    write(tmp_path / "two.cif", two)
    text = (tmp_path / "two.cif").read_text()
    (tmp_path / "same.cif").write_text(text.replace("data_image1", "data_image0"))
    for number, atoms in enumerate(two):
        write(tmp_path / f"POSCAR{number}", atoms, format="vasp")
    (tmp_path / "POSCARS").write_text(
        "".join((tmp_path / f"POSCAR{n}").read_text() for n in (0, 1))
    )
    for name in ("two.extxyz", "two.cif", "same.cif", "POSCARS"):
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        for path in (tmp_path / name, packed):
            found = read_crystals(path)
            assert [len(atoms) for atoms in found] == [1, 2]
            np.testing.assert_allclose(
                [atoms.get_volume() for atoms in found], [11.664, 24.389], rtol=1e-6
            )


@pytest.mark.parametrize("name", ["POSCAR_of.cif", "CONTCAR", "salt.vasp", "OUTCAR.txt", "no_name"])
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(
        "salt\n -44.0\n1 0 0\n0 1 0\n0 0 1\nNa_pv/abc Cl/def\n1 1\nSelective dynamics\nDirect\n"
        "0 0 0 T T F\n.5 .5 .5 F F F\n\n 0.1 0.2 0.3\n 0.3 0.2 0.1\n"
    )
    (atoms,) = read_crystals(path)
    assert atoms.get_chemical_formula() == "ClNa"
    assert atoms.get_volume() == pytest.approx(44.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Cu\n1\n3 0 0\n0 3 0\n0 0 3\n1\nDirect\n0 0 0\n", "names no elements"),
        ("Cu\n1\n3 0 0\n0 3 0\n0 0 3\nCu\n4\nDirect\n0 0 0\n", "announces 4 atoms"),
        (
            "Cu\n1\n3 0 0\n0 3 0\n0 0 3\nCu Au Ag\n1 1\nDirect\n0 0 0\n.5 .5 .5\n",
            "names 3 elements and gives 2 numbers",
        ),
        ("Cu\n1\n3 0 0\n0 3 0\n0 0 3\nX\n1\nDirect\n0 0 0\n", r"atoms of no element \(X\)"),
        ("Cu\n0\n3 0 0\n0 3 0\n0 0 3\nCu\n1\nDirect\n0 0 0\n", "a cell without volume"),
        ("Cu\n1\n3 0 0\n0 3 0\n0 0 3\nQq\n1\nDirect\n0 0 0\n", "no POSCAR that can be read"),
    ],
)
def test_a_broken_poscar_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "POSCAR").write_text(text)
    with pytest.raises(StructureFileError, match=message):
        read_crystals(tmp_path / "POSCAR")


@pytest.mark.parametrize("scale", ["1.5", "-216.0"])
@pytest.mark.parametrize("kind", ["Direct", "Cartesian"])
def test_a_scale_is_that_of_cell_and_positions(scale: str, kind: str, tmp_path: Path) -> None:
    """Below zero it is the volume."""
    place = "0.25 0.25 0.5" if kind == "Direct" else "1.0 1.0 2.0"
    (tmp_path / "POSCAR").write_text(
        f"salt\n{scale}\n4 0 0\n0 4 0\n0 0 4\nCu Au\n1 1\n{kind}\n0 0 0 Au\n{place} Cu\n"
    )
    (atoms,) = read_crystals(tmp_path / "POSCAR")
    assert atoms.get_volume() == pytest.approx(216.0)
    assert str(atoms.symbols) == "CuAu"
    np.testing.assert_allclose(atoms.positions[1], [1.5, 1.5, 3.0], atol=1e-12)


@pytest.mark.parametrize(
    "content", [b"", b"data_x\n", b"data_x\nloop_\n_a\n", b"\x1f\x8b\x00", b"3\nLattice=\n", b"{"]
)
@pytest.mark.parametrize("name", ["x.cif", "x.gz", "POSCAR", "x.extxyz", "x"])
def test_rubbish_gets_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StructureFileError) as raised:
        read_crystals(tmp_path / name)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_a_truncated_cif_is_refused_or_whole(tmp_path: Path) -> None:
    """Wherever it is cut, what is read has all atoms that the file says it has."""
    crystal = Structure.from_spacegroup(225, Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    path = tmp_path / "whole.cif"
    CifWriter(crystal, symprec=0.01).write_file(path)
    text = path.read_text()
    for end in range(0, len(text), 97):
        (tmp_path / "cut.cif").write_text(text[:end])
        try:
            (atoms,) = read_structures(tmp_path / "cut.cif")
        except StructureFileError:
            continue
        assert len(atoms) == 8
