"""Frames: selection, files and documents keep every number and label."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from monty.json import MontyDecoder, MontyEncoder

from nnp.frames import Frames


@pytest.fixture
def frames() -> Frames:
    rng = np.random.default_rng(0)
    structures = []
    for index, symbols in enumerate(["LiAlCl4", "Li2", "AlCl3"]):
        atoms = Atoms(symbols, positions=rng.normal(size=(len(Atoms(symbols)), 3)), pbc=True)
        atoms.cell = np.eye(3) * 7 + rng.normal(size=(3, 3))
        stress = rng.normal(size=6) if index != 1 else None
        atoms.calc = SinglePointCalculator(
            atoms, energy=rng.normal(), forces=rng.normal(size=(len(atoms), 3)), stress=stress
        )
        atoms.info.update(stage="quench", temperature=300.0 + index, time=20.0 * index)
        structures.append(atoms)
    return Frames.from_atoms(structures)


def assert_same(left: Frames, right: Frames, tolerance: float = 0.0) -> None:
    for name in ("counts", "numbers", "stages"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    for name in ("cells", "positions", "energies", "forces", "stresses", "temperatures", "times"):
        np.testing.assert_allclose(
            getattr(left, name), getattr(right, name), rtol=0, atol=tolerance, err_msg=name
        )


def test_extended_xyz_round_trip(frames: Frames, tmp_path: Path) -> None:
    frames.write(tmp_path / "frames.extxyz")
    assert_same(frames, Frames.read(tmp_path / "frames.extxyz"), 1e-12)


def test_document_round_trip_without_number_lists(frames: Frames) -> None:
    text = json.dumps(frames, cls=MontyEncoder)
    assert_same(frames, MontyDecoder().decode(text))
    longest = max(
        (len(v["shape"]) for v in json.loads(text).values() if isinstance(v, dict)), default=0
    )
    assert longest <= 3
    assert all(isinstance(frames.as_dict()[k]["data"], str) for k in ("positions", "forces"))


def test_atoms_round_trip_keeps_missing_stress(frames: Frames) -> None:
    structures = frames.to_atoms()
    assert "stress" not in structures[1].calc.results
    assert_same(frames, Frames.from_atoms(structures), 1e-14)


def test_the_energy_is_that_of_the_forces(frames: Frames) -> None:
    atoms = frames.to_atoms()[0]
    atoms.calc.results["free_energy"] = -9.25
    assert Frames.from_atoms([atoms]).energies.tolist() == [-9.25]


def test_selection_and_concatenation(frames: Frames) -> None:
    assert_same(frames, Frames.concatenate([frames[0], frames[1:]]))
    assert_same(frames[[2, 0]], Frames.concatenate([frames[2], frames[0]]))
    assert_same(frames[np.array([True, False, True])], frames[::2])
    assert len(frames[[]]) == 0
    assert [len(frame.numbers) for frame in frames] == [6, 2, 4]


def test_wrong_shape_is_named(frames: Frames) -> None:
    document = {name: getattr(frames, name) for name in frames.__dataclass_fields__}
    document["forces"] = document["forces"][:-1]
    with pytest.raises(ValueError, match=r"Frames\.forces has shape \(11, 3\)"):
        Frames(**document)


def test_import_is_light() -> None:
    code = "import sys, nnp.frames; print([m for m in ('ase','torch','numba') if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
