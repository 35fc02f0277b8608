"""Outputs by id, and checkpoints that the next launch finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobflow import SETTINGS, Flow, Job, JobConfig, JobStore, job, run_locally
from maggma.stores import MemoryStore

from workflows.jobs.checkpoints import checkpoint, remove_checkpoints
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import output_of


@job
def three() -> int:
    """Return three."""
    return 3


@job(config=JobConfig(expose_store=True))
def twice(uuid: str, after: object) -> int:
    """Double the output of another job, found by its id."""
    return 2 * output_of(uuid)


@job
def interrupted(marker: str) -> str:
    """Die on the first launch after writing a checkpoint; find it on the second."""
    with checkpoint() as path:
        assert path is not None
        found = path.read_text() if path.exists() else "nothing"
        path.write_text("half way")
        if not Path(marker).exists():
            Path(marker).touch()
            raise KeyError("killed")
    return found


def test_output_of_another_job_is_found_by_its_id() -> None:
    first = three()
    second = twice(first.uuid, first.output)
    responses = run_locally(
        Flow([first, second]), store=JobStore(MemoryStore()), create_folders=False, log=False
    )
    assert responses[second.uuid][1].output == 6


def test_an_unknown_job_is_an_error() -> None:
    with pytest.raises(ValueError, match="no-such-job"):
        output_of("no-such-job")


def test_a_checkpoint_is_found_by_the_next_launch_and_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    monkeypatch.setattr(SETTINGS, "JOB_STORE", JobStore(MemoryStore()))
    for launch in ("launch-1", "launch-2"):
        (tmp_path / launch).mkdir()
        monkeypatch.chdir(tmp_path / launch)
        work = interrupted(str(tmp_path / "marker"))
        work.set_uuid(uuid)
        responses = run_locally(work, create_folders=False, log=False)
    assert responses[uuid][1].output == "half way"
    remove_checkpoints()
    assert not list(tmp_path.glob("*.checkpoint"))


def test_on_a_cluster_the_checkpoint_is_where_all_nodes_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launches in unrelated folders find each other's state."""
    shared = tmp_path / "shared"
    (tmp_path / "devitrify.yaml").write_text(f"checkpoints: {shared}\n")
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path))
    uuid = "11111111-2222-3333-4444-666666666666"
    monkeypatch.setattr(SETTINGS, "JOB_STORE", JobStore(MemoryStore()))
    for launch in ("block-1/launcher-1", "block-2/launcher-1"):
        (tmp_path / launch).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / launch)
        work = interrupted(str(tmp_path / "marker"))
        work.set_uuid(uuid)
        responses = run_locally(work, create_folders=False, log=False)
    assert responses[uuid][1].output == "half way"
    remove_checkpoints()
    assert not list(tmp_path.rglob("*.checkpoint"))


class AwayStore(MemoryStore):
    """A store whose database does not take outputs for a while."""

    away = True

    def update(self, docs: object, key: object = None) -> None:
        if self.away:
            raise ConnectionError("the database is away")
        super().update(docs, key)


@job
@once
def train_long(marker: str) -> int:
    """Count its runs in the checkpoint; a run that finds one has nothing to do again."""
    with checkpoint() as path:
        assert path is not None
        if not path.exists():
            with Path(marker).open("a") as file:
                file.write("trained\n")
            path.write_text("all of it")
    return 1


def test_a_checkpoint_stays_until_the_output_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away at the end of a training does not cost the training."""
    (tmp_path / "launch").mkdir()
    monkeypatch.chdir(tmp_path / "launch")
    store = AwayStore()
    monkeypatch.setattr(SETTINGS, "JOB_STORE", JobStore(store))

    def run() -> Job:
        work = train_long(str(tmp_path / "marker"))
        work.set_uuid("11111111-2222-3333-4444-777777777777")
        run_locally(work, create_folders=False, log=False)
        return work

    for away in (True, False):
        store.away = away
        work = run()
        remove_checkpoints()
        assert len(list(tmp_path.glob("*.checkpoint"))) == away
    assert (tmp_path / "marker").read_text() == "trained\n"

    # killed between storing and removing: the next launch finds the output, and tidies up
    left = tmp_path / f"{work.uuid}-{work.index}.checkpoint"
    left.write_text("all of it")
    run()
    assert not left.exists()


def test_outside_of_a_job_there_is_no_checkpoint() -> None:
    from jobflow import CURRENT_JOB

    CURRENT_JOB.reset()
    with checkpoint() as path:
        assert path is None
