"""Labels of a figure do not lie on each other, nor on points, and stay within the frame."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from launch.report.labels import joined, label_points
from launch.report.page.charts import training
from launch.report.page.traces import MOST_POINTS, curve
from launch.report.plots import plot_ranking
from launch.report.training_plots import plot_training
from tests.launch.test_report import documents, prediction
from workflows.documents.training import TrainingDocument


@pytest.mark.parametrize("seed", range(3))
def test_labels_have_room(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 10, (2, 40))
    x[20:], y[20:] = x[:20] + 1e-3, y[:20]  # each has a twin
    figure, axis = plt.subplots(layout="constrained")
    axis.scatter(x, y)
    axis.margins(0.1)
    names = [f"P{number}_1/c" for number in range(40)]
    label_points(axis, x.tolist(), y.tolist(), names)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert 10 < len(boxes) <= 20
    assert {text.get_text() for text in axis.texts} <= {
        f"{names[n]}, {names[n + 20]}" for n in range(20)
    } | {text.get_text() for text in axis.texts if "+" in text.get_text()}
    spots = axis.transData.transform(np.c_[x, y])
    frame = axis.get_window_extent()
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert not any(box.contains(*spot) for spot in spots)
        assert frame.contains(box.x0, box.y0)
        assert frame.contains(box.x1, box.y1)
    plt.close(figure)


def test_names_of_one_place_are_few() -> None:
    assert joined(["Pnma"]) == "Pnma"
    assert joined(["Cm", "P1", "Cm", "P2", "P2", "P3"]) == "Cm, P1 + 3"
    assert joined([60 * "x"]) == 30 * "x"


def test_candidates_that_coincide_share_a_label() -> None:
    ranked = prediction()
    for one in ranked.candidates:
        one.energy, one.single_point = -3.5, -3.5
    figure = plot_ranking(ranked)
    assert figure is not None
    (label,) = figure.axes[0].texts
    assert all(one.space_group in label.get_text() for one in ranked.candidates)
    plt.close(figure)


def two_members() -> TrainingDocument:
    """The history of an ensemble whose members were trained one after the other."""
    document = next(one for one in documents() if isinstance(one, TrainingDocument))
    errors = {f"{part}_{name}": 1.0 for part in ("training", "validation")
              for name in ("energy", "force", "stress")}  # fmt: skip
    history = [{"epoch": float(k), **errors} for _ in range(2) for k in range(1, MOST_POINTS)]
    return document.model_copy(update={"history": history})


def test_no_line_leads_from_one_member_of_an_ensemble_to_the_next() -> None:
    figure = plot_training(two_members())
    for axis in figure.axes:
        for drawn in axis.lines:
            epochs = np.asarray(drawn.get_xdata(), dtype=float)
            assert not (np.diff(epochs) < 0).any()
            assert np.isnan(epochs).sum() == 1
    plt.close(figure)
    for panel in training(two_members()).panels:
        for trace in panel.traces:
            assert trace["x"].count(None) == 1
            assert len(trace["x"]) < 1.1 * MOST_POINTS


def test_a_thinned_curve_keeps_its_end() -> None:
    x = [float(number) for number in range(3 * MOST_POINTS + 2)]
    assert curve(x, x, "line", "#000000")["x"][-1] == x[-1]
