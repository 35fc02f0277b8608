"""Campaigns from an archive into databases and out again, with all that may go wrong between."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ase.db import connect
from fireworks import FWorker
from fireworks.core.rocket_launcher import launch_rocket
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.database.embedded import EmbeddedDatabase
from launch.database.failures import failures
from launch.database.indexes import prepare
from launch.errors import CampaignError
from launch.report.campaign_results import CampaignResults
from launch.report.shared_rankings import read_ranking, write_rankings
from launch.transfer import inserting
from launch.transfer.archive import ArchiveReader
from launch.transfer.checking import check
from launch.transfer.documents import CampaignDocuments, read_documents, require_at_rest
from launch.transfer.exporting import Source, export_archive
from launch.transfer.importing import import_into_folder
from launch.transfer.inserting import NOTES, insert, require_absent
from launch.transfer.numbering import Numbers, release_paused, renumbered
from launch.transfer.places import Place, opened
from launch.versions import LAST_TO_RUN
from tests.launch.archives import COMPLETE, UNFINISHED, rebuilt
from tests.launch.sample_jobs import sleep
from workflows.documents.training import TrainingDocument

NAME = "Cu-68ab1e1c"
COLLECTIONS = ("fireworks", "launches", "workflows", "progress", "archived_fireworks", NOTES)


@pytest.fixture
def place(server: EmbeddedDatabase) -> Iterator[Place]:
    """A launchpad and a job store of their own, as a cluster has them."""
    name = f"shared_{uuid.uuid4().hex[:12]}"
    with opened(server.uri, name) as found:
        prepare(found.pad)
        yield found
        found.pad.connection.drop_database(name)


def put(place: Place, path: Path) -> CampaignDocuments:
    """Import the campaign of an archive into a database."""
    with ArchiveReader(path) as archive:
        (found,) = check(archive)
        require_absent(place, found.entry.name)
        return insert(place, found)


def counts(place: Place) -> dict[str, int]:
    """How many documents there are of each kind."""
    found = {name: place.pad.db[name].count_documents({}) for name in COLLECTIONS}
    return {
        **found,
        "outputs": place.outputs.count_documents({}),
        "blobs": place.blob_files.count_documents({}),
    }


WHOLE = {
    "fireworks": 30, "launches": 28, "workflows": 1, "progress": 17, "archived_fireworks": 0,
    NOTES: 0, "outputs": 27, "blobs": 15,
}  # fmt: skip


def test_in_and_out_again(place: Place, tmp_path: Path) -> None:
    """Beside other campaigns everything has numbers of its own; nothing else has changed."""
    put(place, COMPLETE[2])
    documents = put(place, UNFINISHED)
    assert [one["fw_id"] for one in documents.fireworks] == list(range(39, 69))
    with pytest.raises(CampaignError, match=f"has a campaign {NAME} already: nothing was imported"):
        put(place, UNFINISHED)

    again = tmp_path / "again.zip"
    manifest = export_archive([Source(place, NAME, None)], again)
    with ArchiveReader(UNFINISHED) as first, ArchiveReader(again) as second:
        (campaign,) = check(second)
        assert campaign.entry.finished == 27
        for path, entry in first.manifest.files.items():
            if "/blobs/" in path or path.endswith("progress.jsonl"):
                assert manifest.files[path] == entry
        (old,) = check(first)
        for one, other in zip(old.outputs(), campaign.outputs(), strict=True):
            one["metadata"]["fw_id"] = other["metadata"]["fw_id"]
            assert digest(one) == digest(other)
        launches = [
            renumbered(found.documents, Numbers.following(found.documents, 1, 1)).launches
            for found in (old, campaign)
        ]
        assert list(map(digest, launches[0])) == list(map(digest, launches[1]))


def test_two_copies_of_a_campaign_are_not_exported_together(place: Place, tmp_path: Path) -> None:
    put(place, UNFINISHED)
    path = tmp_path / "twice.zip"
    with pytest.raises(CampaignError, match=f"{NAME} is named twice"):
        export_archive([Source(place, NAME, None)] * 2, path)
    assert not path.exists()


def digest(document: Any) -> str:
    """Tell documents apart without spelling them out."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def test_numbers_belong_together(place: Place) -> None:
    put(place, UNFINISHED)
    put(place, COMPLETE[1])
    pad = place.pad
    for workflow in pad.workflows.find():
        members = {one["fw_id"]: one for one in pad.fireworks.find(
            {"fw_id": {"$in": workflow["nodes"]}})}  # fmt: skip
        assert {one["spec"]["campaign"] for one in members.values()} == {
            workflow["metadata"]["campaign"]
        }
        assert {int(k): s for k, s in workflow["fw_states"].items()} == {
            fw_id: one["state"] for fw_id, one in members.items()
        }
        for fw_id, one in members.items():
            for launch_id in (*one["launches"], *one["archived_launches"]):
                assert pad.launches.find_one({"launch_id": launch_id})["fw_id"] == fw_id
        # FireWorks itself understands it
        assert pad.get_wf_by_fw_id(workflow["nodes"][0]).state == workflow["state"]
    ids = pad.fireworks.distinct("fw_id")
    assert len(ids) == pad.fireworks.count_documents({}) == 68
    assert pad.get_new_fw_id() == 69
    assert pad.get_new_launch_id() == 67
    results = CampaignResults(place.store, "Cu-7b2b77fd")
    training = results.newest(TrainingDocument)
    assert training is not None
    assert training.potential.elements == ("Cu",)
    frames = results.frames()
    assert frames is not None
    assert len(frames) > 200


@pytest.mark.parametrize("step", [0, 2, 5, 6, 7])
def test_an_import_that_is_cut_short_leaves_nothing_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At whichever write; the same command makes it whole, and before that nothing can be run."""
    calls = 0
    real = inserting._batches

    def cut(values: Any) -> Iterator[list[Any]]:
        nonlocal calls
        if calls == step:
            raise KeyboardInterrupt
        calls += 1
        yield from real(values)

    monkeypatch.setattr(inserting, "_batches", cut)
    with pytest.raises(KeyboardInterrupt):
        put(place, UNFINISHED)
    monkeypatch.undo()
    assert place.pad.fireworks.count_documents({"state": "READY"}) == 0
    put(place, UNFINISHED)
    assert counts(place) == WHOLE
    assert place.pad.fireworks.count_documents({"state": "READY"}) == 1


def test_what_can_be_run_is_not_imported_from_another_file(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def cut(*_: object) -> Iterator[int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inserting, "_present", cut)
        with pytest.raises(KeyboardInterrupt):
            put(place, UNFINISHED)
    other = rebuilt(tmp_path / "other.zip", {"progress.jsonl": lambda found: found.pop()})
    with pytest.raises(CampaignError, match="it was from another file"):
        put(place, other)
    put(place, UNFINISHED)
    assert counts(place) == WHOLE


def test_what_was_paused_for_the_journey_goes_on(place: Place) -> None:
    documents = put(place, UNFINISHED)
    pad = place.pad
    todo = [one["fw_id"] for one in documents.fireworks if one["state"] != "COMPLETED"]
    before = {one["fw_id"]: one["state"] for one in pad.fireworks.find({})}
    for fw_id in todo:
        pad.pause_fw(fw_id)
    paused = read_documents(place, NAME)
    assert {one["state"] for one in paused.fireworks if one["fw_id"] in todo} == {"PAUSED"}
    require_at_rest(paused)
    release_paused(paused)
    assert {one["fw_id"]: one["state"] for one in paused.fireworks} == before
    paused.fireworks[0]["state"] = "RUNNING"
    with pytest.raises(CampaignError, match=r"1 jobs of campaign Cu-68ab1e1c are running .*pause"):
        require_at_rest(paused)


def test_an_unfinished_campaign_of_another_version_is_no_work_for_a_cluster(
    tmp_path: Path,
) -> None:
    path = rebuilt(tmp_path / "old.zip", {}, campaign_version=2)
    with ArchiveReader(path) as archive:
        (found,) = check(archive)
        with pytest.raises(CampaignError, match=r"go on with devitrify 0\.1\.0 at commit 11c7a53"):
            found.require_runnable()
    with ArchiveReader(COMPLETE[2]) as archive:
        check(archive)[0].require_runnable()


@contextmanager
def checked(path: Path) -> Iterator[list[Any]]:
    """Open an archive that was looked through."""
    with ArchiveReader(path) as archive:
        yield check(archive)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    with (
        checked(UNFINISHED) as found,
        pytest.raises(CampaignError, match="is there already: give another folder"),
    ):
        import_into_folder(found, folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "mine.txt"]


def test_a_failed_import_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inserting, "_insert_stored", fail)
    with checked(UNFINISHED) as found, pytest.raises(OSError, match="No space"):
        import_into_folder(found, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_rankings_for_other_programs(place: Place, tmp_path: Path) -> None:
    """What other programs read is what is in the database."""
    put(place, COMPLETE[2])
    put(place, COMPLETE[1])
    put(place, UNFINISHED)
    rankings = [read_ranking(place.store, name) for name in ("Cu-ec8f3ca7", "Cu-7b2b77fd")]
    records = [record for ranking in rankings for record in ranking.records]
    assert [record.space_group for record in records] == ["Im-3m", "P6/mmm"]
    with pytest.raises(CampaignError, match="has no ranking yet; --format zip exports"):
        read_ranking(place.store, NAME)
    paths = {form: tmp_path / form for form in ("ase-db", "optimade-jsonl", "json", "csv")}
    for form, path in paths.items():
        write_rankings(rankings, form, path)

    rows = list(connect(paths["ase-db"], type="db").select())
    for row, record in zip(rows, records, strict=True):
        assert row.energy == pytest.approx(record.energy * row.natoms)
        assert row.volume / row.natoms == pytest.approx(record.volume)
        assert (row.campaign, row.spacegroup) == (record.campaign, record.space_group)
        assert row.data["versions"]["ase"]
    document = json.loads(paths["json"].read_text())
    assert [one["campaign"] for one in document["campaigns"]] == ["Cu-ec8f3ca7", "Cu-7b2b77fd"]
    assert document["campaigns"][0]["versions"]["numba"]
    assert document["campaigns"][0]["summary"]["melting_temperature_K"] > 0
    assert len(paths["csv"].read_text().splitlines()) == 3


def test_optimade_takes_what_is_written(place: Place, tmp_path: Path) -> None:
    """The reference implementation of the specification reads it, and finds the same crystal."""
    models = pytest.importorskip("optimade.models", reason="optimade is not installed")
    adapters = pytest.importorskip("optimade.adapters")
    put(place, COMPLETE[2])
    ranking = read_ranking(place.store, "Cu-ec8f3ca7")
    path = tmp_path / "found.jsonl"
    write_rankings([ranking], "optimade-jsonl", path)
    header, information, *entries = map(json.loads, path.read_text().splitlines())
    assert header["x-optimade"]["meta"]["api_version"]
    known = models.EntryInfoResource.model_validate(information).properties
    for entry, record in zip(entries, ranking.records, strict=True):
        models.StructureResource.model_validate(entry)
        own = {name for name in entry["attributes"] if name.startswith("_")}
        assert own <= set(known)
        found = adapters.Structure(entry).as_pymatgen
        assert found.matches(record.to_structure())
        assert entry["attributes"]["_devitrify_energy"] == record.energy


def test_a_firework_of_a_campaign_of_another_version_fails_with_the_sentence(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a launchpad whose workers were upgraded: whatever its job is, it is not run."""
    notes = tmp_path / "notes"
    flow = sleep(str(notes), "never", 0.0)
    told = {"campaign": "mine", "campaign_version": 2, "begun_by": "0.1.0"}
    place.pad.add_wf(flow_to_workflow(Flow([flow]), metadata=told))
    monkeypatch.chdir(tmp_path)
    assert launch_rocket(place.pad, FWorker(), strm_lvl="ERROR")
    (failure,) = failures(place.pad)
    assert "The campaign mine is of version 2 of campaigns" in failure.reason
    assert f"go on with {LAST_TO_RUN[2]}." in failure.reason
    assert not notes.exists()
