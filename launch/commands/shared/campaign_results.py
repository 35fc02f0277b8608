"""The results of the campaign in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobflow import JobStore

    from launch.local.campaign import Campaign
    from launch.report.results import CampaignResults


@contextmanager
def open_store(campaign: Campaign, uri: str | None) -> Iterator[JobStore]:
    """Open the job store of a campaign in a folder; starts its database if nobody has."""
    from launch.database.connections import job_store
    from launch.local.status import open_database

    with open_database(campaign, uri) as (address, _):
        store = job_store(address, campaign.document.database)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def open_results(campaign: Campaign, uri: str | None) -> Iterator[CampaignResults]:
    """Open the results of a campaign in a folder."""
    from launch.report.results import CampaignResults

    with open_store(campaign, uri) as store:
        yield CampaignResults(store, campaign.id)
