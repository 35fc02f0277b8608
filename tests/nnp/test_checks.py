"""Frames that nothing can be learned from are refused, and named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from nnp.frames import Frames
from nnp.training.checks import check_frames
from nnp.units import KBAR


def frames(change: Callable[[Atoms, dict], None]) -> Frames:
    """Return two frames of copper, the second of them changed."""
    made = []
    for number in range(2):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=number)
        results = {"energy": -1.0, "forces": np.ones((4, 3)), "stress": np.ones(6)}
        if number:
            change(atoms, results)
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return Frames.from_atoms(made)


def place(atoms: Atoms, position: float) -> None:
    """Move the first atom beside the second one."""
    atoms.positions[0] = atoms.positions[1] + [position, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms, _: place(atoms, 0.0), "Frame 1 has two atoms at a distance of 0 Å"),
        (lambda atoms, _: place(atoms, 0.05), "Frame 1 has two atoms at a distance of 0.05 Å"),
        (lambda atoms, _: place(atoms, 0.45), "Frame 1 has two atoms at a distance of 0.45 Å"),
        (lambda atoms, _: place(atoms, 1e300), "positions of a frame exceed"),
        (lambda _, results: results.update(energy=1e300), "Frame 1 has an energy of"),
        (lambda _, results: results.update(energy=float("inf")), "Frame 1 has no finite energy"),
        (lambda _, results: results.update(forces=np.full((4, 3), 1e9)), "Frame 1 has a force of"),
        (lambda _, results: results.update(stress=np.full(6, 1e9)), "Frame 1 has a stress of"),
    ],
)
def test_what_no_calculation_gives_is_refused(
    change: Callable[[Atoms, dict], None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_frames(frames(change))


@pytest.mark.parametrize("factor", [KBAR, KBAR / 10.0])
def test_stresses_in_other_units_are_told_by_their_size(factor: float) -> None:
    found = frames(lambda _, results: results.update(energy=-2.0))
    found.stresses[:] = 0.3 * factor * np.eye(3)  # 0.3 eV/Å³ are 48 GPa
    with pytest.raises(ValueError, match="seem to be in kbar or GPa: write them in eV/Å³"):
        check_frames(found)


def test_what_a_calculation_gives_is_taken() -> None:
    check_frames(frames(lambda _, results: results.update(energy=-4e5)))
