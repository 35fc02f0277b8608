"""What the numbers of different stages must be to each other."""

from __future__ import annotations

import math
from typing import Protocol

from workflows.chains.labelling_rounds import ActiveLearning
from workflows.stages.dynamics import MOST_SEGMENTS, DynamicsMaker
from workflows.stages.liquid import AnnealMaker, LiquidMaker, QuenchMaker
from workflows.stages.melt import MeltMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker
from workflows.stages.volume import EquilibriumVolumeMaker


class MeltQuench(Protocol):
    """The part of a chain that runs dynamics."""

    replicas: int
    dynamics: DynamicsMaker
    melt: MeltMaker
    melting_temperature: MeltingTemperatureMaker
    volume: EquilibriumVolumeMaker
    liquid: LiquidMaker
    quench: QuenchMaker
    anneal: AnnealMaker
    active: ActiveLearning


def require_consistent(chain: MeltQuench) -> None:
    """
    Make sure that no stage can only fail, and that there is not more to do than can be.

    What is too much is refused here, before anything counts up to it.

    Parameters
    ----------
    chain : MeltQuench
        All of its numbers are in their ranges.

    Raises
    ------
    ValueError
        If numbers do not fit together.
    """
    highest, end = chain.melting_temperature.highest, chain.quench.end_temperature
    if end >= highest:
        raise ValueError(
            f"quench.end_temperature {end:g} K is not below melting_temperature.highest "
            f"{highest:g} K"
        )
    _require_diffusion(chain)
    _require_size(chain)


def _require_diffusion(chain: MeltQuench) -> None:
    """Raise a ValueError if no run is long enough to tell a liquid from a solid."""
    melting, dynamics = chain.melting_temperature, chain.dynamics
    shortest = melting.shortest_duration(dynamics.longest_interval)
    if melting.duration < shortest:
        raise ValueError(
            f"melting_temperature.duration {melting.duration:g} ps is too short to tell a liquid: "
            f"take at least {shortest:.3g} ps, or a smaller dynamics.sample_interval"
        )


def _require_size(chain: MeltQuench) -> None:
    """Raise a ValueError if there would be more jobs, or more frames, than a campaign can hold."""
    melting = chain.melting_temperature
    rounds = max(1, chain.active.rounds)
    ramp = chain.quench.ramp_duration(melting.highest)
    trajectory = chain.liquid.duration + ramp + chain.anneal.duration
    others = melting.duration + chain.volume.duration + chain.melt.duration
    chain.dynamics.require_size(rounds * (chain.replicas * trajectory + others))
    batches = chain.active.rounds * math.ceil(chain.active.labels / chain.active.label.batch)
    if batches > MOST_SEGMENTS:
        raise ValueError(
            f"active.rounds, active.labels and active.label.batch make {batches:,} jobs of labels; "
            f"{MOST_SEGMENTS:,} are the most"
        )
