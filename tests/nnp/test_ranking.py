"""Rank correlations and errors within windows, against numbers worked out by hand and numpy."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import nnp.analysis.ranking
from nnp.analysis.ranking import order_of_distinct, ranking_errors


def test_the_windows_count_from_the_lowest_reference_energy() -> None:
    reference = [-1.0, -0.96, -0.90, -0.55, 0.0]
    counts = [found.n for found in ranking_errors(reference, reference)]
    assert counts == [2, 3, 4]
    (everything,) = ranking_errors(reference, reference, windows=(math.inf,))
    assert everything.n == 5
    assert everything.pearson == pytest.approx(1.0)
    # the same window above a lower energy that is not among them
    (lower,) = ranking_errors(reference, reference, windows=(50.0,), lowest=-1.03)
    assert lower.n == 1


def test_an_energy_on_the_edge_is_within() -> None:
    (found,) = ranking_errors([-3.3, -3.1], [-3.3, -3.1], windows=(200.0,))
    assert found.n == 2


def test_figures_of_random_energies() -> None:
    generator = np.random.default_rng(3)
    reference = generator.uniform(0.0, 0.19, 40)
    predicted = 0.7 * reference + 0.02 + generator.normal(0.0, 0.02, 40)
    (found,) = ranking_errors(reference, predicted, windows=(200.0,))
    errors = 1000 * (predicted - reference)
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (reference, predicted)]
    assert found.n == 40
    assert found.pearson == pytest.approx(np.corrcoef(reference, predicted)[0, 1])
    assert found.spearman == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert found.mean_error == pytest.approx(errors.mean())
    assert found.rmse**2 == pytest.approx(errors.mean() ** 2 + errors.std() ** 2)
    assert found.mae == pytest.approx(np.abs(errors).mean())


def test_a_constant_shift_is_an_error_but_no_loss_of_order() -> None:
    reference = np.array([0.0, 0.01, 0.03, 0.04])
    (found,) = ranking_errors(reference, reference - 1.354, windows=(50.0,))
    assert found.spearman == pytest.approx(1.0)
    assert found.pearson == pytest.approx(1.0)
    assert found.mean_error == pytest.approx(-1354.0)


def test_what_has_no_energy_is_left_out_and_few_points_have_no_correlation() -> None:
    (one,) = ranking_errors([0.0, np.nan, 0.01], [0.001, 0.0, np.inf], windows=(50.0,))
    assert one.n == 1
    assert math.isnan(one.pearson)
    assert math.isnan(one.spearman)
    assert one.mae == pytest.approx(1.0)
    (none,) = ranking_errors([], [], windows=(50.0,))
    assert none.n == 0
    assert math.isnan(none.rmse)
    (flat,) = ranking_errors([0.0, 0.01], [1.0, 1.0], windows=(50.0,))
    assert math.isnan(flat.spearman)


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        ranking_errors([0.0, 0.1], [0.0])


def test_the_example_holds() -> None:
    assert doctest.testmod(nnp.analysis.ranking).failed == 0


def test_order_of_what_is_apart_is_kendalls_where_all_is_apart() -> None:
    from scipy.stats import kendalltau

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=12), rng.normal(size=12)
    assert order_of_distinct(x, y, 0.0) == pytest.approx(kendalltau(x, y).statistic)


def test_order_of_what_is_apart_leaves_near_pairs_out() -> None:
    assert order_of_distinct([0.0, 0.1, 5.0], [0.1, 0.0, 5.0], 1.0) == pytest.approx(1.0)
    assert order_of_distinct([0.0, 0.1, 5.0], [0.1, 0.0, 5.0], 0.0) == pytest.approx(1 / 3)
    assert math.isnan(order_of_distinct([0.0, 0.1], [0.1, 0.0], 1.0))
