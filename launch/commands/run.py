"""``devitrify run``: predict the structures of one formula on this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.engines import require_installed
from launch.commands.shared.formula import warn_of_formula
from launch.commands.shared.options import MOST_WORKERS, command_of, words_of
from launch.commands.shared.prediction import Prediction, PredictionOptions
from launch.errors import CampaignError
from launch.own_files import OwnLog
from launch.shell import open_command
from workflows.jobs.site import without_site

if TYPE_CHECKING:
    from jobflow import JobStore
    from rich.console import Console

    from launch.database.failures import Failure
    from launch.local.campaign import Campaign
    from launch.report.status import CampaignStatus
    from workflows.documents.prediction import PredictionDocument


@dataclass(frozen=True, kw_only=True)
class RunOptions(PredictionOptions):
    """What ``devitrify run`` is told."""

    workers: Annotated[
        int, typer.Option("--workers", "-w", help="Worker processes.", min=1, max=MOST_WORKERS)
    ] = 2
    folder: Annotated[
        Path | None, typer.Option("--folder", "-f", help="Campaign's folder; default: the formula.")
    ] = None
    db: Annotated[
        str | None,
        typer.Option("--db", help="URI of a MongoDB to use instead of the embedded one."),
    ] = None

    def campaign(self, prediction: Prediction) -> Campaign:
        """Return the campaign of a prediction, which is new or is resumed."""
        from launch.local.campaign import Campaign

        return Campaign.create_or_open(
            self.folder or Path(prediction.target.formula),
            formula=prediction.target.formula,
            engine=prediction.engine,
            protocol=prediction.protocol,
            seed=prediction.maker.seed,
            settings=prediction.settings(),
            # whoever resumes it knows the folder, and where the database is now
            command=words_of(replace(self, folder=None, db=None)),
        )


@command_of(RunOptions)
def run(options: RunOptions) -> None:
    """Predict the crystal structures of FORMULA here; the same command resumes."""
    from launch.local.campaign import LOG_FILE

    prediction = options.prediction()
    require_installed(prediction.maker.reference)
    campaign = options.campaign(prediction)
    _log_to_file(campaign.folder / LOG_FILE)
    with without_site():  # a cluster's settings are not for this machine
        _run_and_report(campaign, prediction, options)


def _run_and_report(campaign: Campaign, prediction: Prediction, options: RunOptions) -> None:
    """Run to the end, write the report, and print the ranking or the reason why there is none."""
    from launch.commands.shared.campaign_page import PageKeeper
    from launch.commands.shared.campaign_results import read_store
    from launch.commands.shared.expectations import expectations
    from launch.local.display import Display
    from launch.local.runner import run_campaign
    from launch.report.files import wide_console
    from launch.report.pressure import at_pressures
    from launch.report.status import format_duration

    console = wide_console()
    target = prediction.target
    console.print(
        f"{target.in_words()}{at_pressures(target.all_pressures)}; "
        f"engine {prediction.engine}, protocol {prediction.protocol}; folder {campaign.folder}",
        markup=False,
    )
    warn_of_formula(target.formula)
    for line in expectations(prediction):
        console.print(line, markup=False)
    with PageKeeper(campaign, options.db) as page:
        outcome = run_campaign(
            campaign,
            lambda: prediction.flow(campaign.id),
            workers=options.workers,
            display=Display(console, watch=page.update),
            uri=options.db,
        )
    if outcome.state == "interrupted":
        console.print("Interrupted. The same command resumes where it stopped.")
        raise typer.Exit(130)
    written = read_store(
        campaign, options.db, lambda s: _write(campaign, prediction, outcome.status, s)
    )
    _show(campaign, prediction, written, outcome.failures, console)
    console.print(
        f"{format_duration(outcome.status.elapsed)} of wall time. Results are in {campaign.folder}",
        markup=False,
    )
    if written.page is not None:
        console.print(f"Look at them: {open_command(written.page)}", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Written:
    """What a report that was written says, for the terminal."""

    warnings: list[str]
    page: Path | None
    is_whole: bool
    ranked: PredictionDocument | None


def _write(
    campaign: Campaign, prediction: Prediction, status: CampaignStatus, store: JobStore
) -> _Written:
    """Write the report and the page."""
    from launch.commands.shared.campaign_page import try_writing, write_campaign_page
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import write_report
    from workflows.documents.prediction import PredictionDocument
    from workflows.stages.table import STAGES

    results = CampaignResults(store, campaign.id)
    write_report(results, campaign.folder)
    page = try_writing(lambda: write_campaign_page(campaign, results, status))
    last = results.of_stage(STAGES[prediction.maker.until])
    return _Written(results.warnings(), page, last is not None, results.newest(PredictionDocument))


def _show(
    campaign: Campaign,
    prediction: Prediction,
    written: _Written,
    failures: Sequence[Failure],
    console: Console,
) -> None:
    """
    Print what was warned of and the ranking.

    Raises
    ------
    CampaignError
        If there is none: what failed is printed before.
    """
    from launch.report.files import ranking_tables

    for warning in written.warnings:
        console.print(f"Warning: {warning}.", style="yellow", markup=False)
    for failure in failures:
        console.print(f"Failed: {failure.name}: {failure.reason}", style="yellow", markup=False)
    if not written.is_whole:
        raise CampaignError(
            "The campaign ended before its last stage, because of the failure above; the logs "
            f"are in {campaign.logs}. The same command tries the failed jobs again."
        )
    ranked = written.ranked
    if ranked is None:
        return
    if not ranked.candidates:
        reasons = "; ".join(ranked.failures)
        raise CampaignError(f"No candidate could be relaxed by {prediction.engine}: {reasons}.")
    for table in ranking_tables(ranked):
        console.print(table)


def _log_to_file(path: Path) -> None:
    logging.basicConfig(
        handlers=[OwnLog(path)],
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
