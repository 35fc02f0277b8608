"""Overrides by path."""

from __future__ import annotations

import pytest

from workflows.chains.protocols import PROTOCOLS, UnknownProtocolError, find_protocol
from workflows.settings import SettingError, list_settings, override, override_all


def test_paper_protocol_has_the_numbers_of_the_paper() -> None:
    paper = {setting.path: setting.value for setting in list_settings(find_protocol("paper"))}
    expected = {
        "melt.temperature": 4000.0, "melt.duration": 5.0,
        "melting_temperature.step": 500.0, "liquid.duration": 20.0,
        "quench.rate": 100.0, "quench.end_temperature": 300.0,
        "anneal.temperature": 500.0, "anneal.duration": 15.0,
        "dynamics.sample_interval": 20.0, "pack.n_atoms": 100, "replicas": 1,
        "search.evolution.generations": 120,
        "search.relaxer.max_force": 0.1, "search.relaxer.max_stress": 20.0,
        "search.relaxer.max_steps": 400,
        "candidates.max_force": 0.02, "candidates.max_stress": 4.0,
    }  # fmt: skip
    assert {path: paper[path] for path in expected} == expected


def test_paper_protocol_samples_as_many_frames_as_the_paper_says() -> None:
    paper = find_protocol("paper")
    for melting_temperature, frames in ((1500, 2350), (3500, 3350)):
        quench = (melting_temperature - paper.quench.end_temperature) / paper.quench.rate
        duration = paper.liquid.duration + quench + paper.anneal.duration
        assert duration * 1000 / paper.dynamics.sample_interval == frames


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_every_setting_of_every_protocol_can_be_set_to_its_own_value(name: str) -> None:
    protocol = find_protocol(name)
    for setting in list_settings(protocol):
        if not isinstance(setting.value, dict):
            assert override(protocol, setting.path, setting.value) == protocol


def test_text_becomes_the_type_of_the_field() -> None:
    protocol = find_protocol("quick")
    assert override(protocol, "quench.rate", "200").quench.rate == 200.0
    assert override(protocol, "dynamics.time_step", "1.5").dynamics.time_step == 1.5
    assert override(protocol, "dynamics.time_step", "none").dynamics.time_step is None
    assert override(protocol, "pack.n_atoms", "64").pack.n_atoms == 64


def test_overriding_leaves_the_original_alone() -> None:
    protocol = find_protocol("quick")
    rate = protocol.quench.rate
    override(protocol, "quench.rate", "17")
    assert protocol.quench.rate == rate


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("quench.rat", "1", r"did you mean 'quench.rate'"),
        ("quench_rate", "1", r"did you mean 'quench.rate'"),
        ("quensh.rate", "1", r"did you mean 'quench.rate'"),
        ("quench", "1", r"is a group"),
        ("quench.rate.unit", "1", r"no field"),
        ("quench.rate", "fast", r"'quench.rate' must be of type float"),
        ("pack.n_atoms", "1.5", r"'pack.n_atoms' must be of type int"),
    ],
)
def test_a_bad_override_gets_a_sentence(path: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        override(find_protocol("quick"), path, value)


def test_nested_yaml_and_dotted_paths_mean_the_same() -> None:
    protocol = find_protocol("quick")
    nested = override_all(protocol, {"quench": {"rate": 50}, "liquid.duration": 3})
    assert (nested.quench.rate, nested.liquid.duration) == (50.0, 3.0)


def test_an_unknown_protocol_gets_a_sentence() -> None:
    with pytest.raises(UnknownProtocolError, match="quick"):
        find_protocol("fast")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("quench.rate", "0", "must be above zero"),
        ("quench.rate", "nan", "finite number"),
        ("liquid.duration", "-1", "not negative"),
        ("replicas", "inf", "must be of type int"),
        ("search.block", "0", "must be above zero"),
        ("search.evolution.volume_range", "1,2,3", "must be of type"),
        ("search.evolution.volume_range", "1", "must be of type"),
        ("search.evolution.shares", "foo", "is a group; its fields are random"),
        ("search.evolution.shares.random", "0", "cannot be"),
        ("train.options.validation_fraction", "2", "cannot be"),
        ("train.options.optimizer", "sgd", "must be one of lbfgs, adam"),
        ("search.evolution", "1", "is a group; its fields are population"),
    ],
)
def test_impossible_values_get_a_sentence(path: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        override(find_protocol("quick"), path, value)
