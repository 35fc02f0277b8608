"""The state of a campaign in a folder, whether it runs now or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from launch.database.connections import launchpad
from launch.errors import CampaignError
from launch.local.campaign import Campaign
from launch.report.status import CampaignStatus, collect

T = TypeVar("T")

PATIENCE = 60.0  # s for a server that others are just starting or ending
LOOK_SECONDS = 0.1
TRIES = 3  # if the server that was used is killed
ANSWER_SECONDS = 5.0  # a server on this machine answers soon or has ended


def campaign_status(folder: Path | str, uri: str | None = None) -> CampaignStatus:
    """
    Return where the campaign in a folder is, whether it runs now or not.

    Parameters
    ----------
    folder : Path or str
        The campaign's folder.
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    """
    campaign = Campaign.open(folder)

    def look(address: str, running: bool) -> CampaignStatus:
        pad = launchpad(address, campaign.document.database, patience=ANSWER_SECONDS)
        try:
            return collect(campaign.heading, pad, running=running)
        finally:
            pad.connection.close()

    return read_database(campaign, uri, look)


def read_database(campaign: Campaign, uri: str | None, read: Callable[[str, bool], T]) -> T:
    """
    Read something from the campaign's database, again if its server is killed meanwhile.

    Any number of processes may do so at any time: the first starts the server, the others use it
    and the first ends it after them. A campaign that runs has a server for all.

    Parameters
    ----------
    campaign : Campaign
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    read : callable
        Is given the address of the database and whether the campaign runs.

    Returns
    -------
    object
        What `read` returns.
    """
    from pymongo.errors import PyMongoError

    for _ in range(TRIES - 1):
        try:
            with _open_database(campaign, uri) as (address, running):
                return read(address, running)
        except PyMongoError:
            if campaign.database(uri).external_uri is not None:
                raise
    with _open_database(campaign, uri) as (address, running):
        return read(address, running)


@contextmanager
def _open_database(campaign: Campaign, uri: str | None) -> Iterator[tuple[str, bool]]:
    """Give the address of the campaign's database and whether the campaign runs."""
    database = campaign.database(uri)
    if database.external_uri is not None:
        yield database.start(), campaign.locked()
        return
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if database.borrow():
            try:
                yield database.uri, campaign.locked()
            finally:
                database.give_back()
            return
        # a campaign that runs has its own server, or will soon
        if not campaign.locked() and database.start_if_free():
            try:
                yield database.uri, False
            finally:
                database.stop()
            return
        time.sleep(LOOK_SECONDS)
    raise CampaignError(
        f"The campaign in {campaign.folder} is in use but its database does not answer: try again "
        "in a moment."
    )
