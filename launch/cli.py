"""The command ``devitrify``. Heavy packages are imported by the commands that need them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands import doctor, init, potential, reconcile, results, search, status
from launch.errors import CampaignError
from workflows.engines.registry import DEFAULT_ENGINE, ENGINES
from workflows.jobs.site import SiteError, without_site

if TYPE_CHECKING:
    from launch.commands.request import Choices, Request
    from launch.local.campaign import Campaign

app = typer.Typer(
    name="devitrify",
    help="Predict crystal structures from a composition alone: melt, quench, learn, search.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command()(potential.train)
app.command()(potential.evaluate)
app.command()(search.search)
app.command()(init.init)
app.command()(doctor.doctor)
app.command()(reconcile.reconcile)
app.command()(status.status)
app.command()(results.results)

Formula = Annotated[str, typer.Argument(help="Chemical formula, e.g. LiAlCl4.")]
Protocol = Annotated[
    str, typer.Option("--protocol", "-p", help="Named set of numbers: quick, economical or paper.")
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        help=f"Reference engine: {', '.join(sorted(ENGINES))}, or an ASE calculator "
        "module:callable.",
    ),
]
EngineArguments = Annotated[
    str | None, typer.Option("--engine-arguments", help="JSON object passed to the ASE calculator.")
]
SamplerName = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        help="Fast engine of the dynamics, where the reference engine only labels: "
        f"{', '.join(name for name, row in sorted(ENGINES.items()) if row.sampler)}, or an ASE "
        "calculator module:callable.",
    ),
]
SamplerArguments = Annotated[
    str | None,
    typer.Option("--sampler-arguments", help="JSON object passed to the sampler's calculator."),
]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file that overrides settings.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="One setting, e.g. quench.rate=200.")
]
FormulaUnits = Annotated[
    str | None, typer.Option("--z", help="Formula units in the cell, e.g. 1,2,4.")
]
AtomsMax = Annotated[int | None, typer.Option("--atoms-max", help="Largest cell to search.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Everything random derives from it; default 0.", min=0)
]
Folder = Annotated[
    Path | None, typer.Option("--folder", "-f", help="Campaign's folder; default: the formula.")
]
Database = Annotated[
    str | None, typer.Option("--db", help="URI of a MongoDB to use instead of the embedded one.")
]


@app.command()
def run(
    formula: Formula,
    protocol: Protocol = "quick",
    engine: EngineName = DEFAULT_ENGINE,
    engine_arguments: EngineArguments = None,
    sampler: SamplerName = None,
    sampler_arguments: SamplerArguments = None,
    config: Config = None,
    overrides: Overrides = None,
    z: FormulaUnits = None,
    atoms_max: AtomsMax = None,
    seed: Seed = None,
    workers: Annotated[int, typer.Option("--workers", "-w", help="Worker processes.", min=1)] = 2,
    folder: Folder = None,
    db: Database = None,
) -> None:
    """Predict the crystal structures of FORMULA here; the same command resumes."""
    from launch.commands.request import read_request, require_installed
    from launch.local.campaign import Campaign

    choices = _choices(
        protocol, engine, engine_arguments, config, overrides, z, atoms_max, seed,
        sampler, sampler_arguments,
    )  # fmt: skip
    request = read_request(formula, choices)
    require_installed(request.maker.reference)
    campaign = Campaign.create_or_open(
        folder or Path(request.target.formula),
        formula=request.target.formula,
        engine=request.engine,
        protocol=request.protocol,
        seed=request.maker.seed,
        settings=request.settings(),
    )
    _log_to_file(campaign.folder / "devitrify.log")
    with without_site():  # a cluster's settings are not for this machine
        _run_and_report(campaign, request, workers, db)


def _run_and_report(campaign: Campaign, request: Request, workers: int, db: str | None) -> None:
    """Run to the end, write the report, and print the ranking or the reason why there is none."""
    from launch.commands.results import open_results
    from launch.local.display import Display
    from launch.local.runner import run_campaign
    from launch.report.files import ranking_table, wide_console, write_report
    from launch.report.status import format_duration
    from workflows.documents.schemas import PredictionDocument
    from workflows.stages.table import STAGES

    console = wide_console()
    target = request.target
    console.print(
        f"{target.formula}, Z = {', '.join(map(str, target.formula_units))}; "
        f"engine {request.engine}, protocol {request.protocol}; folder {campaign.folder}",
        markup=False,
    )
    outcome = run_campaign(
        campaign,
        lambda: request.flow(campaign.id),
        workers=workers,
        display=Display(console),
        uri=db,
    )
    if outcome.state == "interrupted":
        console.print("Interrupted. The same command resumes where it stopped.")
        raise typer.Exit(130)
    with open_results(campaign, db) as results:
        write_report(results, campaign.folder)
        for warning in results.warnings():
            console.print(f"Warning: {warning}.", style="yellow", markup=False)
        for failure in outcome.failures:
            console.print(f"Failed: {failure.name}: {failure.reason}", style="yellow", markup=False)
        if results.of_stage(STAGES[request.maker.until]) is None:
            raise CampaignError(
                "The campaign ended before its last stage, because of the failure above; the logs "
                f"are in {campaign.logs}. The same command tries the failed jobs again."
            )
        prediction = results.newest(PredictionDocument)
        if prediction is not None and not prediction.candidates:
            reasons = "; ".join(prediction.failures)
            raise CampaignError(f"No candidate could be relaxed by {request.engine}: {reasons}.")
        if prediction is not None:
            console.print(ranking_table(prediction))
    console.print(
        f"{format_duration(outcome.status.elapsed)} of wall time. Results are in {campaign.folder}",
        markup=False,
    )


@app.command()
def workflow(
    formula: Formula,
    output: Annotated[Path, typer.Option("--output", "-o", help="File for lpad add.")],
    protocol: Protocol = "quick",
    engine: EngineName = DEFAULT_ENGINE,
    engine_arguments: EngineArguments = None,
    sampler: SamplerName = None,
    sampler_arguments: SamplerArguments = None,
    config: Config = None,
    overrides: Overrides = None,
    z: FormulaUnits = None,
    atoms_max: AtomsMax = None,
    seed: Seed = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="Its name; default: formula and a number.")
    ] = None,
) -> None:
    """Write the workflow of FORMULA to a file for `lpad add`."""
    import uuid

    from launch.commands.request import read_request
    from launch.commands.workflow_file import cost_table, require_format, write_workflow
    from launch.report.estimate import estimate
    from launch.report.files import wide_console

    choices = _choices(
        protocol, engine, engine_arguments, config, overrides, z, atoms_max, seed,
        sampler, sampler_arguments,
    )  # fmt: skip
    require_format(output)
    request = read_request(formula, choices)
    name = campaign or f"{request.target.formula}-{uuid.uuid4().hex[:8]}"
    from jobflow.managers.fireworks import flow_to_workflow

    graph = flow_to_workflow(
        request.flow(name), metadata={"campaign": name, "formula": request.target.formula}
    )
    write_workflow(graph, output)
    console = wide_console()
    console.print(
        f"{output}: campaign {name}, engine {request.engine}, protocol {request.protocol}",
        markup=False,
    )
    console.print(cost_table(graph, estimate(request.maker, request.target)))
    console.print(f"Add it with: lpad add {output}", markup=False)


@app.command()
def protocol(
    name: Annotated[str, typer.Argument(help="quick, economical or paper.")] = "quick",
    as_yaml: Annotated[bool, typer.Option("--yaml", help="As a file for --config.")] = False,
) -> None:
    """Print every number of a protocol, with its unit."""
    from workflows.chains.protocols import UnknownProtocolError, find_protocol
    from workflows.settings import list_settings

    try:
        settings = list_settings(find_protocol(name))
    except UnknownProtocolError as error:
        raise CampaignError(f"{str(error).capitalize()}.") from None
    width = max(len(setting.path) for setting in settings)
    for setting in settings:
        if as_yaml:
            import json

            typer.echo(f"{setting.path}: {json.dumps(setting.value, ensure_ascii=False)}")
            continue
        value = "none" if setting.value is None else setting.value
        quantity = f"{value} {setting.unit}".strip()
        typer.echo(f"{setting.path:<{width}}  {quantity:<24}  {setting.help}".rstrip())


def _choices(
    protocol: str,
    engine: str,
    engine_arguments: str | None,
    config: Path | None,
    overrides: list[str] | None,
    z: str | None,
    atoms_max: int | None,
    seed: int | None,
    sampler: str | None,
    sampler_arguments: str | None,
) -> Choices:
    """Gather the options that say what to compute."""
    from launch.commands.request import Choices

    return Choices(
        protocol=protocol,
        engine=engine,
        engine_arguments=engine_arguments,
        config=config,
        overrides=tuple(overrides or ()),
        formula_units=z,
        atoms_max=atoms_max,
        seed=seed,
        sampler=sampler,
        sampler_arguments=sampler_arguments,
    )


def _log_to_file(path: Path) -> None:
    logging.basicConfig(
        filename=path,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def main() -> None:
    """Run the command line; an expected error is one sentence on standard error."""
    try:
        app()
    except CampaignError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except SiteError as error:
        typer.echo(f"Error: {str(error)[:1].upper()}{str(error)[1:]}.", err=True)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        where = f" {error.filename}" if error.filename else ""
        typer.echo(
            f"Error: {error.strerror or error}{where}; nothing that was computed is lost: put that "
            "right and give the same command again.",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
