"""What a campaign will cost: Fireworks and node-hours by queue, before it has begun."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.engines.base import Engine

#: Atoms to which the seconds of a step of an engine belong.
CELL_ATOMS = 100
#: Where the ladder is expected to stop, as a part of its length; rounds that a volume takes.
LADDER, ROUNDS = 0.6, 4
RELAXATION_STEPS = 60
#: Core seconds of a relaxation on the potential, and of training a frame for an epoch.
RELAXATION_SECONDS, FRAME_SECONDS = 1.0, 0.01
EPOCHS = 200


@dataclass(frozen=True)
class StageCost:
    """
    Expected cost of one stage.

    Attributes
    ----------
    stage
        Its name.
    queue
        Whose nodes it uses.
    fireworks
        Jobs.
    node_hours
        Time that they take.
    """

    stage: str
    queue: str
    fireworks: int
    node_hours: float


def estimate(maker: StructurePredictionMaker, target: Target, cores: int = 64) -> list[StageCost]:
    """
    Expect what the stages of a prediction cost. It is an order of magnitude.

    Parameters
    ----------
    maker
        The chain.
    target
        What is looked for.
    cores
        Cores of a node of the potential's queue.
    """
    from workflows.jobs.site import site_settings

    engine = maker.reference
    second = site_settings().seconds_per_step.get(engine.name, engine.seconds_per_step)
    costs = [StageCost("pack", "nnp", 1, 1 / 3600), *_dynamics(maker, target, second)]
    frames = sum(_runs(maker)[stage][0] * _runs(maker)[stage][1] for stage in PRODUCTION) * 50
    costs.append(StageCost("sample", "nnp", 1, 0.01))
    costs.append(
        StageCost("train", "nnp", 1, EPOCHS * frames * FRAME_SECONDS / min(cores, 32) / 3600)
    )
    costs.append(_search(maker, target, cores))
    atoms = max(target.formula_units) * sum(target.counts.values())
    relaxation = RELAXATION_STEPS * second * _scaling(atoms, engine) / 3600
    n_candidates = maker.candidates.n_candidates
    costs.append(StageCost("candidates", "dft", n_candidates, n_candidates * relaxation))
    costs.append(StageCost("candidates", "nnp", 2, 2 / 3600))
    last = ["sample", "train", "search", "candidates"].index(maker.until)
    beyond = ["sample", "train", "search", "candidates"][last + 1 :]
    return [cost for cost in costs if cost.stage not in beyond]


PRODUCTION = ("liquid", "quench", "anneal")


def _runs(maker: StructurePredictionMaker) -> dict[str, tuple[int, float]]:
    """Runs of dynamics of each stage: how many, and of how many ps."""
    ladder = maker.melting_temperature
    rungs = max(1, math.ceil(LADDER * (ladder.highest - ladder.lowest) / ladder.step))
    middle = (ladder.highest + ladder.lowest) / 2
    quench = max(0.0, middle - maker.quench.end_temperature) / maker.quench.rate
    parts = maker.melt.corrections + 1
    rounds = min(ROUNDS, maker.volume.max_rounds)
    return {
        "melt": (parts, maker.melt.duration / parts),
        "melting_temperature": (rungs, ladder.duration),
        "volume": (rounds * maker.volume.side_by_side, maker.volume.duration),
        "liquid": (maker.replicas, maker.liquid.duration),
        "quench": (maker.replicas, quench),
        "anneal": (maker.replicas, maker.anneal.duration),
    }


def _dynamics(
    maker: StructurePredictionMaker, target: Target, second: float
) -> Iterator[StageCost]:
    dynamics = maker.dynamics.for_elements(set(target.elements))
    scale = _scaling(maker.pack.n_atoms, maker.reference)
    for stage, (runs, duration) in _runs(maker).items():
        steps = dynamics.segment_lengths(duration) if duration > 0 else []
        hours = runs * sum(steps) * second * scale / 3600
        yield StageCost(stage, "dft", runs * len(steps), hours)
    for stage, decisions in (("melting_temperature", 1), ("volume", 1)):
        rounds = _runs(maker)[stage][0] + decisions
        yield StageCost(stage, "nnp", rounds, rounds / 3600)


def _search(maker: StructurePredictionMaker, target: Target, cores: int) -> StageCost:
    from search.state.evolution import Evolution

    population = Evolution(target.counts, maker.search.evolution, maker.seed).population
    islands = maker.search.islands
    structures = maker.search.evolution.generations * population * islands
    blocks = math.ceil(maker.search.evolution.generations / maker.search.block) * (islands + 1)
    hours = structures * RELAXATION_SECONDS / cores / 3600
    return StageCost("search", "nnp", blocks + 1, hours)


def _scaling(atoms: int, engine: Engine) -> float:
    """Cost against that of 100 atoms: plane waves grow faster than linearly."""
    return float((atoms / CELL_ATOMS) ** engine.size_exponent)
