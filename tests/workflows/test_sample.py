"""The training set leaves out what exploded, and knows its shortest distances."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pymatgen.core import Lattice, Structure

from nnp.frames import Frames
from workflows.stages.sample import SampleMaker


def segment(
    distances: list[float], energies: list[float], pair: tuple[str, str] = ("Na", "Cl")
) -> Any:
    """Part of a trajectory of pairs of atoms, as the stage sees it."""
    structures = []
    for distance, energy in zip(distances, energies, strict=True):
        atoms = Atoms(
            list(pair), cell=np.eye(3) * 12, pbc=True, positions=[[0, 0, 0], [distance, 0, 0]]
        )
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((2, 3)))
        structures.append(atoms)
    return SimpleNamespace(
        frames=Frames.from_atoms(structures, stage="liquid"),
        structure=Structure(Lattice.cubic(12), list(pair), [[0, 0, 0], [0.5, 0.5, 0.5]]),
        volume=1728.0, sample_interval=20.0, temperatures=[300.0] * len(distances),
        energies=[0.0] * len(distances), pressures=[0.0] * len(distances),
    )  # fmt: skip


def test_exploded_frames_are_left_out() -> None:
    parts = [segment([2.4, 0.3, 2.2], [-1.0, -1.0, -1.0]), segment([2.1, np.nan], [np.nan, -1.0])]
    document = SampleMaker().describe([cast(Any, parts)], [])
    assert (document.n_frames, document.frames_left_out) == (2, 3)
    assert document.shortest_distances == {"Cl-Na": pytest.approx(2.2)}
    with pytest.raises(ValueError, match="no frame of the trajectory is usable"):
        SampleMaker().describe([[segment([0.3, np.nan], [-1.0, -1.0])]], [])


def test_compositions_are_noted_along_trajectories_of_several() -> None:
    parts = [segment([2.4, 2.3], [-1.0, -1.0]), segment([2.4], [-1.0], pair=("Na", "Na"))]
    several = SampleMaker().describe([cast(Any, [part]) for part in parts], []).series
    assert several["Na"] == [0.5, 0.5, 1.0]
    assert several["Cl"] == [0.5, 0.5, 0.0]
    assert len(several["time"]) == 3
    one = SampleMaker().describe([cast(Any, parts[:1])], []).series
    assert set(one) == {"time", "temperature", "energy", "pressure"}


def test_a_noble_gas_is_sampled_without_a_warning() -> None:
    parts = [segment([2.4, 2.2], [-1.0, -1.0], pair=("Ar", "Ne"))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SampleMaker().describe([cast(Any, parts)], []).formula in ("ArNe", "NeAr")
