"""``devitrify judge``: compare the potential of a campaign with its engine on unseen crystals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.commands.shared.options import (
    MOST_WORKERS,
    CampaignDatabase,
    ConfigurationFolder,
    Dispersion,
    command_of,
)
from launch.commands.shared.parsing import apply_overrides
from launch.errors import CampaignError
from launch.own_files import FOLDER_MODE
from launch.shell import command_line

if TYPE_CHECKING:
    from jobflow import JobStore
    from rich.console import Console

    from launch.local.campaign import Campaign
    from launch.report.campaign_results import CampaignResults
    from workflows.chains.judgement import Judgement
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.documents.judge import JudgeDocument

#: Branches of a campaign's settings that matter to a judgement.
BRANCHES = ("judge.", "vasp.", "gpaw.")


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """What ``devitrify judge`` is told."""

    campaign: Annotated[
        str, typer.Argument(help="Campaign's folder, or its name in the cluster's database.")
    ]
    known: Annotated[
        list[Path] | None,
        typer.Option("--known", "-k", help="File of known phases, all that ASE reads; repeatable."),
    ] = None
    generations: Annotated[
        int | None,
        typer.Option(
            "--generations", help="Of a search by the engine; 0: none.", min=0, max=100_000
        ),
    ] = None
    random: Annotated[
        int | None, typer.Option("--random", help="Random crystals.", min=0, max=10_000)
    ] = None
    engine: Annotated[
        str | None, typer.Option("--engine", "-e", help="Default: the campaign's.")
    ] = None
    engine_arguments: Annotated[
        str | None,
        typer.Option("--engine-arguments", help="JSON object passed to the ASE calculator."),
    ] = None
    dispersion: Dispersion = None
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="A setting, e.g. judge.search.evolution.population=20."),
    ] = None
    pressure: Annotated[
        float | None,
        typer.Option(help="GPa, of a campaign at several; default: each of them.", metavar="GPA"),
    ] = None
    workers: Annotated[
        int, typer.Option("--workers", "-w", help="Worker processes.", min=1, max=MOST_WORKERS)
    ] = 2
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Do not run, but write a file for lpad add."),
    ] = None
    config: ConfigurationFolder = None
    db: CampaignDatabase = None


@command_of(JudgeOptions)
def judge(options: JudgeOptions) -> None:
    """Compare the potential of CAMPAIGN with its engine on crystals that training never saw."""
    from launch.commands.shared.campaign_results import read_store
    from launch.local.campaign import CAMPAIGN_FILE, Campaign
    from launch.report.campaign_results import CampaignResults
    from launch.report.results import Results

    if (Path(options.campaign) / CAMPAIGN_FILE).exists():
        campaign = Campaign.open(options.campaign)

        def look(store: JobStore) -> list[Judgement]:
            return _judgements(CampaignResults(store, campaign.id), options, campaign)

        judgements = read_store(campaign, options.db, look)
        if options.output is None:
            for judgement in judgements:
                _run(campaign, judgement, options, several=len(judgements) > 1)
            return
    else:
        with Results.open(options.config) as results:
            known = results.campaigns()
            if options.campaign not in known:
                raise CampaignError(
                    f"{options.campaign} is neither the folder of a campaign nor the name of one "
                    "in the cluster's database; 'devitrify results' lists those."
                )
            found = CampaignResults(results.store, options.campaign)
            judgements = _judgements(found, options, None)
        if options.output is None:
            raise CampaignError(
                "A campaign in a cluster's database is judged by its workers: give --output FILE, "
                "then lpad add FILE."
            )
    for judgement in judgements:
        _write(judgement, options.output, several=len(judgements) > 1)


def _judgements(
    results: CampaignResults, options: JudgeOptions, campaign: Campaign | None
) -> list[Judgement]:
    """
    Gather what is judged, and by what, at each pressure; the lowest is the last.

    Raises
    ------
    CampaignError
        If there is no potential yet, or nothing to judge by.
    """
    from launch.commands.shared.campaign_numbers import engine_of
    from launch.commands.shared.crystal_files import read_known
    from workflows.chains.judgement import Judgement
    from workflows.documents.training import SampleDocument, TrainingDocument

    trainings = results.jobs_of(TrainingDocument)
    samples = results.jobs_of(SampleDocument)
    if not trainings or not samples:
        raise CampaignError(
            f"The campaign {results.campaign} has no potential to be judged: one with a training "
            "stage has to come that far first."
        )
    settings: dict[str, Any] = {} if campaign is None else campaign.document.settings
    maker = _maker(options, campaign)
    formula = _formula(results)
    targets = _targets(results, formula, settings, options.pressure)
    known = read_known(options.known or [], targets[0].counts)
    if not (known or maker.judge.n_random or maker.judge.generations):
        raise CampaignError(
            "Nothing to judge by: give --known FILE, --random or --generations more than 0."
        )
    common = Judgement(
        campaign=results.campaign,
        trainings=tuple(trainings),
        sample=samples[-1],
        target=targets[0],
        engine=engine_of(
            results,
            maker,
            settings,
            options.engine,
            options.engine_arguments,
            options.dispersion,
        ),
        seed=maker.seed if campaign is None else campaign.document.seed,
        known=known,
        maker=maker.judge,
    )
    return [replace(common, target=target) for target in targets]


def _targets(
    results: CampaignResults, formula: str, settings: dict[str, Any], pressure: float | None
) -> list[Target]:
    """
    Composition at each pressure of the campaign, or at the one that is asked for (GPa).

    Raises
    ------
    CampaignError
        If the campaign has no such pressure.
    """
    from launch.commands.shared.campaign_numbers import targets_of
    from search.relax.pressure import GPA, in_gpa

    targets = targets_of(results, formula, settings)
    if pressure is None:
        return targets
    chosen = [target for target in targets if abs(target.pressure - GPA * pressure) < 1e-6]
    if not chosen:
        known = ", ".join(in_gpa(target.pressure) for target in reversed(targets))
        raise CampaignError(f"The campaign {results.campaign} is at {known}, not {pressure:g} GPa.")
    return chosen


def _maker(options: JudgeOptions, campaign: Campaign | None) -> StructurePredictionMaker:
    """Protocol with the numbers of the campaign and what was typed."""
    from launch.commands.shared.campaign_numbers import numbers_of
    from workflows.settings import require_valid

    maker = apply_overrides(numbers_of(campaign, BRANCHES), options.overrides)
    if options.generations is not None:
        maker = replace(maker, judge=replace(maker.judge, generations=options.generations))
    if options.random is not None:
        maker = replace(maker, judge=replace(maker.judge, n_random=options.random))
    require_valid(maker)
    return maker


def _formula(results: CampaignResults) -> str:
    from workflows.documents.training import TrainingDocument

    training = results.newest(TrainingDocument)
    assert training is not None
    return training.formula


def _write(judgement: Judgement, output: Path, several: bool) -> None:
    """Write the workflow for a cluster's launchpad; of several pressures each to its own file."""
    from jobflow.managers.fireworks import flow_to_workflow

    from launch.commands.shared.output_files import require_writable
    from launch.commands.shared.workflow_file import require_format, write_workflow
    from launch.versions import CAMPAIGN_VERSION
    from search.relax.pressure import in_gpa

    if several:
        where = in_gpa(judgement.target.pressure).replace(" ", "")
        output = output.with_stem(f"{output.stem}-{where}")
    require_format(output)
    require_writable(output)
    metadata = {
        "campaign": judgement.campaign, "formula": judgement.target.formula,
        "addition": judgement.key, "campaign_version": CAMPAIGN_VERSION,
    }  # fmt: skip
    write_workflow(flow_to_workflow(judgement.flow(), metadata=metadata), output)
    typer.echo(f"{output}: judges the potential of campaign {judgement.campaign}")
    typer.echo(f"Add it with: {command_line('lpad', 'add', output)}")


def _run(campaign: Campaign, judgement: Judgement, options: JudgeOptions, several: bool) -> None:
    """
    Run here to the end, write the report, and print what was found.

    Of several pressures the points of each are kept beside those of the report.

    Raises
    ------
    CampaignError
        If there is no result.
    """
    from launch.commands.shared.added import run_added
    from launch.commands.shared.campaign_results import read_store
    from launch.commands.shared.engines import require_installed
    from launch.local.addition import Addition
    from launch.report.files import folder_of, wide_console
    from launch.report.judge import write_points
    from launch.report.pressure import at_pressure

    require_installed(judgement.engine)
    console = wide_console()
    console.print(
        f"{judgement.target.formula}: {len(judgement.known)} known phases, "
        f"{judgement.maker.n_random} random crystals, {judgement.maker.generations} generations "
        f"by {judgement.engine.name}{at_pressure(judgement.target.pressure)}; "
        f"folder {campaign.folder}",
        markup=False,
    )
    addition = Addition(judgement.key, judgement.flow)
    outcome = run_added(campaign, addition, console, workers=options.workers, uri=options.db)
    document = read_store(campaign, options.db, lambda store: _report(store, campaign, judgement))
    for failure in outcome.failures:
        console.print(f"Failed: {failure.name}: {failure.reason}", style="yellow", markup=False)
    if document is None:
        raise CampaignError(
            f"There is no judgement, because of the failure above; the logs are in {campaign.logs}."
            " The same command tries the failed jobs again."
        )
    if several:
        own = folder_of(campaign.folder / "judge", judgement.target.pressure)
        own.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        write_points(document, own)
    _show(document, console)
    _show_costs(campaign, options.db, document, console)
    console.print(f"Points and plots are in {campaign.folder}", markup=False)


def _report(store: JobStore, campaign: Campaign, judgement: Judgement) -> JudgeDocument | None:
    """Write the report; give the document of this judgement, if there is one."""
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import write_report
    from workflows.documents.decoding import decode
    from workflows.documents.judge import JudgeDocument

    write_report(CampaignResults(store, campaign.id), campaign.folder)
    try:
        output = decode(store.get_output(judgement.key, which="last", load=True))
    except ValueError:
        return None
    return output if isinstance(output, JudgeDocument) else None


def _show(document: JudgeDocument, console: Console) -> None:
    from launch.report.judge import errors_table, sentences

    if document.warning:
        console.print(f"Warning: {document.warning}.", style="yellow", markup=False)
    console.print(errors_table(document))
    for sentence in sentences(document):
        console.print(sentence, markup=False)


def _show_costs(
    campaign: Campaign, uri: str | None, document: JudgeDocument, console: Console
) -> None:
    """Print what the stages of the campaign took, and a structure and an atom in each way."""
    from launch.commands.shared.campaign_results import read_store
    from launch.local.status import campaign_status
    from launch.report.campaign_results import CampaignResults
    from launch.report.costs import cost_sentences, stage_costs
    from workflows.documents.search import SearchDocument

    status = campaign_status(campaign.folder, uri)
    search = read_store(
        campaign, uri, lambda store: CampaignResults(store, campaign.id).newest(SearchDocument)
    )
    console.print(stage_costs(status))
    for sentence in cost_sentences(document, search):
        console.print(sentence, markup=False)
