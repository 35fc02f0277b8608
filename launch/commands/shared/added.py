"""Running here what is added to a campaign that has a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from launch.local.addition import Addition
    from launch.local.campaign import Campaign
    from launch.local.runner import CampaignResult


def run_added(
    campaign: Campaign, addition: Addition, console: Console, *, workers: int, uri: str | None
) -> CampaignResult:
    """
    Run or resume a further workflow of a campaign to its end.

    Parameters
    ----------
    campaign : Campaign
    addition : Addition
        The workflow.
    console : Console
        Where the display is.
    workers : int
        Processes.
    uri : str or None
        Of the campaign's database, if it is not its own.

    Raises
    ------
    typer.Exit
        With code 130, if it was interrupted.
    """
    from launch.local.display import Display
    from launch.local.runner import run_campaign
    from workflows.jobs.site import without_site

    with without_site():  # a cluster's settings are not for this machine
        outcome = run_campaign(
            campaign, addition, workers=workers, display=Display(console), uri=uri
        )
    if outcome.state == "interrupted":
        console.print("Interrupted. The same command resumes where it stopped.")
        raise typer.Exit(130)
    return outcome
