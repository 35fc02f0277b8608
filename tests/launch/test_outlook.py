"""What a running campaign says of itself, and its page while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from launch.commands.shared import campaign_page
from launch.commands.shared.campaign_page import PageKeeper
from launch.local.campaign import Campaign
from launch.report.outlook import LEFT, best_so_far, outlook, time_left
from launch.report.status import CampaignStatus, StageStatus
from workflows.stages.table import STAGES


def stage(name: str, state: str, elapsed: float, **figures: float | str) -> StageStatus:
    """A stage of four jobs."""
    done = {"completed": 4.0, "running": 1.5}.get(state, 0.0)
    return StageStatus(name=name, state=state, counts={}, done=done, total=4, started=None,
                       elapsed=elapsed, figures=figures)  # fmt: skip


def status(*stages: StageStatus, engine: str = "chgnet", more: float = 0.0) -> CampaignStatus:
    """A campaign that runs."""
    return CampaignStatus(
        campaign="x", formula="MgO", engine=engine, protocol="quick", folder="x", state="running",
        stages=list(stages), failures=[], started=None,
        elapsed=sum(one.elapsed for one in stages) + more,
    )  # fmt: skip


def test_it_says_what_happens_how_long_it_may_take_and_the_best() -> None:
    running = stage("improve", "running", 60.0, best_eV_atom=-5.5)
    lines = outlook(status(stage("train", "completed", 100.0), stage("search", "completed", 50.0,
                    best_eV_atom=-5.4), running))  # fmt: skip
    assert lines[0] == "Now: learning from what the search found, 1 of 4 jobs known so far."
    assert lines[1] == "Time left: less than a minute to 4 min."
    assert lines[2] == "Best so far: -5.5000 eV/atom by chgnet."


def test_of_stages_that_have_begun_those_at_work_are_told() -> None:
    waiting, working = stage("label", "running", 1.0), stage("quench", "running", 1.0)
    working.counts = {"RUNNING": 1}
    assert outlook(status(waiting, working))[0] == (
        "Now: cooling the melt to a glass, 1 of 4 jobs known so far."
    )


def test_the_range_is_from_what_was_taken_and_shrinks_as_time_passes() -> None:
    ended = stage("train", "completed", 100.0)
    early = time_left(status(ended, stage("search", "running", 0.0)))
    late = time_left(status(ended, stage("search", "running", 20.0)))
    assert early is not None
    assert late is not None
    low, high = LEFT["train"]
    assert 0 < early[0] < 100 * low < 100 * high < early[1]
    assert late == (pytest.approx(early[0] - 20), pytest.approx(early[1] - 20))
    # longer than any campaign took: nothing is promised
    assert time_left(status(ended, stage("search", "running", 900.0))) is None


def test_nothing_is_promised_of_what_was_not_measured() -> None:
    assert time_left(status(stage("train", "completed", 100.0), engine="vasp")) is None
    assert time_left(status(stage("melt", "running", 100.0))) is None
    assert best_so_far(status(stage("melt", "running", 100.0))) is None


def test_every_stage_has_words() -> None:
    from launch.report.outlook import DOING

    assert set(DOING) == set(STAGES)


def test_the_page_is_kept_at_little_cost_and_fails_as_a_warning(
    new_campaign: Callable[..., Campaign],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A page that cannot be written ends nothing; the next one waits, and needs a stage's end."""
    asked = []

    def fail(*arguments: object) -> None:
        asked.append(arguments)
        raise OSError("no space left on device")

    monkeypatch.setattr(campaign_page, "read_store", fail)
    melted = status(stage("melt", "completed", 10.0))
    with caplog.at_level(logging.WARNING), PageKeeper(new_campaign(), None) as keeper:
        keeper.update(status(stage("melt", "running", 5.0)))
        assert not asked
        keeper.update(melted)
        keeper.wait()
        keeper.update(melted)
        keeper.wait()
    assert len(asked) == 1
    assert "report.html cannot be written" in caplog.text
