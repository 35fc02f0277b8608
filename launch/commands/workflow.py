"""``devitrify workflow``: the same prediction as a file, for a cluster's launchpad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from launch.commands.shared.formula import warn_of_formula
from launch.commands.shared.options import command_of
from launch.commands.shared.output_files import require_writable
from launch.commands.shared.prediction import PredictionOptions
from launch.commands.shared.workflow_file import cost_table, require_format, write_workflow
from launch.errors import CampaignError
from launch.shell import command_line


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions(PredictionOptions):
    """What ``devitrify workflow`` is told."""

    formula: Annotated[str, typer.Argument(help="Chemical formula, e.g. LiAlCl4.")] = ""
    listed: Annotated[
        Path | None,
        typer.Option("--list", help="File with a formula a line: a campaign for each."),
    ] = None
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for lpad add; of a list: .jsonl.")
    ] = None
    add: Annotated[
        bool, typer.Option("--add", help="Add to the cluster's launchpad, and write no file.")
    ] = False
    launchpad: Annotated[
        Path | None,
        typer.Option(
            "--launchpad", help="Configuration of the cluster; default: ~/.config/devitrify."
        ),
    ] = None
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="Its name; default: formula and a number.")
    ] = None


@command_of(WorkflowOptions)
def workflow(options: WorkflowOptions) -> None:
    """Write the workflow of FORMULA to a file for `lpad add`, or add those of a list."""
    if bool(options.formula) == (options.listed is not None):
        raise CampaignError("Give a formula, or a file of formulas with --list.")
    if options.add == (options.output is not None):
        raise CampaignError("Give a file with -o, or --add to add it to the launchpad.")
    if options.listed is not None:
        _of_list(options, options.listed)
    else:
        _of_formula(options)


def _of_formula(options: WorkflowOptions) -> None:
    """Write the workflow of one formula, or add it."""
    import uuid

    from launch.commands.shared.expectations import expectations
    from launch.commands.shared.formula_list import to_workflow
    from launch.report.estimate import estimate
    from launch.report.files import wide_console
    from launch.report.pressure import at_pressures

    if options.output is not None:
        require_format(options.output)
        require_writable(options.output)
    prediction = options.prediction()
    formula = prediction.target.formula
    warn_of_formula(formula)
    name = options.campaign or f"{formula}-{uuid.uuid4().hex[:8]}"
    graph = to_workflow(prediction, name, options)
    where = at_pressures(prediction.target.all_pressures)
    what = f"campaign {name}{where}, engine {prediction.engine}, protocol {prediction.protocol}"
    costs = cost_table(graph, estimate(prediction.maker, prediction.target))
    console = wide_console()
    if options.output is None:
        from launch.cluster.configuration import Configuration

        with Configuration.find(options.launchpad).connected() as pad:
            pad.add_wf(graph)
        console.print(f"Added: {what}", markup=False)
    else:
        write_workflow(graph, options.output)
        console.print(f"{options.output}: {what}", markup=False)
    for line in expectations(prediction, with_cost=False):
        console.print(line, markup=False)
    console.print(costs)
    if options.output is None:
        return
    command = command_line("lpad", "add", options.output)
    console.print(f"Add it with: {command}", markup=False, soft_wrap=True)


def _of_list(options: WorkflowOptions, path: Path) -> None:
    """Write the workflows of a list of formulas, or add those that are not there yet."""
    from launch.commands.shared.formula_list import WORKFLOWS, listed_campaigns, write_workflows

    if options.campaign is not None:
        raise CampaignError("--campaign names one campaign: leave it out with --list.")
    campaigns = listed_campaigns(path, options)
    if options.output is not None:
        if options.output.suffix != WORKFLOWS:
            raise CampaignError(f"{options.output} must end in {WORKFLOWS}: a workflow a line.")
        require_writable(options.output)
        number = write_workflows((build() for _, build in campaigns), options.output)
        typer.echo(f"{options.output}: {number} campaigns")
        command = command_line("devitrify", "workflow", "--list", options.output, "--add")
        typer.echo(f"Add them with: {command}")
        return

    from launch.cluster.configuration import Configuration
    from launch.database.adding import add_campaigns

    added = there = 0
    with Configuration.find(options.launchpad).connected() as pad:
        for _, is_new in add_campaigns(pad, campaigns):
            added, there = added + is_new, there + (not is_new)
    known = f", {there} were there already" if there else ""
    typer.echo(f"{added} campaigns added{known}; see: devitrify status")
