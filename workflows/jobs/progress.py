"""
Progress of a running job, for whoever watches the campaign.

A job calls :func:`report_progress` as often as it likes; at most once a second the newest figures
go to the collection ``progress`` beside the job store's documents, one document a job. Where the
job store is not a MongoDB nothing happens.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.collection import Collection

logger = logging.getLogger(__name__)

#: Of the layout of the documents.
VERSION = 1
INTERVAL = 1.0  # s between two writes of one job


class _Throttle:
    """Remembers when each job last wrote, and whether writing has failed before."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.failed = False

    def due(self, key: str, finished: bool) -> bool:
        """Whether a job may write now; the first and the last report always may."""
        now = monotonic()
        if not finished and now - self.last.get(key, -INTERVAL) < INTERVAL:
            return False
        self.last[key] = now
        return True


_throttle = _Throttle()


def report_progress(stage: str, done: float, total: float, **figures: float | str) -> None:
    """
    Tell how far the current job is.

    Parameters
    ----------
    stage : str
        Name of a row of the table of stages.
    done, total : float
        Work done and work in all, in any one unit (steps, epochs, generations).
    **figures : float or str
        The figures that matter now; the end of a name is its unit: ``_K``, ``_kbar``, ``_eV``,
        ``_eV_atom``, ``_meV_atom``, ``_eV_A``, ``_A3``, ``_A3_atom``, ``_cm2_s``, ``_per_s``.

    Examples
    --------
    >>> for step in range(1000):
    ...     report_progress("liquid", step + 1, 1000, temperature_K=1480.0, pressure_kbar=-3.0)
    """
    from jobflow import CURRENT_JOB

    job = CURRENT_JOB.job
    key = job.uuid if job is not None else ""
    if job is None or not _throttle.due(key, finished=done >= total):
        return
    document = {
        "version": VERSION,
        "campaign": job.metadata.get("campaign"),
        "stage": stage,
        "job": job.name,
        "uuid": job.uuid,
        "done": float(done),
        "total": float(total),
        "figures": {name: _plain(value) for name, value in figures.items()},
        "time": datetime.now(UTC).isoformat(),
    }
    # Whatever goes wrong here must not end hours of molecular dynamics.
    try:
        collection = _collection()
        if collection is not None:
            collection.replace_one({"_id": key}, document, upsert=True)
    except Exception:
        if not _throttle.failed:
            logger.warning("progress cannot be written; the job goes on", exc_info=True)
        _throttle.failed = True


def _collection() -> Collection | None:
    """Return the progress collection, or None if the job store is not a MongoDB."""
    from jobflow import CURRENT_JOB, SETTINGS
    from maggma.stores import MemoryStore, MongoStore

    store = CURRENT_JOB.store or SETTINGS.JOB_STORE
    documents = store.docs_store
    if not isinstance(documents, MongoStore) or isinstance(documents, MemoryStore):
        return None
    documents.connect()
    return documents._collection.database["progress"]


def _plain(value: Any) -> float | str:
    """Return a number that BSON can hold (numpy scalars it cannot), or the text."""
    return value if isinstance(value, str) else float(value)
