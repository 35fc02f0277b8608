"""A folder takes other settings for what has not begun."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fireworks import Firework, Workflow
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.commands.run import RunOptions
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.errors import CampaignError
from launch.local.campaign import Campaign
from launch.local.correction_plan import job_text, plain
from launch.local.runner import _Run

#: Stages whose Fireworks are taken for done.
DYNAMICS = ("pack", "melt", "melting_temperature", "volume", "liquid", "quench", "anneal", "sample")

#: Short dynamics by the engine, without rounds.
ONE_PASS = (
    "active.rounds=0", "improve.rounds=0", "train.options.members=1", "liquid.duration=2",
    "anneal.duration=1", "quench.rate=500", "candidates.n_candidates=20",
)  # fmt: skip


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
        overrides = [*ONE_PASS, *settings]
        return RunOptions(formula="CuAu", engine="emt", overrides=overrides).prediction()

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


class SeveralPressures(Folder):
    """The same at two pressures."""

    def prediction(self, *settings: str) -> Any:
        """Return what is asked for."""
        overrides = [*ONE_PASS, *settings]
        options = RunOptions(formula="CuAu", engine="emt", overrides=overrides, pressures="0,20")
        return options.prediction()


def test_a_campaign_at_several_pressures_takes_other_settings_too(
    new_campaign: Callable[..., Campaign], server: EmbeddedDatabase
) -> None:
    folder = SeveralPressures(new_campaign, server)
    before = folder.pad.fireworks.count_documents({})
    folder.ask("candidates.n_candidates=3", "candidates.exchanged=2")
    for name in ("candidates at 0 GPa", "candidates at 20 GPa"):
        assert folder.job(name)["function"]["@bound"]["n_candidates"] == 3
    exchange = folder.pad.fireworks.find_one({"name": "all pressures", "spec.stage": "candidates"})
    assert exchange["spec"]["_tasks"][0]["job"]["function"]["@bound"]["number"] == 2
    assert folder.pad.fireworks.count_documents({}) == before
    with pytest.raises(CampaignError, match="begun already"):
        folder.ask("liquid.duration=3")


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


def test_a_workflow_that_was_added_is_left_alone(folder: Folder) -> None:
    """Also where it comes first, as it may after a document was replaced."""
    own = folder.pad.workflows.find_one_and_delete({})
    work = Firework([], name="judge", spec={"_tasks": []})
    folder.pad.add_wf(Workflow([work], metadata={"addition": "judge"}))
    folder.pad.workflows.insert_one(own)
    added = folder.pad.workflows.find_one({"metadata.addition": "judge"})
    folder.ask("candidates.n_candidates=3")
    assert folder.job("candidates")["function"]["@bound"]["n_candidates"] == 3
    assert folder.pad.workflows.find_one({"_id": added["_id"]})["nodes"] == added["nodes"]
    assert folder.pad.fireworks.count_documents({"name": "judge"}) == 1


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
        ("quench.rate=77", r"quench\.rate .*, not 77.*has begun already: quench plan"),
        ("dynamics.segment_steps=100", "has begun already: "),
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


def links(folder: Folder) -> dict[str, set[str]]:
    """Children of all Fireworks, by names."""
    (workflow,) = folder.pad.workflows.find({})
    names = {fw["fw_id"]: fw["name"] for fw in folder.pad.fireworks.find({})}
    assert sorted(names) == sorted(workflow["nodes"])
    return {
        names[int(fw_id)]: {names[child] for child in below}
        for fw_id, below in workflow["links"].items()
    }


def states(folder: Folder) -> dict[str, str]:
    """States of all Fireworks, by names; the workflow has the same."""
    found = {fw["fw_id"]: fw for fw in folder.pad.fireworks.find({})}
    recorded = folder.pad.workflows.find_one({})["fw_states"]
    assert recorded == {str(fw_id): fw["state"] for fw_id, fw in found.items()}
    return {fw["name"]: fw["state"] for fw in found.values()}


def uuids(folder: Folder) -> dict[str, str]:
    """Jobs of all Fireworks, by names."""
    return {fw["name"]: folder.job(fw["name"])["uuid"] for fw in folder.pad.fireworks.find({})}


def as_if_new(folder: Folder, *settings: str) -> dict[str, set[str]]:
    """Children of all Fireworks of a campaign that has these settings from its beginning."""
    workflow = folder.open().to_workflow(folder.flow(*settings)())
    names = {fw.fw_id: fw.name for fw in workflow.fws}
    return {
        names[fw_id]: {names[child] for child in below} for fw_id, below in workflow.links.items()
    }


@pytest.mark.parametrize("replicas", [1, 3])
def test_more_or_fewer_trajectories(folder: Folder, replicas: int) -> None:
    """Finished ones stay; what rests on all of them waits for the new ones."""
    before = uuids(folder)
    folder.ask(f"replicas={replicas}")
    wanted = as_if_new(folder, f"replicas={replicas}")
    after, found = uuids(folder), states(folder)
    made = links(folder)
    assert {name: made[name] & wanted.keys() for name in wanted} == wanted
    finished = [name for name in before if name.startswith(("pack", "liquid", "quench", "anneal"))]
    assert all(after[name] == before[name] for name in finished)
    assert all(found[name] == "COMPLETED" for name in finished)
    # the training set was done, and is another now
    assert after["sample"] != before["sample"]
    assert found["sample"] == ("READY" if replicas == 1 else "WAITING")
    assert found["train"] == found["search"] == "WAITING"
    if replicas == 3:
        assert found["liquid replica 3"] == "READY"
        assert found["anneal replica 3"] == "WAITING"
    archived = [fw["name"] for fw in folder.pad.db.archived_fireworks.find({})]
    assert archived == ["sample"]


def test_the_last_stage_can_be_another(folder: Folder) -> None:
    """There and back: what was left out is made anew, what was finished is not."""
    before = uuids(folder)
    folder.ask("until=train")
    assert links(folder) == as_if_new(folder, "until=train")
    assert states(folder)["train"] == "READY"
    folder.put("COMPLETED", {"name": "train"})
    folder.ask("until=search")
    assert links(folder) == as_if_new(folder, "until=search")
    assert states(folder)["search"] == "READY"
    assert "candidates" not in states(folder)
    assert uuids(folder)["train"] == before["train"]
    assert folder.open("until=search").campaign.correction is None


def test_a_finished_stage_that_is_not_the_last_any_more_stays(folder: Folder) -> None:
    folder.put("COMPLETED", {"name": {"$in": ["train", "search"]}})
    before = uuids(folder)
    folder.ask("until=train")
    assert states(folder)["search"] == "COMPLETED"
    folder.ask()
    assert uuids(folder) | {"candidates": ""} == before | {"candidates": ""}
    assert links(folder) == as_if_new(folder)
    assert states(folder)["candidates"] == "READY"


def test_other_segments(folder: Folder) -> None:
    """Of stages that have not begun; those of the longer run that are the same are no others."""
    folder.put("WAITING", {"name": {"$regex": "^(anneal|sample)"}})
    short, long = "anneal.duration=4", "anneal.duration=6"
    folder.ask(short)
    assert links(folder) == as_if_new(folder, short)
    assert states(folder)["anneal 1/2"] == "READY"
    folder.put("COMPLETED", {"name": {"$regex": "^anneal .*1/2$|^anneal 1/2$"}})
    first = uuids(folder)["anneal 1/2"]
    folder.ask(long)
    found = states(folder)
    assert (found["anneal 1/2"], found["anneal 2/3"], found["anneal 3/3"]) == (
        "COMPLETED", "READY", "WAITING",
    )  # fmt: skip
    assert uuids(folder)["anneal 1/2"] == first
    assert first in str(folder.job("anneal 2/3"))
    assert "anneal 1/3" not in found
    assert {"anneal 2/2", "anneal 1/3"}.isdisjoint(found)
    assert {re.sub("^(anneal.*) 1/2$", r"\1 1/3", name) for name in found} == set(
        as_if_new(folder, long)
    )


def test_what_was_launched_and_failed_is_another_job(folder: Folder) -> None:
    """Its checkpoint on the disk is of the other settings."""
    folder.put("FIZZLED", {"name": "train"})
    folder.pad.fireworks.update_one({"name": "train"}, {"$set": {"archived_launches": [1]}})
    before = uuids(folder)
    folder.ask("train.options.hidden=5,5")
    after = uuids(folder)
    assert folder.job("train")["function"]["@bound"]["options"]["hidden"] == [5, 5]
    assert after["train"] != before["train"]
    assert after["search"] == before["search"]
    assert before["train"] not in str(folder.job("search"))
    assert after["train"] in str(folder.job("search"))
    assert links(folder) == as_if_new(folder)


def test_a_training_that_is_done_can_be_done_again(folder: Folder) -> None:
    folder.put("COMPLETED", {"name": "train"})
    store = folder.pad.db.outputs
    store.insert_one(
        {"uuid": uuids(folder)["train"], "metadata": {"campaign": folder.open().campaign.id}}
    )
    folder.ask("train.options.hidden=5,5")
    assert states(folder)["train"] == "READY"
    (document,) = store.find({})
    assert document["metadata"] == {"former_campaign": folder.open().campaign.id}


def test_a_complete_campaign_is_not_done_again_for_an_option(folder: Folder) -> None:
    folder.put("COMPLETED", {})
    folder.pad.workflows.update_one({}, {"$set": {"state": "COMPLETED"}})
    before = uuids(folder)
    with pytest.raises(CampaignError, match="has begun already: candidates"):
        folder.ask("candidates.n_candidates=3")
    with pytest.raises(CampaignError, match="has begun already: search"):
        folder.ask("search.evolution.population=7")
    folder.ask("replicas=3")  # that is no forgotten option
    after = uuids(folder)
    assert after["liquid"] == before["liquid"]
    assert states(folder)["candidates"] == "WAITING"


@pytest.mark.parametrize("moment", ["archive", "insert", "workflow"])
def test_a_correction_that_was_cut_short_is_made_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Also into the settings that the campaign had before."""
    folder.put("COMPLETED", {"name": {"$in": ["train", "search"]}})

    def ended(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where = {
        "archive": "launch.local.correction.Correction._ids",
        "insert": "launch.local.correction.Correction._document",
        "workflow": "launch.local.correction.tidy_up",
    }
    before = uuids(folder)
    with monkeypatch.context() as patch:
        patch.setattr(where[moment], ended)
        with pytest.raises(KeyboardInterrupt):
            folder.ask("replicas=3")
    assert folder.open().campaign.correction is not None
    folder.ask()
    assert {n for n in links(folder) if "replica 3" in n} == set()
    assert links(folder) == as_if_new(folder)
    if moment != "workflow":  # nothing had been taken away yet
        assert uuids(folder) == before
        assert folder.pad.db.archived_fireworks.count_documents({}) == 0
    folder.ask("replicas=3")
    assert links(folder) == as_if_new(folder, "replicas=3")
    assert states(folder)["search"] == "WAITING"


def test_an_upgrade_that_shifts_stages_changes_no_job() -> None:
    """Priorities follow from the place of a stage among all."""
    flow = flow_to_workflow(RunOptions(formula="CuAu", engine="emt").prediction().flow("CuAu-1"))
    for firework in flow.fws:
        document = plain(firework.to_db_dict())
        later = plain(document)
        work = later["spec"]["_tasks"][0]["job"]
        work["config"]["manager_config"]["_priority"] += 10
        assert job_text(later) == job_text(document)
        work["function_args"] = [*work["function_args"], "another"]
        assert job_text(later) != job_text(document)
