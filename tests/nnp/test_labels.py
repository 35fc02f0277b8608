"""Labels of other programs are read as they are meant, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import nnp
from nnp.formats.labels import LabelError, read_labels
from nnp.formats.structures import StructureFileError
from nnp.frames import Frames
from nnp.potential import Potential
from tests.nnp.samples import disordered, random_potential

CASES = Path(os.environ.get("DEVITRIFY_CASES", Path(__file__).parents[3] / "shared" / "cases"))


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Copper under strain with EMT's labels."""
    structures = []
    for seed in range(4):
        atoms = bulk("Cu", cubic=True)
        rng = np.random.default_rng(seed)
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        atoms.calc = EMT()
        atoms.calc.calculate(atoms, ["energy", "forces", "stress"])
        structures.append(atoms)
    return Frames.from_atoms(structures)


def text(
    frames: Frames,
    header: str = "energy={energy!r} stress={stress}",
    forces: str = "forces",
    pbc: str = 'pbc="T T T"',
) -> str:
    """Extended XYZ as another program would write it."""

    def joined(numbers: np.ndarray) -> str:
        return " ".join(repr(float(x)) for x in numbers.ravel())

    lines = []
    for k, frame in enumerate(frames):
        stress = frame.stresses[0]
        virial = -stress * frame.volumes[0]
        six = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        keys = header.format(
            energy=float(frame.energies[0]), k=k, stress=f'"{joined(stress)}"',
            virial=f'"{joined(virial)}"', six=f'"{joined(six)}"',
            six_plain=joined(six), json=stress.tolist(), half=f'"{joined(np.triu(stress))}"',
        )  # fmt: skip
        lines += [
            str(len(frame.numbers)),
            f'Lattice="{joined(frame.cells[0])}" '
            f"Properties=species:S:1:pos:R:3:{forces}:R:3 {keys} {pbc}",
        ]
        lines += [
            f"Cu {joined(position)} {joined(force)}"
            for position, force in zip(frame.positions, frame.forces, strict=True)
        ]
    return "\n".join(lines) + "\n"


def same(found: Frames, expected: Frames, tolerance: float = 1e-12) -> None:
    for name in ("energies", "forces", "stresses", "cells", "positions"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize(
    ("header", "forces", "key"),
    [
        ("energy={energy!r} stress={stress}", "forces", None),
        ("energy={energy!r} virial={virial}", "forces", None),
        ("energy={energy!r} virial={virial}", "force", None),
        ("energy={energy!r} stress={six}", "forces", None),
        ("free_energy={energy!r} stress={stress}", "forces", None),
        ("energy=-1.0 free_energy={energy!r} stress={stress}", "forces", None),
        ("REF_energy={energy!r} REF_stress={stress}", "REF_forces", "REF_energy"),
        ("energy=0.5 REF_energy={energy!r} REF_stress={six}", "REF_forces", "REF_energy"),
        ("dft_energy={energy!r} dft_virial={virial}", "dft_force", "dft_energy"),
        ("mace_energy={energy!r} stress={stress}", "forces", "mace_energy"),
        ("energy_pbe={energy!r} virials_pbe={virial}", "forces_pbe", "energy_pbe"),
        ("Energy={energy!r} Stress={stress}", "Forces", "Energy"),
        ("energy={energy!r} Virial={virial}", "Force", None),
        ("energy={energy!r} stress={stress} virial={virial}", "forces", None),
        ("energy={energy!r} stress=[{six_plain}]", "forces", None),
        ("energy={energy!r} stress=\"_JSON {json}\"", "forces", None),
        ("REF_energy={energy!r} stress=\"9 9 9 9 9 9\" REF_virial={virial}", "REF_forces",
         "REF_energy"),
    ],
)  # fmt: skip
def test_other_names_mean_the_same(
    frames: Frames, header: str, forces: str, key: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, header, forces))
    found = read_labels(path, energy_key=key)
    same(found.frames, frames)
    assert found.energy_key == (key or ("free_energy" if "free" in header else "energy"))
    assert found.unconverged == ()


@pytest.mark.parametrize(
    ("header", "forces", "key", "message"),
    [
        ("REF_energy={energy!r}", "REF_forces", None, "no energy or free_energy, but REF_energy: "),
        ("energy={energy!r}", "REF_forces", None, "frame 0 of .* no forces, but REF_forces; "),
        ("energy={energy!r}", "forces", "dft_energy", "no energy dft_energy, but energy"),
        ("stage=melt", "forces", None, "frame 0 of .* has no energy; training needs it"),
        ("energy={energy!r} stress=\"1 2 3\"", "forces", None, "stress of 3 numbers, not 6 or 9"),
        ("energy={energy!r} REF_stress=\"1 2 3\" ", "forces", None, None),
        ("energy={energy!r} virial=\"1 2 3 0 1 5 0 0 1\"", "forces", None, "not symmetric"),
        ("energy={energy!r} stress={half}", "forces", None, "frame 0 .* stress of .* symmetric"),
        ("energy={energy!r} stress=high", "forces", None, "frame 0 of .* has a stress of words"),
        ("energy={energy!r} stress={virial} virial={virial}", "forces", None, "contradict"),
        ("energy={energy!r} energy=1.0", "forces", None, "frame 0 of .* says energy twice"),
        ("energy=\"{energy} eV\"", "forces", None, "an energy that is no number: .* eV"),
        ("energy_per_atom={energy}", "forces", "energy_per_atom", "is an energy per atom"),
        ("energy=nan", "forces", None, "infinite number, or none, in its energy"),
        ("energy=low", "forces", None, "an energy that is no number: low"),
    ],
)  # fmt: skip
def test_what_is_missing_or_doubtful_is_named(
    frames: Frames, header: str, forces: str, key: str | None, message: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, header, forces))
    if message is None:
        assert np.isnan(read_labels(path, energy_key=key).frames.stresses).all()
        return
    with pytest.raises(StructureFileError, match=message):
        read_labels(path, energy_key=key)


def test_two_kinds_of_energies_are_not_mixed(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames[:2]) + text(frames[2:], "free_energy={energy!r}"))
    with pytest.raises(LabelError, match="must not be mixed"):
        read_labels(path)
    path.write_text(text(frames[:2]) + text(frames[2:], "energy={energy!r} free_energy=-9.0"))
    assert read_labels(path).energy_key == "energy"
    path.write_text(text(frames, "energy={energy!r} free_energy=-9.0"))
    found = read_labels(path)
    assert (found.frames.energies == -9.0).all()
    assert "free_energy is used, not energy" in found.notes[0]


def test_structures_without_labels_may_be_wanted(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, "REF_energy={energy!r}", "REF_forces"))
    found = read_labels(path, required=False)
    assert found.energy_key is None
    assert np.isnan(found.frames.energies).all()
    assert "choose REF_energy by the energy key" in found.notes[0]
    write(tmp_path / "POSCAR", frames[0].to_atoms()[0], format="vasp")
    write(tmp_path / "crystal.cif", frames[0].to_atoms()[0])
    for name in ("POSCAR", "crystal.cif"):
        read = read_labels(tmp_path / name, required=False).frames
        assert read.volumes[0] == pytest.approx(frames.volumes[0], rel=1e-6)


@pytest.mark.parametrize(
    "flag",
    ["converged=F", "scf_converged=False", "electronic_convergence=F", "unconverged=T",
     "converged_electronic=F", "scf_status=unconverged", "status=\"not converged\""],
)  # fmt: skip
def test_unconverged_frames_are_left_out(frames: Frames, flag: str, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    opposite = flag[:-1] + "F" if flag.endswith("=T") else flag.split("=")[0] + "=T"
    good = text(frames, "energy={energy!r} stress={stress} " + opposite)
    bad = text(frames[1:3], "energy=-99.0 stress={stress} " + flag)
    path.write_text(bad + good)
    found = read_labels(path)
    same(found.frames, frames)
    assert found.unconverged == (0, 1)
    assert "2 of 6 frames" in found.notes[0]
    path.write_text(bad)
    with pytest.raises(LabelError, match="no frame whose electrons are converged"):
        read_labels(path)


def test_frames_of_unfinished_relaxations_are_kept(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, "energy={energy!r} stress={stress} ionic_converged=F"))
    assert len(read_labels(path).frames) == len(frames)


def test_periodicity_is_read_in_any_case(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, "energy={energy!r}", pbc='PBC="F F F"'))
    with pytest.raises(StructureFileError, match="is not periodic"):
        read_labels(path)
    lower = text(frames).replace("Lattice=", "lattice=").replace("Properties=", "properties=")
    path.write_text(lower)
    same(read_labels(path).frames, frames)


def test_stresses_of_zero_are_none(frames: Frames, tmp_path: Path) -> None:
    """Programs write zeros for what they did not compute."""
    path = tmp_path / "data.xyz"
    zero = 'energy={energy!r} stress="0 0 0 0 0 0 0 0 0"'
    path.write_text(text(frames[:1]) + text(frames[1:], zero))
    found = read_labels(path)
    assert np.isfinite(found.frames.stresses).all(axis=(1, 2)).tolist() == [True] + [False] * 3
    assert "3 of 4 frames" in found.notes[0]
    atom = Atoms("Cu", cell=np.eye(3) * 20, pbc=True)
    atom.calc = SinglePointCalculator(
        atom, energy=-1.0, forces=np.zeros((1, 3)), stress=np.zeros(6)
    )
    write(path, atom, format="extxyz")
    assert (read_labels(path).frames.stresses == 0.0).all()


def test_labels_of_another_method_are_named(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, "energy=1.0 REF_energy={energy!r} stress={stress}"))
    notes = read_labels(path, energy_key="REF_energy").notes
    assert any("no REF_forces" in note and "forces is taken" in note for note in notes)
    assert any("no REF_stress" in note and "stress is taken" in note for note in notes)


def test_no_stress_is_said(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, "energy={energy!r}"))
    found = read_labels(path)
    assert "No frame" in found.notes[0]
    assert "cannot relax cells" in found.notes[0]
    path.write_text(text(frames[:1]) + text(frames[1:], "energy={energy!r}"))
    assert read_labels(path).notes == ()


def test_a_potential_without_stresses_says_so(frames: Frames, tmp_path: Path) -> None:
    options = nnp.TrainingOptions(hidden=(3,), optimizer="lbfgs", max_epochs=2)
    blind = Frames(**{**vars(frames), "stresses": np.full((4, 3, 3), np.nan)})
    potentials: list[Potential] = []
    for data in (frames, blind):
        nnp.train(data, options).potential.save(tmp_path / "Cu.nnp")
        potentials.append(nnp.load_potential(tmp_path / "Cu.nnp"))
    assert [potential.knows_stress for potential in potentials] == [True, False]
    atoms = bulk("Cu", cubic=True)
    atoms.calc = nnp.NeuralNetworkCalculator(potentials[0])
    assert np.isfinite(atoms.get_stress()).all()
    atoms.calc = nnp.NeuralNetworkCalculator(potentials[1])
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(Exception, match="stress"):
        atoms.get_stress()


def test_a_molecule_does_not_know_its_box(tmp_path: Path) -> None:
    potential = random_potential(nnp.SymmetryFunctions.standard(("Li", "Cl")))
    molecule = Atoms("LiCl2", positions=[[0, 0, 0], [2.1, 0, 0], [-2.0, 0.3, 0]])
    molecule.calc = SinglePointCalculator(molecule, energy=-1.0, forces=np.zeros((3, 3)))
    boxed = []
    for length in (8.0, 9.0, 25.0):
        boxed.append(molecule.copy())
        boxed[-1].set_cell(np.eye(3) * length)
    path = tmp_path / "molecules.extxyz"
    write(path, boxed)
    found = read_labels(path, cutoff=potential.cutoff, required=False).frames
    energies = nnp.evaluate(potential, found).predictions.energies
    expected = potential.compute([molecule]).energies[0]
    np.testing.assert_allclose(energies, expected, atol=1e-10)
    with pytest.raises(StructureFileError, match=r'frame 0 of .* is not periodic \(pbc="F F F"\)'):
        read_labels(path, required=False)


def test_surfaces_lose_their_stress_and_keep_the_rest(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(text(frames, pbc='pbc="T T F"'))
    found = read_labels(path, cutoff=6.0).frames
    assert np.isnan(found.stresses).all()
    np.testing.assert_array_equal(found.energies, frames.energies)
    np.testing.assert_array_equal(found.cells[:, :2], frames.cells[:, :2])
    heights = found.volumes / np.linalg.norm(np.cross(found.cells[:, 0], found.cells[:, 1]), axis=1)
    assert (heights > 6.0).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "2\nProperties=species:S:1:pos:R:3\nCu 0 0 0\nCu 0 0 2\n", "has no cell"),
        ("a.xyz", "1000000000\nLattice=\"9 0 0 0 9 0 0 0 9\"\nCu 0 0 0\n", "announces 1000000000"),
        ("a.xyz", "1\nLattice=\"9 0 0 0 9 0 0 0 9\"\nCu 0 0 0\nx\n", "should be the number of"),
        ("a.xyz", "1\nLattice=\"9 0 0 0 9 0 0 0 0\"\nCu 0 0 0\n", "cell without volume"),
        ("a.xyz", "1\nLattice=\"9 0 0 0 9 0 0 0 9\"\nCu 0 0 nan\n", "not finite"),
        ("a.xyz", "1\nLattice=\"9 0 0 0 9 0 0 0 9\"\nXx9 0 0 0\n", "cannot be read as structures"),
        ("notes.txt", "hello\n", "of no type that ASE knows"),
        ("OUTCAR", "anything\n", "no file of VASP that can be read, only called so"),
        ("OUTCAR", " vasp.6.4.2 complex\n", "holds no whole ionic step"),
        ("vasprun.xml", "<modeling></modeling>\n", "holds no whole ionic step"),
        ("a.xyz", "", "is empty, or damaged"),
        ("a.xyz", "2\nLattice=\"9 0 0 0 9 0 0 0 9\"\nCu 0 0 0\nCu 9 0 0.01", "0 and 1, that are"),
        ("a.xyz", "1\nLattice=\"9 0 0 0 9 0 0 0 1e-3\"\nCu 0 0 0\n", "too small"),
        ("a.xyz", "1\nLattice=\"2 0 0 1.99 0.01 0 0 0 2\"\nCu 0 0 0\n", "too small"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(StructureFileError, match=message):
        read_labels(tmp_path / name, required=False)
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "nothing.xyz")


def test_what_we_write_is_read_back(frames: Frames, tmp_path: Path) -> None:
    mixed = Frames.concatenate([frames, Frames.from_atoms([disordered("Li2Cl", 5.0)])])
    mixed.stages = np.array(["melt"] * 5)
    mixed.write(tmp_path / "frames.extxyz")
    found = read_labels(tmp_path / "frames.extxyz", required=False).frames
    same(found, mixed)
    assert found.stages.tolist() == ["melt"] * 5


@pytest.mark.skipif(not CASES.exists(), reason="the reported cases are not here")
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("01-virial-ignored/virial.xyz", None),
        ("01-virial-ignored/nep_force_virial.xyz", None),
        ("16-labels-under-other-names/a10_free.xyz", None),
        ("16-labels-under-other-names/a2_ref.xyz", "REF_energy"),
        ("16-labels-under-other-names/a3_dft.xyz", "dft_energy"),
        ("16-labels-under-other-names/a8_voigt.xyz", None),
    ],
)
def test_reported_cases(name: str, key: str | None) -> None:
    expected = read_labels(CASES / "common" / "train.extxyz").frames
    found = read_labels(CASES / name, energy_key=key).frames
    same(found, expected[: len(found)], 1e-9)
