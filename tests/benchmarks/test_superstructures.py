"""Superstructures against the numbers of Hart and Forcade."""

from __future__ import annotations

from collections import Counter

import pytest
from ase import Atoms
from ase.build import bulk

from tests.benchmarks.superstructures import superstructures

FCC, BCC = bulk("X", "fcc", a=4.0), bulk("X", "bcc", a=3.0)


@pytest.mark.parametrize("parent", [FCC, BCC], ids=["fcc", "bcc"])
def test_cubic_lattices_have_as_many_as_hart_and_forcade_count(parent: Atoms) -> None:
    """Phys. Rev. B 77, 224115 (2008): 2, 3 and 14 of two, three and five, but for a swap."""
    found = Counter(
        (len(atoms), min(n, len(atoms) - n))
        for atoms in superstructures(parent, ("Cu", "Au"), 5)
        for n in [list(atoms.symbols).count("Au")]
    )
    numbers = Counter[int]()
    for (size, minority), n in found.items():
        numbers[size] += n if 2 * minority == size else n // 2
    assert (numbers[1], numbers[2], numbers[3], numbers[5]) == (1, 2, 3, 14)
    # of those with two atoms of each in four, some are their own swap
    assert sum(n for (size, _), n in found.items() if size == 4) == 19


def test_close_packed_layers_need_two_atoms() -> None:
    found = list(superstructures(bulk("X", "hcp", a=3.0, c=4.9), ("Cu", "Au"), 4))
    assert Counter(len(atoms) for atoms in found) == {2: 3, 4: 10}
    assert {atoms.get_chemical_formula() for atoms in found if len(atoms) == 2} == {
        "Cu2",
        "Au2",
        "AuCu",
    }
