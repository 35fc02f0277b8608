"""What people are told before a campaign begins: what is melted, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.commands.shared.prediction import Prediction

#: Compositions that are listed.
MOST_LISTED = 12


def expectations(prediction: Prediction, with_cost: bool = True) -> Iterator[str]:
    """
    Say what a campaign of a system melts, and about what it costs; nothing of a formula.

    Parameters
    ----------
    prediction : Prediction
    with_cost : bool
        Whether to tell the evaluations.
    """
    from launch.report.estimate import estimate

    target, maker = prediction.target, prediction.maker
    if not target.is_system:
        return
    melts = maker.melts(target)
    formulas = list(dict.fromkeys(melt.formula for melt in melts))
    listed = ", ".join(formulas[:MOST_LISTED]) + ", ..." * (len(formulas) > MOST_LISTED)
    where = f", each at {len(target.melt_pressures)} pressures" * (len(melts) > len(formulas))
    yield f"{len(formulas)} melts{where}: {listed}"
    if prediction.known:
        yield f"{len(prediction.known)} known phases on the hull: {', '.join(prediction.known)}"
    if with_cost:
        costs = estimate(maker, target)
        evaluations = sum(cost.reference_evaluations for cost in costs)
        jobs = sum(cost.fireworks for cost in costs)
        yield (
            f"about {evaluations:,} evaluations by {prediction.engine} in {jobs:,} jobs, if no "
            "round is spared"
        )
