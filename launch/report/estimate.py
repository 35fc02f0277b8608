"""What a campaign will cost: Fireworks, evaluations and node-hours, before it has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.stages.cost import Cost


def estimate(maker: StructurePredictionMaker, target: Target, cores: int = 64) -> list[Cost]:
    """
    Expect what the stages of a prediction cost, with the speeds that the site has measured.

    Parameters
    ----------
    maker : StructurePredictionMaker
        The chain.
    target : Target
        What is looked for.
    cores : int
        Cores of a node of the potential's queue.

    Returns
    -------
    list of Cost
        One for each stage and queue.
    """
    from workflows.jobs.site import site_settings

    return maker.cost(target, cores, site_settings().seconds_per_step)
