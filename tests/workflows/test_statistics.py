"""Averages and diffusion against processes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from workflows.statistics import (
    block_error,
    fit_diffusion,
    mean_square_displacement,
    remove_drift,
)


def brownian(diffusivity: float, interval: float, n_frames: int, n_atoms: int) -> np.ndarray:
    """Free diffusion: each step is Gaussian of variance 2 D dt in each direction."""
    generator = np.random.default_rng(5)
    steps = generator.normal(0, np.sqrt(2 * diffusivity * interval), (n_frames, n_atoms, 3))
    return np.cumsum(steps, axis=0)


def test_block_error_of_white_noise_is_sigma_over_root_n() -> None:
    series = np.random.default_rng(0).normal(0, 3.0, 4096)
    assert block_error(series) == pytest.approx(3.0 / 64, rel=0.5)


def test_block_error_of_correlated_series_exceeds_the_naive_one() -> None:
    generator = np.random.default_rng(1)
    memory, noise = 0.95, generator.normal(size=20000)
    series = np.zeros(20000)
    for i in range(1, 20000):
        series[i] = memory * series[i - 1] + noise[i]
    naive = series.std() / np.sqrt(len(series))
    # an AR(1) process has sqrt((1 + a) / (1 - a)) times the naive error
    assert block_error(series) == pytest.approx(naive * np.sqrt(1.95 / 0.05), rel=0.35)


def test_block_error_of_too_few_samples_is_infinite() -> None:
    assert block_error([1.0, 2.0]) == np.inf


def test_einstein_relation_gives_the_diffusivity_put_in() -> None:
    positions = brownian(0.4, 0.02, 1500, 40)
    fit = fit_diffusion(positions, 0.02)
    assert fit.diffusivity == pytest.approx(0.4, rel=0.15)
    assert fit.r_squared > 0.99
    assert abs(fit.slope / 6 - 0.4) < 5 * fit.slope_error / 6


def test_vibrating_atoms_do_not_diffuse() -> None:
    generator = np.random.default_rng(2)
    sites = generator.uniform(0, 10, (30, 3))
    phases = generator.uniform(0, 2 * np.pi, (30, 3))
    times = np.arange(400)[:, None, None] * 0.02
    positions = sites + 0.2 * np.sin(2 * np.pi * 5.3 * times + phases)
    fit = fit_diffusion(positions, 0.02)
    assert abs(fit.diffusivity) < 0.01
    assert fit.growth < fit.intercept


def test_drift_is_removed_and_displacements_are_of_single_atoms() -> None:
    drifting = np.tile(np.arange(20.0)[:, None, None], (1, 5, 3))
    masses = np.array([1.0, 2, 3, 4, 5])
    assert np.abs(remove_drift(drifting, masses)).max() < 1e-12
    # uniform motion covers (lag)² in each direction
    assert mean_square_displacement(drifting)[3] == pytest.approx(27.0)


def test_a_run_too_short_to_fit_says_so() -> None:
    with pytest.raises(ValueError, match="make the run longer"):
        fit_diffusion(np.zeros((6, 2, 3)), 0.02)
