"""What a cluster's configuration says about jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflows.jobs.site import (
    CONFIG_VARIABLE,
    Resources,
    SiteError,
    SiteSettings,
    site_settings,
    walltime_seconds,
    without_site,
)
from workflows.jobs.tags import fireworks_spec
from workflows.stages.table import STAGES


def test_every_firework_carries_category_walltime_nodes_and_priority() -> None:
    segment, training = fireworks_spec(STAGES["liquid"], "dft"), fireworks_spec(STAGES["train"])
    assert segment["_category"] == "dft"
    assert training["_category"] == "nnp"
    assert training["_priority"] > segment["_priority"]
    assert set(segment["_queueadapter"]) == {"walltime", "nodes"}


def test_the_site_overrides_by_queue_and_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "devitrify.yaml").write_text(
        "checkpoints: $HOME/work\n"
        "resources:\n"
        "  dft: {default: {walltime: '00:30:00', nodes: 4}}\n"
        "  nnp: {train: {walltime: 2-00:00:00}, search: {walltime: 36:30:05}}\n"
    )
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HOME", "/home/somebody")
    assert site_settings().checkpoints == Path("/home/somebody/work")
    assert fireworks_spec(STAGES["melt"], "dft")["_queueadapter"] == {
        "walltime": "00:30:00",
        "nodes": 4,
    }
    assert fireworks_spec(STAGES["train"])["_queueadapter"]["walltime"] == "2-00:00:00"
    assert fireworks_spec(STAGES["search"])["_queueadapter"]["walltime"] == "36:30:05"
    # what is not named keeps its default
    default = SiteSettings()
    assert site_settings().resources_of("pack", "nnp") == default.resources_of("pack", "nnp")
    assert fireworks_spec(STAGES["candidates"], "dft")["_queueadapter"]["walltime"] == "24:00:00"


def test_a_folder_without_the_file_means_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    assert site_settings() == SiteSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resources: {dft: {melt: {wall: 3}}}", "walltime and nodes"),
        ("resources: {dft: {melt: {walltime: 12h}}}", "hours:minutes:seconds"),
        ("resources: {dft: {melt: {nodes: 0}}}", "from 1 to"),
        ("resources: {dft: {melt: {nodes: true}}}", "from 1 to"),
        ("resources: {dft: {melt: {walltime: '00:00:00'}}}", "above zero"),
        ("resources: {dft: {melt: {walltime: '99999999999:00:00'}}}", "hours:minutes:seconds"),
        ("resources: [1]", "maps names to values"),
        ("resources: {dft: [1]}", "resources.dft maps names to values"),
        ("seconds_per_step: {vasp: fast}", "number of seconds above 0"),
        ("seconds_per_step: {vasp: .nan}", "number of seconds above 0"),
        ("seconds_per_step: {vasp: .inf}", "number of seconds above 0"),
        ("seconds_per_step: {vasp: true}", "number of seconds above 0"),
        ("checkpoints: [1]", "checkpoints is a folder"),
        ("checkpoints: ~nobody_here/x", "checkpoints is a folder"),
        ("a: &a [1]\nb: *a\n", "alias"),
        ("resources: {}\nresources: {}\n", "a second time"),
        ("\x00", "is not YAML"),
        ("checkpoint: /tmp", "unknown setting 'checkpoint'"),
        ("- 1", "must map"),
        ("{", "cannot be read"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    (tmp_path / "devitrify.yaml").write_text(text)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    with pytest.raises(SiteError, match=message):
        site_settings()


def test_walltimes() -> None:
    assert walltime_seconds("00:01:30") == 90
    assert walltime_seconds("1-00:00:00") == 86400
    assert Resources("02:30:00", nodes=4).node_hours == 10


def test_the_users_own_folder_counts_unless_there_is_no_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "devitrify").mkdir()
    (tmp_path / "devitrify" / "devitrify.yaml").write_text("checkpoints: /scratch\n")
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert site_settings().checkpoints == Path("/scratch")
    with without_site():
        assert site_settings() == SiteSettings()
    assert site_settings().checkpoints == Path("/scratch")
