"""``devitrify compare``: known phases by a campaign's engine, beside its ranking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import MOST_WORKERS, CampaignDatabase, command_of
from launch.errors import CampaignError
from launch.shell import command_line, open_command

if TYPE_CHECKING:
    from jobflow import JobStore

    from launch.local.campaign import Campaign
    from launch.report.known import PhaseFound
    from launch.report.status import CampaignStatus
    from workflows.chains.known_comparison import KnownComparison
    from workflows.documents.prediction import PredictionDocument

#: Branches of a campaign's settings that matter to a relaxation by its engine.
BRANCHES = ("candidates.", "vasp.", "gpaw.")
#: Of the relaxation of a known phase, unless the campaign has more.
MOST_STEPS = 500


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What ``devitrify compare`` is told."""

    folder: Annotated[Path, typer.Argument(help="Campaign's folder; it has to have a ranking.")]
    files: Annotated[
        list[Path] | None, typer.Argument(help="Known phases: CIF, POSCAR, extXYZ, folders.")
    ] = None
    known: Annotated[
        list[Path] | None,
        typer.Option("--known", "-k", help="File of known phases, or a folder; repeatable."),
    ] = None
    workers: Annotated[
        int, typer.Option("--workers", "-w", help="Worker processes.", min=1, max=MOST_WORKERS)
    ] = 2
    db: CampaignDatabase = None

    @property
    def paths(self) -> list[Path]:
        """All files and folders of known phases."""
        return [*(self.known or []), *(self.files or [])]


@command_of(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Relax known phases by the engine of the campaign in FOLDER; look for them in its ranking."""
    from launch.commands.shared.campaign_results import read_store
    from launch.local.campaign import Campaign
    from launch.report.files import wide_console
    from launch.report.known import known_table

    if not options.paths:
        raise CampaignError("Nothing to compare with: give --known FILE, or a folder of files.")
    campaign = Campaign.open(options.folder)
    comparison = read_store(campaign, options.db, lambda s: _comparison(campaign, options, s))
    status = _run(campaign, comparison, options)
    ranking, found, failures, page = read_store(
        campaign, options.db, lambda store: _report(campaign, store, status)
    )
    console = wide_console()
    for failure in failures:
        console.print(f"Left out: {failure}.", style="yellow", markup=False)
    console.print(known_table(found, ranking))
    if any(not one.phase.crystal.converged for one in found):
        console.print("* not relaxed to the limits within the steps allowed")
    if page is not None:
        console.print(f"Look at them: {open_command(page)}", markup=False, soft_wrap=True)


def _comparison(campaign: Campaign, options: CompareOptions, store: JobStore) -> KnownComparison:
    """
    Gather what is relaxed, and by what.

    Raises
    ------
    CampaignError
        If there is no ranking to compare with, or a file cannot be read.
    """
    from dataclasses import replace

    from launch.commands.shared.campaign_numbers import engine_of, numbers_of, target_of
    from launch.commands.shared.crystal_files import read_known
    from launch.report.campaign_results import CampaignResults
    from workflows.chains.known_comparison import KnownComparison
    from workflows.documents.prediction import PredictionDocument
    from workflows.stages.known_phases import KnownPhasesMaker

    results = CampaignResults(store, campaign.id)
    if results.newest(PredictionDocument) is None:
        raise CampaignError(
            f"The campaign in {campaign.folder} has no ranking to compare with yet; see: "
            f"{command_line('devitrify', 'status', campaign.folder)}"
        )
    settings = campaign.document.settings
    numbers = numbers_of(campaign, BRANCHES)
    target = target_of(results, campaign.document.formula, settings)
    # whatever evaluations the candidates had to share, these few are relaxed to the end
    limits = replace(
        numbers.candidates.limits, max_steps=max(MOST_STEPS, numbers.candidates.limits.max_steps)
    )
    return KnownComparison(
        campaign=campaign.id,
        target=target,
        engine=engine_of(results, numbers, settings),
        known=read_known(options.paths, target.counts),
        maker=KnownPhasesMaker(limits=limits, fitness=numbers.candidates.fitness),
    )


def _run(
    campaign: Campaign, comparison: KnownComparison, options: CompareOptions
) -> CampaignStatus:
    """Relax here to the end."""
    from launch.commands.shared.added import run_added
    from launch.commands.shared.engines import require_installed
    from launch.local.addition import Addition
    from launch.report.files import wide_console

    require_installed(comparison.engine)
    console = wide_console()
    console.print(
        f"{comparison.target.formula}: {len(comparison.known)} known phases by "
        f"{comparison.engine.name}; folder {campaign.folder}",
        markup=False,
    )
    addition = Addition(comparison.key, comparison.flow)
    return run_added(campaign, addition, console, workers=options.workers, uri=options.db).status


def _report(
    campaign: Campaign, store: JobStore, status: CampaignStatus
) -> tuple[PredictionDocument, list[PhaseFound], list[str], Path | None]:
    """
    Write the report and the page anew, and look for the phases.

    Raises
    ------
    CampaignError
        If none could be relaxed.
    """
    from launch.commands.shared.campaign_page import try_writing, write_campaign_page
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import write_report
    from workflows.documents.known import KnownPhasesDocument
    from workflows.documents.prediction import PredictionDocument

    results = CampaignResults(store, campaign.id)
    known, ranking = results.newest(KnownPhasesDocument), results.newest(PredictionDocument)
    if known is None or ranking is None or not known.phases:
        reasons = "; ".join(known.failures) if known else "its jobs failed"
        raise CampaignError(
            f"No known phase could be relaxed ({reasons}); the logs are in {campaign.logs}."
        )
    write_report(results, campaign.folder)
    page = try_writing(lambda: write_campaign_page(campaign, results, status))
    return ranking, results.known_phases(), known.failures, page
