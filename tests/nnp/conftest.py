"""Fixtures of the potential's tests."""

from __future__ import annotations

import pytest

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from tests.nnp.samples import random_potential


@pytest.fixture
def functions() -> SymmetryFunctions:
    """Give the standard set for three elements."""
    return SymmetryFunctions.standard(("Li", "Al", "Cl"))


@pytest.fixture
def potential(functions: SymmetryFunctions) -> Potential:
    """Random standard potential."""
    return random_potential(functions)
