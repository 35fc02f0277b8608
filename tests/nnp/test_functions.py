"""Elementary functions, and compression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnp.kernels.compilation import compiled
from nnp.kernels.compress import CHUNK, compress_indices, compress_values, count_lanes, lanes_below
from nnp.kernels.functions import cutoff, cutoff_polynomial, exp2, polynomial_coefficients


@compiled
def _decay(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = exp2(x[i], x)


@compiled
def _cutoff(t: Any, q: Any, value: Any, slope: Any) -> None:
    numbers = polynomial_coefficients(q)
    for i in range(t.size):
        value[i], above, below = cutoff(t[i], numbers, t)
        slope[i] = above / below


@compiled
def _keep(values: Any, limit: Any, out: Any, indices: Any) -> Any:
    n = np.uint64(0)
    for k in range(np.uint64(0), np.uint64(values.size), np.uint64(CHUNK)):
        lanes = lanes_below(values, k, limit)
        compress_values(values, k, lanes, out, n)
        compress_indices(k, lanes, indices, n)
        n += count_lanes(lanes)
    return n


@pytest.mark.kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 3e-7)])
def test_exponential(dtype: Any, tolerance: float) -> None:
    x = np.linspace(-100.0, 0.0, 4001).astype(dtype)
    out = np.empty_like(x)
    _decay(x, out)
    np.testing.assert_allclose(out, np.exp2(x.astype(float)), rtol=tolerance)
    _decay(np.array([-1e4, -1e30], dtype), out[:2])
    assert (np.abs(out[:2]) < 1e-37).all()


@pytest.mark.kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 3e-7)])
def test_cutoff_is_a_cosine(dtype: Any, tolerance: float) -> None:
    t = np.linspace(0.001, 0.99, 500).astype(dtype)
    value, slope = np.empty_like(t), np.empty_like(t)
    _cutoff(t, cutoff_polynomial(dtype), value, slope)
    root = np.pi * np.sqrt(t.astype(float))
    np.testing.assert_allclose(value, 0.5 * (1.0 + np.cos(root)), atol=tolerance)
    derivative = -0.25 * np.pi**2 * np.sin(root) / root
    np.testing.assert_allclose(value.astype(float) * slope, derivative, atol=10 * tolerance)


@pytest.mark.kernels
@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0, width=32), min_size=1, max_size=40), st.floats(-1.0, 1.0))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compression_keeps_the_order(dtype: Any, numbers: list[float], limit: float) -> None:
    values = np.full(-(-len(numbers) // CHUNK) * CHUNK, 2.0, dtype)
    values[: len(numbers)] = numbers
    out, indices = np.zeros(values.size + CHUNK, dtype), np.zeros(values.size + CHUNK, np.uint32)
    n = int(_keep(values, dtype(limit), out, indices))
    wanted = values < dtype(limit)
    np.testing.assert_array_equal(out[:n], values[wanted])
    np.testing.assert_array_equal(indices[:n], np.flatnonzero(wanted))
