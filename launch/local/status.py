"""The state of a campaign in a folder, whether it runs now or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launch.database.connections import launchpad
from launch.errors import CampaignError
from launch.local.campaign import Campaign
from launch.report.status import CampaignStatus, collect

PATIENCE = 10.0  # s for the server of a campaign that is just starting


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
    with open_database(campaign, uri) as (address, running):
        pad = launchpad(address, campaign.document.database)
        try:
            return collect(campaign.heading, pad, running=running)
        finally:
            pad.connection.close()


@contextmanager
def open_database(campaign: Campaign, uri: str | None) -> Iterator[tuple[str, bool]]:
    """
    Yield the address of the campaign's database and whether the campaign runs.

    The server is the one in use, or one that is started for the purpose.

    Parameters
    ----------
    campaign : Campaign
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    """
    running = campaign.locked()
    if campaign.database(uri).external_uri is not None:
        yield campaign.database(uri).start(), running
    elif running:
        yield _running_uri(campaign), True
    else:
        with campaign.lock(), campaign.database() as database:
            yield database.uri, False


def _running_uri(campaign: Campaign) -> str:
    """Return the address of the server of a running campaign, which may just be starting."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        database = campaign.database()
        if database.running() is not None:
            return database.uri
        time.sleep(0.2)
    raise CampaignError(
        f"The campaign in {campaign.folder} is in use but its database does not answer: try again "
        "in a moment."
    )
