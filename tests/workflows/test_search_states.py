"""States of the blocks of a search: by what has changed, and dropped when it has ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.relax.trust import UNCONDITIONAL
from tests.search.ensemble import gold_and_copper
from workflows.composition import Target
from workflows.documents.decoding import decode
from workflows.documents.search import IslandDocument
from workflows.stages import search, search_states
from workflows.stages.search import SearchMaker
from workflows.stages.search_states import (
    DroppedStateError,
    drop_earlier_states,
    state_document,
    state_of,
)

MAKER = SearchMaker(
    evolution=EvolutionOptions(population=4, generations=5),
    relaxer=Relaxer(RelaxationLimits(max_steps=15)),
    block=1,
    threads=1,
    trust=UNCONDITIONAL,
)


def run() -> tuple[JobStore, dict[str, IslandDocument], Any]:
    """Search; the store, blocks by their jobs in order, and the document of the search."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    work = MAKER.make(gold_and_copper(), Target("CuAu", (1,)), 14.0, {}, 1)
    run_locally(work, store=store, log=False)
    return store, blocks_of(store), decode(store.get_output(work.uuid, load=True))


def blocks_of(store: JobStore) -> dict[str, IslandDocument]:
    rows = store.query({"output.@class": "IslandDocument"}, ["uuid", "output"], load=True)
    found = {row["uuid"]: decode(row["output"]) for row in rows}
    return dict(sorted(found.items(), key=lambda item: item[1].generation))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_search_by_changes_is_the_same_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "drop_earlier_states", lambda _: 0)
    store, blocks, found = run()
    monkeypatch.setattr(search_states, "LONGEST_CHAIN", 0)
    _, whole_blocks, whole = run()
    assert all(block.evolution is not None for block in whole_blocks.values())
    assert [c.energy for c in found.candidates] == [c.energy for c in whole.candidates]
    by_changes = [block for block in blocks.values() if block.changes is not None]
    assert by_changes
    assert all(block.evolution is None for block in by_changes)
    for block, same in zip(blocks.values(), whole_blocks.values(), strict=True):
        state = state_document(block, blocks.__getitem__)
        assert same.evolution is not None
        assert state == json.loads(json.dumps(same.evolution.as_dict()))
    last = list(blocks)[-1]
    assert drop_earlier_states([last], store) == len(blocks) - 1
    assert drop_earlier_states([last], store) == 0
    left = blocks_of(store)
    assert [uuid for uuid, block in left.items() if block.evolution or block.changes] == [last]
    with pytest.raises(DroppedStateError, match="begin the search anew"):
        state_of(next(iter(left.values())))
    assert len(list(store.additional_stores["data"].query({}))) == 1


def test_states_of_a_search_that_has_ended_are_dropped() -> None:
    store, blocks, found = run()
    kept = [block for block in blocks.values() if block.evolution or block.changes]
    assert [block.generation for block in kept] == [5]
    assert [block.n_structures for block in blocks.values()] == [4, 8, 12, 16, 20]
    assert found.candidates
    assert len(list(store.additional_stores["data"].query({}))) == 1


def test_documents_of_before_are_read() -> None:
    """They had the whole state, and no field of the new ones."""
    store, blocks, _ = run()
    document = store.docs_store.query_one({"uuid": list(blocks)[-1]})
    for name in ("previous", "changes", "changes_since_whole", "bytes_since_whole", "bytes_whole"):
        document["output"].pop(name)
    store.docs_store.update([document], key=["uuid", "index"])
    read = blocks_of(store)[list(blocks)[-1]]
    assert state_of(read).generation == 5
