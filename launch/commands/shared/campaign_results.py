"""The results of the campaign in a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from jobflow import JobStore

    from launch.local.campaign import Campaign

T = TypeVar("T")


def read_store(campaign: Campaign, uri: str | None, read: Callable[[JobStore], T]) -> T:
    """
    Read something from the job store of a campaign in a folder.

    Parameters
    ----------
    campaign : Campaign
        Its database is started if nobody has.
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    read : callable
        Is given the store, and may be called again if the database ends meanwhile.

    Returns
    -------
    object
        What `read` returns.
    """
    from launch.database.connections import job_store
    from launch.local.status import ANSWER_SECONDS, read_database

    def look(address: str, running: bool) -> T:
        del running
        store = job_store(address, campaign.document.database, ANSWER_SECONDS)
        store.connect()
        try:
            return read(store)
        finally:
            store.close()

    return read_database(campaign, uri, look)
