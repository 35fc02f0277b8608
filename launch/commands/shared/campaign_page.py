"""Pages of campaigns and searches; of a campaign that runs meanwhile, at little cost."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from launch.commands.shared.campaign_results import read_store
from launch.errors import CampaignError
from launch.own_files import file_name, require_no_links
from launch.report.status import CampaignStatus

if TYPE_CHECKING:
    from launch.local.campaign import Campaign
    from launch.report.campaign_results import CampaignResults
    from launch.report.page.campaign import Origin
    from launch.report.results import Results

logger = logging.getLogger(__name__)

#: Largest part of a run's time that goes into pages before the last one.
SHARE = 0.05
#: The workers come first.
NICENESS = 15


def write_campaign_page(
    campaign: Campaign, results: CampaignResults, status: CampaignStatus | None
) -> Path:
    """
    Write the page of a campaign into its folder.

    Parameters
    ----------
    campaign : Campaign
    results : CampaignResults
        What it has found.
    status : CampaignStatus or None
        Of its stages; none: the page does not tell.

    Returns
    -------
    Path
        Of the page.
    """
    from launch.report.page.campaign import campaign_page
    from launch.report.page.html import PAGE_FILE, write_page

    require_no_links(campaign.folder, PAGE_FILE)
    page = campaign_page(results, _origin(campaign, status))
    return write_page(page, campaign.folder / PAGE_FILE)


def write_folder_page(folder: Path, uri: str | None) -> Path:
    """
    Write the page of the campaign in a folder, whether it runs or not.

    Parameters
    ----------
    folder : Path
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    """
    from launch.local.campaign import Campaign
    from launch.local.status import campaign_status

    campaign = Campaign.open(folder)
    status = campaign_status(folder, uri)
    return _read_and_write(campaign, uri, status)


def _read_and_write(campaign: Campaign, uri: str | None, status: CampaignStatus) -> Path:
    """Write the page of a campaign by what its database holds now."""
    from launch.report.campaign_results import CampaignResults

    return read_store(
        campaign,
        uri,
        lambda store: write_campaign_page(campaign, CampaignResults(store, campaign.id), status),
    )


def write_search_page(folder: Path) -> Path:
    """
    Write the page of the search in a folder.

    Parameters
    ----------
    folder : Path
    """
    from launch.report.page.html import PAGE_FILE, write_page
    from launch.report.page.search_folder import read_islands, search_page
    from launch.report.search import read_cpu_seconds

    require_no_links(folder, PAGE_FILE)
    page = search_page(read_islands(folder), read_cpu_seconds(folder))
    return write_page(page, folder / PAGE_FILE)


def write_pages_of_database(results: Results, names: list[str], folder: Path) -> list[Path]:
    """
    Write a page for each of some campaigns in a database.

    Parameters
    ----------
    results : Results
        Of the database.
    names : list of str
        Of the campaigns.
    folder : Path
        Made if it is not there.

    Raises
    ------
    CampaignError
        If there is none, or one is not in the database.
    """
    from launch.report.campaign_results import CampaignResults
    from launch.report.page.campaign import Origin, campaign_page
    from launch.report.page.html import write_page

    if not names:
        raise CampaignError("There is no such campaign in the database: see devitrify results.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        formula = results.formula_of(name)
        if formula is None:
            raise CampaignError(f"There is no campaign {name} in the database.")
        page = campaign_page(CampaignResults(results.store, name), Origin(formula))
        path = folder / f"{file_name(name)}.html"
        paths.append(write_page(page, path))
    return paths


def try_writing(write: Callable[[], Path]) -> Path | None:
    """
    Write a page where all else is written; what goes wrong is a warning.

    Parameters
    ----------
    write : callable
        Writes it and returns its path.

    Returns
    -------
    Path or None
        None if it could not be written.
    """
    import typer

    try:
        return write()
    except Exception as error:
        logger.warning("report.html cannot be written", exc_info=True)
        typer.echo(f"Warning: report.html cannot be written ({error}).", err=True)
        return None


def _origin(campaign: Campaign, status: CampaignStatus | None) -> Origin:
    from launch.report.page.campaign import Origin

    document = campaign.document
    return Origin(
        formula=document.formula,
        engine=document.engine,
        protocol=document.protocol,
        seed=document.seed,
        created=f"{document.created:%Y-%m-%d %H:%M} UTC",
        versions=document.versions,
        command=document.command,
        status=status,
    )


class PageKeeper:
    """
    Writes the page of a running campaign anew when stages have ended; use as a context manager.

    It works in a thread of low priority, and rests after each page for so long that pages take
    only a small share of the time. Whatever goes wrong is a warning in the log.

    Parameters
    ----------
    campaign : Campaign
    uri : str or None
        The MongoDB it is run with, if not the embedded database.
    share : float
        Largest part of the time that pages may take.
    """

    def __init__(self, campaign: Campaign, uri: str | None, share: float = SHARE) -> None:
        self.campaign, self.uri, self.share = campaign, uri, share
        self._thread: threading.Thread | None = None
        self._shown: set[str] = set()
        self._due = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def update(self, status: CampaignStatus) -> None:
        """Begin a page if a stage has ended since the last one, and it is time."""
        ended = {stage.name for stage in status.stages if stage.state == "completed"}
        busy = self._thread is not None and self._thread.is_alive()
        if status.state != "running" or busy or ended <= self._shown:
            return
        if time.monotonic() < self._due:
            return
        self._shown = ended
        # a page that is not finished keeps no process alive
        self._thread = threading.Thread(target=self._write, args=(status,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the page that is being written, if one is."""
        if self._thread is not None:
            self._thread.join()

    def _write(self, status: CampaignStatus) -> None:
        begun = time.monotonic()
        if sys.platform == "linux":  # elsewhere it would be that of the whole process
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            _read_and_write(self.campaign, self.uri, status)
        except Exception:
            logger.warning("report.html cannot be written; the campaign goes on", exc_info=True)
        self._due = time.monotonic() + (time.monotonic() - begun) * (1 / self.share - 1)
