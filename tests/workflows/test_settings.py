"""Overrides by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from jobflow import Maker

from workflows.chains.protocol_numbers import PROTOCOLS
from workflows.chains.protocols import UnknownProtocolError, find_protocol
from workflows.settings import (
    SettingError,
    list_settings,
    override,
    override_all,
    require_valid,
)


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
        ("quench.rate", "0", "'quench.rate' must be from 0.01 to 100,000 K/ps, not 0.0"),
        ("quench.rate", "1e300", "'quench.rate' must be from 0.01 to 100,000 K/ps"),
        ("candidates.symmetry_tolerance", "1e9", "must be from 1e-05 to 1 Å"),
        ("search.evolution.shares.heredity", "nan", "must be a finite number"),
        ("search.evolution.shares.heredity", "inf", "must be a finite number"),
        ("search.evolution.shares.heredity", "-5", "must be from 0 to 100, not -5.0"),
        ("search.relaxer.check_interval", "0", "must be from 1 to 100,000 steps"),
        ("search.evolution.population", "0", "must be from 2 to 10,000"),
        ("search.evolution.archive_size", "0", "must be from 1"),
        ("search.evolution.generations", "0", "must be from 1"),
        ("search.evolution.volume_range", "0,0", "must be from 0.1 to 10"),
        ("train.options.hidden", "100000", "must be from 1 to 1,024"),
        ("train.options.radial_cutoff", "1e6", "must be from 1 to 15 Å"),
        ("train.options.validation_fraction", "true", "must be from|must be of type"),
        ("replicas", "100000", "must be from 1 to 100, not 100000"),
        ("replicas", True, "must be of type int, not True"),
        ("quench.rate", True, "must be of type float, not True"),
        ("train.options.hidden", [30, True], "must be of type"),
        ("search.evolution.prototypes", 3, "must be of type str"),
        ("seed", "9" * 20, "'seed' must be from 0 to 9,223,372,036,854,775,807"),
        ("seed", "9" * 5000, "'seed' must be of type int"),
        ("seed", 10**400, "'seed' must be from 0"),
        ("active.rounds", "99999999", "must be from 0 to 50"),
        ("quench.rate", "nan", "finite number"),
        ("liquid.duration", "-1", "must be from 0.001 to 100,000 ps, not -1.0"),
        ("melt.corrections", "-1", "must be from 0 to 100, not -1"),
        ("candidates.max_force", "0", "'candidates.max_force' must be from 1e-05 to 10 eV/Å"),
        ("candidates.max_stres", "1", "did you mean 'candidates.max_stress'"),
        ("candidates.limits", "1", "there is no setting 'candidates.limits'"),
        ("candidates.limits.max_force", "1", "did you mean 'candidates.max_force'"),
        ("candidates.name", "mine", "there is no setting"),
        ("train.options.threads", "2", "there is no setting"),
        ("replicas", "inf", "must be of type int"),
        ("search.block", "0", "must be from 1 to"),
        ("search.evolution.volume_range", "1,2,3", "must be of type"),
        ("search.evolution.volume_range", "1", "must be of type"),
        ("search.evolution.shares", "foo", "is a group; its fields are random"),
        ("search.evolution.shares.random", "0", "cannot be"),
        ("train.options.validation_fraction", "2", "must be from 0 to 0.9"),
        ("train.options.optimizer", "sgd", "must be one of lbfgs, adam"),
        ("search.evolution", "1", "is a group; its fields are population"),
        ("search.evolution", "1", "set one of them, such as 'search.evolution.population'"),
        ("candidates", "1", "set one of them, such as 'candidates.n_candidates'"),
    ],
)
def test_impossible_values_get_a_sentence(path: str, value: object, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        override(find_protocol("quick"), path, value)


@dataclass(frozen=True)
class Cell:
    """Inline once more, with ranges of all kinds."""

    pressure: float = 0.0
    charge: int = field(default=1, metadata={"range": (-2, 8)})
    size: float = field(default=1.0, metadata={"range": (0.5, 2.0), "unit": "nm"})

    def validate(self) -> None:
        """Refuse what does not fit together."""
        if self.charge > 4 * self.size:
            raise ValueError("charge is too high for size")


@dataclass(frozen=True)
class Limits:
    """A branch whose fields are named without it."""

    force: float = field(default=0.1, metadata={"range": (0.01, 99.0)})
    deeper: Cell = field(default_factory=Cell, metadata={"inline": True})

    def __post_init__(self) -> None:
        if self.force > 9:
            raise ValueError("too large")


@dataclass
class Stage(Maker):
    """A tree with a branch, an inline branch and hidden fields."""

    name: str = "stage"
    limits: Limits = field(default_factory=Limits, metadata={"inline": True})
    cell: Cell = field(default_factory=Cell)
    engine: str = "chgnet"
    secret: int = field(default=1, metadata={"hidden": True})


def test_fields_of_an_inline_branch_have_no_prefix() -> None:
    paths = [setting.path for setting in list_settings(Stage())]
    assert paths == [
        *("force", "pressure", "charge", "size"),
        *("cell.pressure", "cell.charge", "cell.size", "engine"),
    ]
    changed = override(override(Stage(), "force", "0.5"), "pressure", "7")
    assert changed.limits == Limits(0.5, Cell(pressure=7.0))
    assert changed.cell == Cell()
    with pytest.raises(SettingError, match="'force' cannot be '10': too large"):
        override(Stage(), "force", "10")
    with pytest.raises(SettingError, match=r"did you mean 'force'"):
        override(Stage(), "forces", "1")


def test_an_inline_branch_is_set_by_yaml(tmp_path: Path) -> None:
    file = tmp_path / "protocol.yaml"
    file.write_text("candidates:\n  max_force: 0.03\n  n_candidates: 5\n"
                    "reference_search.max_steps: 7\n")  # fmt: skip
    protocol = override_all(find_protocol("quick"), yaml.safe_load(file.read_text()))
    assert protocol.candidates.limits.max_force == 0.03
    assert protocol.candidates.n_candidates == 5
    assert protocol.reference_search.limits.max_steps == 7


def test_a_negative_number_is_taken_where_it_makes_sense() -> None:
    assert override(Stage(), "cell.pressure", "-5").cell.pressure == -5.0
    assert override(Stage(), "cell.charge", "-2").cell.charge == -2
    with pytest.raises(SettingError, match=r"'cell\.charge' must be from -2 to 8, not -3"):
        override(Stage(), "cell.charge", "-3")
    with pytest.raises(SettingError, match=r"'cell\.size' must be from 0\.5 to 2 nm, not -1"):
        override(Stage(), "cell.size", "-1")
    with pytest.raises(SettingError, match="finite"):
        override(Stage(), "cell.pressure", "-inf")


def test_what_is_hidden_says_so_itself() -> None:
    """Names do not matter, but for the one that jobflow wants of each Maker."""
    assert override(Stage(), "engine", "emt").engine == "emt"
    for hidden in ("secret", "name"):
        with pytest.raises(SettingError, match="there is no setting"):
            override(Stage(), hidden, "2")
    protocol = override(find_protocol("quick"), "search.threads", "3")
    assert protocol.search.threads == 3
    paths = {setting.path for setting in list_settings(protocol)}
    assert "search.threads" in paths
    assert not {path for path in paths if path.endswith((".name", "formula_units", "engine"))}


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_every_number_of_every_protocol_has_a_range_and_is_within(name: str) -> None:
    protocol = find_protocol(name)
    require_valid(protocol)
    for setting in list_settings(protocol):
        if type(setting.value) in (int, float):
            for nonsense in (-7, "1e300", "nan", "inf"):
                with pytest.raises(SettingError, match=r"must be"):
                    override(protocol, setting.path, nonsense)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"melting_temperature.highest": 400}, "highest 400 K is below lowest 500 K"),
        ({"melting_temperature.step": 1, "melting_temperature.lowest": 1}, "more than 1000"),
        ({"melting_temperature.duration": 0.1}, "too short to tell a liquid: take at least 0.35"),
        ({"dynamics.sample_interval": 900}, "too short to tell a liquid"),
        ({"quench.end_temperature": 3000}, "is not below melting_temperature.highest"),
        ({"search.evolution.volume_range": [1.1, 0.8]}, "in 'search.evolution', volume_range"),
        ({"search.relaxer.fire.first_step": 2}, "first_step 2 is longer than largest_step 0.5"),
        ({"convergence.lowest_cutoff": 900}, "highest_cutoff 700 eV is below"),
        ({"train.options.hidden": [5] * 9}, "9 layers; 8 are the most"),
        ({"train.options.final_learning_rate": 0.1}, "above learning_rate"),
        (dict.fromkeys(
            [f"train.options.{part}_weight" for part in ("energy", "force", "stress")], 0
        ), "all zero"),
        ({"liquid.duration": 100_000}, "frames; 1,000,000 are the most"),
        ({"liquid.duration": 2000, "dynamics.segment_steps": 1}, "jobs; 10,000 are the most"),
        ({"active.rounds": 50, "active.labels": 100_000, "active.label.batch": 1}, "of labels"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_together_are_refused(
    changes: dict[str, object], message: str
) -> None:
    protocol = override_all(find_protocol("quick"), changes)
    with pytest.raises(SettingError, match=message):
        require_valid(protocol)


def test_what_is_changed_one_by_one_need_only_fit_at_the_end() -> None:
    changed = override_all(Stage(), {"cell.charge": 7, "cell.size": 2})
    require_valid(changed)
    with pytest.raises(SettingError, match=r"^in 'cell', charge is too high for size$"):
        require_valid(override(changed, "cell.size", 1))
    with pytest.raises(SettingError, match=r"'charge' must be from -2 to 8, not 9"):
        require_valid(Stage(limits=Limits(deeper=Cell(charge=9))))


def test_a_setting_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SettingError, match=r"'quench\.rate' is given twice"):
        override_all(find_protocol("quick"), {"quench": {"rate": 50}, "quench.rate": 60})
