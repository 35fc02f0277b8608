"""A folder takes other settings for what has not begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jobflow import Flow

from launch.commands.run import RunOptions
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.errors import CampaignError
from launch.local.campaign import Campaign
from launch.local.runner import _Run

#: Stages whose Fireworks are taken for done.
DYNAMICS = ("pack", "melt", "melting_temperature", "volume", "liquid", "quench", "anneal", "sample")


class Folder:
    """A campaign of CuAu in a folder, whose dynamics is done."""

    def __init__(self, make: Callable[..., Campaign], server: EmbeddedDatabase) -> None:
        self.make, self.server = make, server
        self.pad = self.open().prepare(self.flow())
        self.put("COMPLETED", {"spec.stage": {"$in": DYNAMICS}})

    def put(self, state: str, query: dict[str, Any]) -> None:
        """Put Fireworks in a state."""
        ids = [found["fw_id"] for found in self.pad.fireworks.find(query, {"fw_id": 1})]
        self.pad.fireworks.update_many({"fw_id": {"$in": ids}}, {"$set": {"state": state}})
        states = {f"fw_states.{fw_id}": state for fw_id in ids}
        self.pad.workflows.update_one({}, {"$set": states})

    def prediction(self, *settings: str) -> Any:
        """Return what is asked for."""
        return RunOptions(formula="CuAu", engine="emt", overrides=list(settings)).prediction()

    def open(self, *settings: str) -> _Run:
        """Open the folder as the command does."""
        prediction = self.prediction(*settings)
        campaign = self.make("corrected", formula="CuAu", seed=0, settings=prediction.settings())
        return _Run(campaign, self.server, None, workers=1, retries=0)

    def flow(self, *settings: str) -> Callable[[], Flow]:
        """Return what builds the flow."""
        return lambda: self.prediction(*settings).flow(self.open().campaign.id)

    def ask(self, *settings: str) -> Campaign:
        """Type the command with settings, up to where workers start."""
        run = self.open(*settings)
        run.prepare(self.flow(*settings))
        return run.campaign

    def job(self, name: str) -> dict[str, Any]:
        """Return the job of a Firework."""
        job: dict[str, Any] = self.pad.fireworks.find_one({"name": name})["spec"]["_tasks"][0][
            "job"
        ]
        return job


@pytest.fixture
def folder(new_campaign: Callable[..., Campaign], server: EmbeddedDatabase) -> Folder:
    return Folder(new_campaign, server)


def test_stages_that_have_not_begun_take_other_settings(folder: Folder) -> None:
    before = folder.job("candidates"), folder.job("liquid")
    count = folder.pad.fireworks.count_documents({})
    campaign = folder.ask("candidates.n_candidates=3", "search.relaxer.check_interval=7")
    after = folder.job("candidates"), folder.job("liquid")
    assert after[1] == before[1]
    assert (before[0]["function"]["@bound"]["n_candidates"], before[0]["uuid"]) == (
        20, after[0]["uuid"],
    )  # fmt: skip
    assert after[0]["function"]["@bound"]["n_candidates"] == 3
    assert folder.job("search")["function"]["@bound"]["relaxer"]["check_interval"] == 7
    assert folder.pad.fireworks.count_documents({}) == count
    assert campaign.document.settings["candidates.n_candidates"] == 3
    again = Campaign.open(campaign.folder)
    assert again.document == campaign.document
    assert (
        folder.open(
            "candidates.n_candidates=3", "search.relaxer.check_interval=7"
        ).campaign.correction
        is None
    )


def test_only_what_is_asked_for_changes(folder: Folder) -> None:
    before = list(folder.pad.fireworks.find({}, {"_id": 0}, sort=[("fw_id", 1)]))
    folder.ask("candidates.n_candidates=3")
    after = list(folder.pad.fireworks.find({}, {"_id": 0}, sort=[("fw_id", 1)]))
    assert [
        one["name"] for one, two in zip(before, after, strict=True) if one["spec"] != two["spec"]
    ] == ["candidates"]


def test_what_failed_may_be_corrected(folder: Folder) -> None:
    folder.put("FIZZLED", {"name": "train"})
    folder.ask("train.options.hidden=5,5")
    assert folder.job("train")["function"]["@bound"]["options"]["hidden"] == [5, 5]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("liquid.duration=1.5", r"liquid\.duration 2\.0, not 1\.5.*has begun already: liquid"),
        ("replicas=3", r"replicas 2, not 3.*Other jobs would be needed"),
        ("until=train", "Other jobs would be needed"),
    ],
)
def test_what_comes_too_late_is_refused(folder: Folder, setting: str, message: str) -> None:
    before = list(folder.pad.fireworks.find({}, {"_id": 0}, sort=[("fw_id", 1)]))
    with pytest.raises(CampaignError, match=message) as error:
        folder.ask(setting, "candidates.n_candidates=3")
    assert "another --folder" in str(error.value)
    assert list(folder.pad.fireworks.find({}, {"_id": 0}, sort=[("fw_id", 1)])) == before
    assert folder.open().campaign.correction is None


def test_before_anything_was_added_all_can_be_changed(
    new_campaign: Callable[..., Campaign], server: EmbeddedDatabase
) -> None:
    new_campaign(settings={"a": 1})
    campaign = new_campaign(settings={"a": 2})
    assert campaign.correction == {"a": 2}
    pad = launchpad(server.uri, campaign.document.database)
    assert pad.workflows.find_one({}) is None
    campaign.accept_correction()
    assert Campaign.open(campaign.folder).document.settings == {"a": 2}
