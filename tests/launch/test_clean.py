"""What is freed, and what never is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from fireworks import LaunchPad

from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.leftovers import find_leftovers, is_launch_folder
from launch.local.campaign import Campaign
from launch.report.sizes import database_sizes, in_words
from tests.launch.test_cli import call

numbers = itertools.count()
CAMPAIGN = "Cu-1"
NOW = datetime.now(UTC)


class Filled:
    """
    A database with a campaign in it, and folders beside.

    Two blocks of a search, the second of which ended it; a potential; a blob of a launch before; a
    job that has not run.
    """

    def __init__(self, pad: LaunchPad, folder: Path) -> None:
        self.pad, self.folder = pad, folder
        self.store = job_store(pad.host, pad.name)
        self.store.connect()
        (folder / "launches").mkdir()
        for fw_id, (uuid, state) in enumerate(
            [("block-1", "COMPLETED"), ("block-2", "COMPLETED"), ("train", "COMPLETED")], start=1
        ):
            self.firework(fw_id, uuid, state)
        self.output("block-1", "IslandDocument", "evolution", "first", finished=False)
        self.output("block-2", "IslandDocument", "evolution", "last", finished=True)
        self.output("train", "TrainingDocument", "potential", "the potential")
        self.blob("train", "of a launch before")

    def firework(self, fw_id: int, uuid: str, state: str) -> None:
        launch = self.folder / "launches" / f"20300101-000000-00000{fw_id}-77"
        launch.mkdir()
        (launch / "OUTCAR").write_text("x" * 500)
        job = {"uuid": uuid, "index": 1}
        self.pad.fireworks.insert_one(
            {"fw_id": fw_id, "state": state, "name": uuid, "launches": [fw_id],
             "spec": {"campaign": CAMPAIGN, "_tasks": [{"job": job}]}}
        )  # fmt: skip
        self.pad.launches.insert_one(
            {"launch_id": fw_id, "fw_id": fw_id, "state": state, "launch_dir": str(launch)}
        )

    def output(self, uuid: str, kind: str, field: str, content: str, **others: Any) -> None:
        reference = {"@class": "X", "blob_uuid": self.blob(uuid, content), "store": "data"}
        self.pad.db.outputs.insert_one(
            {"uuid": uuid, "index": 1, "metadata": {"campaign": CAMPAIGN},
             "output": {"@class": kind, field: reference, **others}}
        )  # fmt: skip

    def blob(self, uuid: str, content: str) -> str:
        name, file = f"blob-{next(numbers)}", ObjectId()
        self.pad.db["outputs_blobs.files"].insert_one(
            {"_id": file, "length": len(content), "chunkSize": 1000, "uploadDate": NOW,
             "metadata": {"job_uuid": uuid, "job_index": 1, "blob_uuid": name}}
        )  # fmt: skip
        self.pad.db["outputs_blobs.chunks"].insert_one(
            {"files_id": file, "n": 0, "data": content.encode()}
        )
        return name

    def contents(self) -> set[str]:
        """What is in the blobs."""
        return {c["data"].decode() for c in self.pad.db["outputs_blobs.chunks"].find({})}

    def kinds(self) -> dict[str, int]:
        """How many of each kind could be freed."""
        found = find_leftovers(self.pad.db, CAMPAIGN, self.folder / "launches")
        kinds = [one.kind for one in found]
        return {kind: kinds.count(kind) for kind in kinds}


@pytest.fixture
def filled(server: EmbeddedDatabase, tmp_path: Path) -> Iterator[Filled]:
    name = f"clean_{next(numbers)}"
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    yield Filled(pad, tmp_path)
    pad.connection.drop_database(name)
    pad.connection.close()


def test_a_complete_campaign_keeps_its_results(filled: Filled) -> None:
    checkpoint = filled.folder / "launches" / f"{'0' * 8}-0000-0000-0000-{'0' * 12}-1.checkpoint"
    checkpoint.write_text("of a job that has no output")
    assert filled.kinds() == {
        "launch folders": 3, "states of ended searches": 1, "blobs of no document": 1
    }  # fmt: skip
    for leftover in find_leftovers(filled.pad.db, CAMPAIGN, filled.folder / "launches"):
        leftover.remove()
        leftover.remove()  # a second time does nothing
    assert filled.contents() == {"last", "the potential"}
    assert list((filled.folder / "launches").iterdir()) == [checkpoint]
    assert filled.kinds() == {}
    dropped = filled.pad.db.outputs.find_one({"uuid": "block-1"})["output"]
    assert dropped["evolution"] is None
    assert dropped["finished"] is False  # its figures stay


def test_a_campaign_that_goes_on_keeps_what_it_needs(filled: Filled) -> None:
    filled.firework(4, "candidates", "READY")
    assert filled.kinds() == {"blobs of no document": 1}
    filled.pad.fireworks.update_one({"fw_id": 3}, {"$set": {"state": "RUNNING"}})
    assert filled.kinds() == {}  # the job that runs may be writing its blob now


def test_a_kill_in_the_middle_loses_nothing(filled: Filled) -> None:
    """Whatever of it was done, a second time does the rest."""
    steps = 0
    for leftover in find_leftovers(filled.pad.db, CAMPAIGN):
        if leftover.kind == "states of ended searches":
            # as if killed between the document and its blob
            filled.pad.db.outputs.update_one(
                {"uuid": "block-1"}, {"$set": {"output.evolution": None}}
            )
            steps += 1
        elif leftover.kind == "blobs of no document":
            filled.pad.db["outputs_blobs.chunks"].delete_one({"data": b"of a launch before"})
            steps += 1
    assert steps == 2
    assert {"last", "the potential"} <= filled.contents()
    for leftover in find_leftovers(filled.pad.db, CAMPAIGN):
        leftover.remove()
    assert filled.contents() == {"last", "the potential"}
    assert filled.pad.db["outputs_blobs.files"].count_documents({}) == 2


@pytest.mark.parametrize("name", ["results", "launcher_2030-01-01-00-00-00-000000"])
def test_no_folder_is_removed_that_a_database_only_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert is_launch_folder(folder) is name.startswith("launcher")
    link = tmp_path / "launcher_link"
    link.symlink_to(folder)
    assert not is_launch_folder(link)
    assert not is_launch_folder(Path(name))
    assert not is_launch_folder(tmp_path / "launcher_missing")


@pytest.mark.parametrize("words", ["clean --yes", "status", "status --size", "results"])
def test_a_folder_of_another_campaign_is_refused(
    new_campaign: Callable[..., Campaign], capsys: pytest.CaptureFixture[str], words: str
) -> None:
    folder = new_campaign().folder
    code, _, error = call(capsys, *words.split(), str(folder), "--campaign", "another")
    assert code == 1
    assert "not another: leave out --campaign" in error


def test_sizes(filled: Filled) -> None:
    sizes = {size.what: size for size in database_sizes(filled.pad.db)}
    assert sizes["output documents"].number == 3
    assert sizes["frames, potentials, states"].size > len("the potential")
    assert in_words(999) == "999 B"
    assert in_words(1.5e9) == "1.5 GB"
