"""Uncertainties against errors whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monty.json import MontyDecoder

from nnp.calibration import Calibration


@given(
    floor=st.floats(1e-4, 1e-2),
    scale=st.floats(1.2, 5.0),
    seed=st.integers(0, 2**16),
)
def test_recovers_a_known_law(floor: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spreads = floor * rng.gamma(2.0, 1.0, size=4000)
    errors = rng.normal(scale=np.hypot(floor, scale * spreads))
    found = Calibration.fit(errors, spreads)
    assert found.scale == pytest.approx(scale, rel=0.2)
    expected = found.apply(spreads)
    assert np.mean(np.abs(errors) < expected) == pytest.approx(0.683, abs=0.03)
    assert np.mean(np.abs(errors) < 2 * expected) == pytest.approx(0.954, abs=0.02)


def test_a_spread_that_says_nothing_leaves_a_floor() -> None:
    rng = np.random.default_rng(1)
    errors, spreads = rng.normal(scale=5e-3, size=2000), rng.uniform(1e-4, 1e-3, size=2000)
    found = Calibration.fit(errors, spreads)
    assert found.floor == pytest.approx(5e-3, rel=0.05)
    assert found.scale >= 1.0


def test_networks_that_disagree_more_than_their_error_keep_their_spread() -> None:
    rng = np.random.default_rng(2)
    spreads = rng.uniform(0.01, 0.02, size=500)
    found = Calibration.fit(rng.normal(scale=1e-3, size=500), spreads)
    assert found.scale == 1.0
    assert (found.apply(spreads) >= spreads).all()


@pytest.mark.parametrize(
    ("errors", "spreads"),
    [([], []), ([1e-3, 2e-3], [0.0, 0.0]), ([np.nan, np.nan], [1e-3, 2e-3])],
)
def test_nothing_to_learn_from(errors: list[float], spreads: list[float]) -> None:
    assert Calibration.fit(np.array(errors), np.array(spreads)) == Calibration()


def test_survives_json() -> None:
    calibration = Calibration(3e-3, 1.7)
    assert MontyDecoder().process_decoded(calibration.as_dict()) == calibration
