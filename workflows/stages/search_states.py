"""
How the states of a search are stored: whole, or as what has changed since the block before.

A block reads the state of the block before and leaves its own. Whole states of all blocks would be
as many copies of what was found first. So a block stores what has changed, unless the changes since
the last whole state have become as many bytes as that, or blocks: what a reader has to fetch stays
less than two states. The last block of a search stores it whole, and those before it are dropped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobflow import CURRENT_JOB, SETTINGS, JobStore
from maggma.core import Store

from search.state.changes import StateChanges
from search.state.evolution import Evolution
from workflows.documents.search import IslandDocument
from workflows.jobs.outputs import output_of
from workflows.stages.search_documents import island_document

logger = logging.getLogger(__name__)

#: Blocks that a reader fetches at most to put a state together.
LONGEST_CHAIN = 16

Fetch = Callable[[str], IslandDocument]


class DroppedStateError(RuntimeError):
    """The state of a block of a search that has ended is asked for."""

    def __init__(self) -> None:
        super().__init__(
            "the state of this block was dropped when its search had ended: begin the search anew "
            "from its first job"
        )


def state_document(island: IslandDocument, fetch: Fetch = output_of) -> dict[str, Any]:
    """
    Return the state that a block has left, as :meth:`Evolution.as_dict` makes it.

    Parameters
    ----------
    island : IslandDocument
        What the block has stored.
    fetch : callable
        Gives what another block has stored, by its job.

    Raises
    ------
    DroppedStateError
        If it is there no more.
    """
    later: list[StateChanges] = []
    while island.evolution is None:
        if island.changes is None or island.previous is None:
            raise DroppedStateError
        later.append(island.changes)
        island = fetch(island.previous)
    state = _plain(island.evolution)
    for changes in reversed(later):
        state = changes.applied_to(state)
    return state


def state_of(island: IslandDocument, fetch: Fetch = output_of) -> Evolution:
    """Return the state that a block has left; parameters and errors as of `state_document`."""
    if island.evolution is not None:
        return island.evolution
    return Evolution.from_dict(state_document(island, fetch))


def stored_state(
    state: Evolution,
    cpu_seconds: float,
    previous: str | None,
    before: IslandDocument | None,
    earlier: dict[str, Any] | None,
) -> IslandDocument:
    """
    Describe a population after a block, by what has changed if that is less.

    Parameters
    ----------
    state : Evolution
        As it is now.
    cpu_seconds : float
        That it took so far.
    previous : str or None
        Job of the block before.
    before : IslandDocument or None
        What that has stored.
    earlier : dict or None
        Its state, as it was read.
    """
    document = island_document(state, cpu_seconds)
    now = _plain(state)
    size = len(json.dumps(now))
    document.bytes_whole, document.previous = size, previous
    if previous is None or before is None or earlier is None or state.finished:
        return document
    changes = StateChanges.between(earlier, now)
    number = before.changes_since_whole + 1
    bytes_ = before.bytes_since_whole + len(json.dumps(changes.as_dict()))
    if number > LONGEST_CHAIN or bytes_ > before.bytes_whole:
        return document
    return document.model_copy(
        update={
            "evolution": None,
            "changes": changes,
            "changes_since_whole": number,
            "bytes_since_whole": bytes_,
            # of the last whole one
            "bytes_whole": before.bytes_whole,
        }
    )


def drop_earlier_states(blocks: Sequence[str], store: JobStore | None = None) -> int:
    """
    Drop the states of all blocks before the last ones of a search that has ended.

    A document first loses its reference, then the blob goes: a kill between leaves a blob that
    nobody refers to, which ``devitrify clean`` finds. Whatever goes wrong is only a warning.

    Parameters
    ----------
    blocks : sequence of str
        Jobs of the last block of each island; their states are whole, and stay.
    store : JobStore or None
        Default: that of the current job.

    Returns
    -------
    int
        States that were dropped.
    """
    store = store or CURRENT_JOB.store or SETTINGS.JOB_STORE
    dropped = 0
    try:
        store.connect()
        for block in blocks:
            name = _previous(store, block)
            while name is not None:
                # before the document forgets which one was before it
                following = _previous(store, name)
                dropped += drop_state(store, name)
                name = following
    except Exception as error:  # of whatever store it is; a search must not fail by it
        logger.warning("states of the search stay: %s: %s", type(error).__name__, error)
    return dropped


def drop_state(store: JobStore, uuid: str) -> bool:
    """
    Drop the state that a block has left, and keep its figures; say whether there was one.

    Parameters
    ----------
    store : JobStore
        Connected.
    uuid : str
        Of the block's job.
    """
    found = list(store.docs_store.query({"uuid": uuid, "output.@class": IslandDocument.__name__}))
    blobs = []
    for document in found:
        output = document["output"]
        names = [n for n in ("evolution", "changes") if isinstance(output.get(n), dict)]
        if not names:
            continue
        blobs += [output[name]["blob_uuid"] for name in names if "blob_uuid" in output[name]]
        output |= dict.fromkeys(names)
        store.docs_store.update([document], key=["uuid", "index"])
    if blobs:
        stores: Mapping[str, Store] = store.additional_stores  # type: ignore[has-type]
        stores["data"].remove_docs({"blob_uuid": {"$in": blobs}})
    return bool(blobs)


def _previous(store: JobStore, uuid: str) -> str | None:
    """Job of the block before a block; none of the first."""
    found = store.docs_store.query_one({"uuid": uuid}, ["output.previous"])
    previous: str | None = ((found or {}).get("output") or {}).get("previous")
    return previous


def _plain(state: Evolution) -> dict[str, Any]:
    """A state as it is after it was stored and read."""
    plain: dict[str, Any] = json.loads(json.dumps(state.as_dict()))
    return plain
