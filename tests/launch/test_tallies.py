"""A tally a campaign: right whoever has written, and whoever was killed meanwhile."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from fireworks import FWAction, FWorker, LaunchPad
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.launchpad import CampaignLaunchPad
from launch.database.tallies import COLLECTION, Tally, count_campaign
from launch.database.tally_keeping import Before
from launch.database.tally_reading import read_tallies, read_tally
from launch.report.overview import overview
from tests.launch.sample_jobs import leaf
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES

numbers = itertools.count()
DFT, NNP = FWorker(name="dft", category="dft"), FWorker(name="nnp", category="nnp")


@pytest.fixture
def pad(server: EmbeddedDatabase) -> Iterator[LaunchPad]:
    """Return the launchpad of three campaigns."""
    name = f"tallies_{next(numbers)}"
    create_indexes(server.uri, name)
    found = launchpad(server.uri, name)
    for campaign in ("A-1", "A-2", "A-3"):
        found.add_wf(workflow(campaign))
    yield found
    found.connection.drop_database(name)
    found.connection.close()


def workflow(campaign: str) -> Any:
    """Return two jobs side by side and one after them."""
    first = [tag(leaf("unused", f"first {n}"), STAGES["liquid"], "dft") for n in (1, 2)]
    last = tag(leaf("unused", "last", after=first[1].output), STAGES["train"])
    flow = Flow([*first, last])
    flow.update_metadata({"campaign": campaign, "formula": "MgO"})
    return flow_to_workflow(flow, metadata={"campaign": campaign, "formula": "MgO"})


def figures(tally: Tally | None) -> Any:
    """Return what must not depend on how a tally came about."""
    assert tally is not None
    counts = {
        kind: ({s: n for s, n in count.states.items() if n}, round(count.node_hours, 6),
               round(count.completed_node_hours, 6))
        for kind, count in tally.counts.items()
    }  # fmt: skip
    return tally.formula, sorted(tally.stamps), counts, tally.running, tally.ends, tally.ready


def kept(pad: LaunchPad, campaign: str) -> Tally:
    """Return the tally as it is stored, whatever the workflow is."""
    return Tally.read(pad.db[COLLECTION].find_one({"_id": campaign}))


def test_what_is_kept_is_what_counting_gives(pad: LaunchPad) -> None:
    drawn = random.Random(3)
    for _ in range(14):
        worker = drawn.choice([DFT, NNP])
        firework, launch = pad.checkout_fw(worker, "/launches")
        if firework is not None:
            pad.complete_launch(launch, FWAction(), drawn.choice(["COMPLETED", "FIZZLED"]))
        for failed in pad.get_fw_ids({"state": "FIZZLED"}):
            if drawn.random() < 0.5:
                pad.rerun_fw(failed)
    pad.rerun_fw(pad.get_fw_ids({"state": "COMPLETED"})[0])
    pad.pause_fw(pad.get_fw_ids({"state": "READY"})[0])
    for campaign in ("A-1", "A-2", "A-3"):
        before = figures(kept(pad, campaign))
        assert before == figures(count_campaign(pad.db, campaign))


def test_a_kill_between_the_two_writes_is_noticed(
    pad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [tally.states["READY"] for tally in read_tallies(pad.db)] == [2, 2, 2]
    with monkeypatch.context() as killed:
        killed.setattr("launch.database.launchpad.tally_changed", lambda *_: None)
        firework, launch = pad.checkout_fw(DFT, "/launches")
        name = firework.spec["campaign"]
        pad.complete_launch(launch, FWAction())
    assert kept(pad, name).states["COMPLETED"] == 0  # it was not told
    rows = {row.campaign: row for row in overview(pad).campaigns}
    assert rows[name].states["COMPLETED"] == 1
    assert kept(pad, name).states["COMPLETED"] == 1
    with monkeypatch.context() as killed:
        killed.setattr("launch.database.launchpad.tally_changed", lambda *_: None)
        pad.checkout_fw(DFT, "/launches", fw_id=firework.fw_id + 1)
    assert figures(read_tally(pad.db, name)) == figures(count_campaign(pad.db, name))


def test_who_keeps_no_tallies_does_no_harm(pad: LaunchPad, server: EmbeddedDatabase) -> None:
    """FireWorks' own commands write without them."""
    read_tallies(pad.db)
    plain = LaunchPad(host=server.uri, name=pad.name, uri_mode=True, strm_lvl="ERROR")
    plain.add_wf(workflow("A-4"))
    plain.defuse_wf(pad.get_fw_ids({"spec.campaign": "A-1"})[0])
    plain.checkout_fw(DFT, "/launches")
    plain.delete_wf(pad.get_fw_ids({"spec.campaign": "A-2"})[0])
    found = {tally.campaign: tally for tally in read_tallies(pad.db)}
    assert sorted(found) == ["A-1", "A-3", "A-4"]
    assert found["A-1"].states["DEFUSED"] > 0
    for name, tally in found.items():
        assert figures(tally) == figures(count_campaign(pad.db, name))
    plain.connection.close()


def test_a_spoilt_tally_is_counted_anew(pad: LaunchPad) -> None:
    pad.db[COLLECTION].update_one({"_id": "A-1"}, {"$set": {"figures": "{"}})
    pad.db[COLLECTION].delete_one({"_id": "A-2"})
    assert [row.states["READY"] for row in overview(pad).campaigns] == [2, 2, 2]


def test_work_is_found_that_no_tally_knows(pad: LaunchPad) -> None:
    pad.db[COLLECTION].delete_many({})
    taken = [pad.checkout_fw(DFT, "/launches")[0] for _ in range(7)]
    assert [firework is not None for firework in taken] == [True] * 6 + [False]
    assert len({firework.fw_id for firework in taken[:6]}) == 6


def test_the_highest_priority_is_taken_first(pad: LaunchPad) -> None:
    everybody = FWorker(name="all")
    last = pad.get_fw_ids({"spec.campaign": "A-2", "spec.stage": "train"})[0]
    first = pad.get_fw_ids({"spec.campaign": "A-2", "spec.stage": "liquid"})
    for fw_id in first:
        _, launch = pad.checkout_fw(everybody, "/launches", fw_id=fw_id)
        pad.complete_launch(launch, FWAction())
    assert pad.checkout_fw(everybody, "/launches")[0].fw_id == last  # of a later stage
    other = pad.get_fw_ids({"spec.campaign": "A-3", "spec.stage": "liquid"})[1]
    pad.set_priority(other, 5000)
    assert pad.checkout_fw(everybody, "/launches")[0].fw_id == other
    assert pad.checkout_fw(NNP, "/launches")[0] is None


def test_a_writer_that_was_overtaken_leaves_the_tally(pad: LaunchPad) -> None:
    stale = pad.get_wf_by_fw_id_lzyfw(pad.get_fw_ids({"spec.campaign": "A-1"})[0])
    assert isinstance(pad, CampaignLaunchPad)
    assert isinstance(stale.tallied, Before)
    before = kept(pad, "A-1")
    stale.tallied = Before("2000-01-01T00:00:00.000", {})
    from launch.database.tally_keeping import tally_changed

    tally_changed(pad.db, stale, stale.tallied)
    assert figures(kept(pad, "A-1")) == figures(before)
