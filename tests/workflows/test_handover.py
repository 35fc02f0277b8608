"""What survives a job: outputs by id, checkpoints by launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobflow import Flow, JobConfig, JobStore, job, run_locally
from maggma.stores import MemoryStore

from workflows.handover import checkpoint, output_of


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
    for launch in ("launch-1", "launch-2"):
        (tmp_path / launch).mkdir()
        monkeypatch.chdir(tmp_path / launch)
        work = interrupted(str(tmp_path / "marker"))
        work.set_uuid(uuid)
        responses = run_locally(
            work, store=JobStore(MemoryStore()), create_folders=False, log=False
        )
    assert responses[uuid][1].output == "half way"
    assert not list(tmp_path.glob("*.checkpoint"))


def test_on_a_cluster_the_checkpoint_is_where_all_nodes_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launches in unrelated folders find each other's state."""
    shared = tmp_path / "shared"
    (tmp_path / "devitrify.yaml").write_text(f"checkpoints: {shared}\n")
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path))
    uuid = "11111111-2222-3333-4444-666666666666"
    for launch in ("block-1/launcher-1", "block-2/launcher-1"):
        (tmp_path / launch).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / launch)
        work = interrupted(str(tmp_path / "marker"))
        work.set_uuid(uuid)
        responses = run_locally(
            work, store=JobStore(MemoryStore()), create_folders=False, log=False
        )
    assert responses[uuid][1].output == "half way"
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_outside_of_a_job_there_is_no_checkpoint() -> None:
    from jobflow import CURRENT_JOB

    CURRENT_JOB.reset()
    with checkpoint() as path:
        assert path is None
