"""The hull of a search against all superstructures of fcc, bcc and hcp with up to eight atoms."""

from __future__ import annotations

import pytest

from tests.benchmarks.hulls import differences, searched


@pytest.mark.slow
def test_an_ordering_mixture_has_the_hull_of_all_its_superstructures() -> None:
    """Lennard-Jones atoms of about one size; `tests.benchmarks.hulls enumerate` made the data."""
    apart = differences("Ar-Kr", searched("Ar-Kr", 2000, seed=1))
    assert max(map(abs, apart.values())) < 0.001, apart
