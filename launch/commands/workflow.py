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
from launch.shell import command_line


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions(PredictionOptions):
    """What ``devitrify workflow`` is told."""

    output: Annotated[Path, typer.Option("--output", "-o", help="File for lpad add.")]
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="Its name; default: formula and a number.")
    ] = None


@command_of(WorkflowOptions)
def workflow(options: WorkflowOptions) -> None:
    """Write the workflow of FORMULA to a file for `lpad add`."""
    import uuid

    from launch.commands.shared.expectations import expectations
    from launch.report.estimate import estimate
    from launch.report.files import wide_console
    from launch.report.pressure import at_pressures

    require_format(options.output)
    require_writable(options.output)
    prediction = options.prediction()
    warn_of_formula(prediction.target.formula)
    formula = prediction.target.formula
    name = options.campaign or f"{formula}-{uuid.uuid4().hex[:8]}"
    from jobflow.managers.fireworks import flow_to_workflow

    metadata = {"campaign": name, "formula": formula}
    graph = flow_to_workflow(prediction.flow(name), metadata=metadata)
    write_workflow(graph, options.output)
    console = wide_console()
    where = at_pressures(prediction.target.all_pressures)
    console.print(
        f"{options.output}: campaign {name}{where}, engine {prediction.engine}, "
        f"protocol {prediction.protocol}",
        markup=False,
    )
    for line in expectations(prediction, with_cost=False):
        console.print(line, markup=False)
    console.print(cost_table(graph, estimate(prediction.maker, prediction.target)))
    command = command_line("lpad", "add", options.output)
    console.print(f"Add it with: {command}", markup=False, soft_wrap=True)
