"""Fast energies for searches."""

from __future__ import annotations

import pytest

from tests.search import pair_energy
from tests.search.pair_energy import PairEnergy


@pytest.fixture
def lennard_jones() -> PairEnergy:
    """Argon: the ground state is close packed."""
    return pair_energy.lennard_jones()


@pytest.fixture
def rock_salt() -> PairEnergy:
    """Two ions with six neighbours around each."""
    return pair_energy.rock_salt()
