"""What stages are expected to cost, by numbers that can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from workflows.chains.prediction import StructurePredictionMaker
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.engines.registry import find_engine
from workflows.settings import override_all
from workflows.stages.cost import Cost
from workflows.stages.packing import estimate_volume

TARGET = Target("LiAlCl4", (1, 2, 4))
#: Stages of molecular dynamics.
DYNAMICS = ("melting_temperature", "volume", "liquid", "quench", "anneal")


def prediction(protocol: str, engine: str = "vasp", **changes: object) -> StructurePredictionMaker:
    """Take a protocol and change settings by path, with two underscores for each dot."""
    paths = {name.replace("__", "."): value for name, value in changes.items()}
    return override_all(find_protocol(protocol), paths).with_reference(find_engine(engine))


def costs(maker: StructurePredictionMaker) -> dict[tuple[str, str], Cost]:
    """Expected costs by stage and queue."""
    return {(cost.stage, cost.queue): cost for cost in maker.cost(TARGET)}


def dynamics(members: int, rounds: int) -> dict[str, float]:
    """Node-hours of the economical protocol's dynamics, which a pair potential begins."""
    maker = prediction("economical", train__options__members=members, active__rounds=rounds)
    found = costs(replace(maker, sampler=find_engine("pair")))
    return {stage: found[stage, "nnp"].node_hours for stage in DYNAMICS}


def test_dynamics_by_the_potential_take_milliseconds_a_step() -> None:
    """Two trajectories of 2500 steps, 102 atoms, four networks of 2 ms each per 100 atoms."""
    second = {s: hours - dynamics(4, 1)[s] for s, hours in dynamics(4, 2).items()}
    assert second["liquid"] == pytest.approx(2 * 2500 * 1.02 * 4 * 0.002 / 3600)
    # all of it, the search of the melting temperature included: minutes, not hours
    assert 0.02 < sum(second.values()) < 0.3


def test_a_melt_quench_of_each_round_takes_minutes_of_the_potential_and_its_labels() -> None:
    """Hot at 1.5 times what is expected; 4 networks of 2 ms for 100 atoms, here 102."""
    off, on = (
        costs(
            prediction(
                "economical", improve__rounds=2, improve__melt_quench=number,
                improve__superheating=1.5, improve__quench_rate=50.0, improve__melt_duration=3.0,
                improve__label__batch=5,
            )
        )
        for number in (0, 20)
    )  # fmt: skip
    maker = find_protocol("economical")
    hot = 1.5 * maker.melting_temperature.expected_temperature
    steps = 2 * (1500 + round((hot - 300) / 50.0 * 1000 / 20) * 10)
    more = on["improve", "nnp"].node_hours - off["improve", "nnp"].node_hours
    # the training has more frames, too
    assert more > steps * 1.02 * 4 * 0.002 / 3600
    assert more < 3 * steps * 1.02 * 4 * 0.002 / 3600
    labels = (
        on["improve", "dft"].reference_evaluations - off["improve", "dft"].reference_evaluations
    )
    assert labels == 2 * 20
    assert on["improve", "dft"].fireworks - off["improve", "dft"].fireworks == 2 * 4
    jobs = on["improve", "nnp"].fireworks - off["improve", "nnp"].fireworks
    assert jobs == 2 * (2 + math.ceil((hot - 300) / 50.0 * 1000 / 2 / 1000))


def test_islands_share_the_budget_of_structures() -> None:
    hours, fireworks = [], []
    for islands in (1, 4):
        changes = {"search__evolution__max_structures": 600, "search__islands": islands}
        found = costs(prediction("paper", **changes))["search", "nnp"]
        hours.append(found.node_hours)
        fireworks.append(found.fireworks)
    # 30 generations of 20 are three blocks, 8 are one: blocks of the islands, decisions around them
    assert hours[1] <= hours[0]
    assert fireworks == [3 + 7, 4 + 3]


def test_a_budget_ends_the_last_generation_early() -> None:
    maker = prediction(
        "paper", search_level="reference", reference_search__evolution__max_structures=50
    )
    assert costs(maker)["search", "dft"].fireworks == 50


def test_relaxations_of_crystals_have_k_points() -> None:
    """As many divisions as 0.25 1/Å asks for in cubic cells of 6, 12 and 24 atoms, halved."""
    volume = estimate_volume(TARGET.composition)
    engine = find_engine("vasp")
    divisions = [math.ceil(2 * math.pi / (n * volume) ** (1 / 3) / 0.25) for n in (6, 12, 24)]
    assert divisions == [6, 4, 4]
    hours = [
        d**3 / 2 * engine.seconds_per_step * (n / 100) ** 2 / 3600
        for d, n in zip(divisions, (6, 12, 24), strict=True)
    ]
    found = costs(prediction("economical"))["candidates", "dft"]
    assert found.node_hours == pytest.approx(found.reference_evaluations * sum(hours) / 3)
    coarse = costs(prediction("economical", vasp__crystal__k_spacing=5.0))["candidates", "dft"]
    assert coarse.node_hours < found.node_hours / 20
    # engines without plane waves have none
    assert find_engine("emt").crystal_k_points(1.0) == 1.0
