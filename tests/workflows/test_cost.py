"""What stages are expected to cost, by numbers that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workflows.chains.prediction import StructurePredictionMaker
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.engines.registry import find_engine
from workflows.settings import override_all
from workflows.stages.cost import Cost

TARGET = Target("LiAlCl4", (1, 2, 4))
#: Stages of molecular dynamics.
DYNAMICS = ("melt", "melting_temperature", "volume", "liquid", "quench", "anneal")


def prediction(protocol: str, engine: str = "vasp", **changes: object) -> StructurePredictionMaker:
    """Take a protocol and change settings by path, with two underscores for each dot."""
    paths = {name.replace("__", "."): value for name, value in changes.items()}
    return override_all(find_protocol(protocol), paths).with_reference(find_engine(engine))


def costs(maker: StructurePredictionMaker) -> dict[tuple[str, str], Cost]:
    """Expected costs by stage and queue."""
    return {(cost.stage, cost.queue): cost for cost in maker.cost(TARGET)}


def dynamics_hours(members: int, rounds: int) -> float:
    """Node-hours of the economical protocol's dynamics, which a pair potential begins."""
    maker = prediction("economical", train__options__members=members, active__rounds=rounds)
    found = costs(replace(maker, sampler=find_engine("pair")))
    return sum(found[stage, "nnp"].node_hours for stage in DYNAMICS)


def test_dynamics_by_the_potential_take_milliseconds_a_step() -> None:
    """Tens of thousands of steps of 96 atoms: minutes of four networks, not hours."""
    by_one, by_four = (dynamics_hours(n, 2) - dynamics_hours(n, 1) for n in (1, 4))
    assert by_four == pytest.approx(4 * by_one)
    assert 0.02 < by_four < 0.3
