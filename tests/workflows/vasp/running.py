"""Running jobs of the VASP engine in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobflow import Flow, Job, JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder

from workflows.engines.vasp.engine import VaspEngine
from workflows.engines.vasp.settings import MeltSettings, Supervision, VaspSettings


def engine(
    melt: MeltSettings | None = None, supervision: dict[str, Any] | None = None, **settings: Any
) -> VaspEngine:
    """Engine that looks often at VASP, as runs of the stand-in are short."""
    watch = {"polling": 0.1, "monitor": 0.1, "buffer": 0.0, **(supervision or {})}
    return VaspEngine(
        settings=VaspSettings(
            supervision=Supervision(**watch), melt=melt or MeltSettings(), **settings
        )
    )


def memory_store() -> JobStore:
    """A job store in memory."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


def run(work: Job | Flow, folder: Path, store: JobStore | None = None) -> JobStore:
    """Run jobs, each in a folder of its own; an error of any of them is raised."""
    store = store or memory_store()
    run_locally(
        work, store=store, root_dir=folder, create_folders=True, log=False, raise_immediately=True
    )
    return store


def output(store: JobStore, uuid: str, index: int | str = "last") -> Any:
    """Output of a job."""
    return MontyDecoder().process_decoded(store.get_output(uuid, which=index, load=True))


def indices(store: JobStore, uuid: str) -> list[int]:
    """Indices under which a job left outputs."""
    return sorted(entry["index"] for entry in store.query({"uuid": uuid}, ["index"]))
