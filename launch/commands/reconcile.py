"""``devitrify reconcile``: repair Fireworks whose SLURM job is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import ConfigurationFolder, command_of
from launch.commands.shared.repeat import repeat

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration


@dataclass(frozen=True, kw_only=True)
class ReconcileOptions:
    """What ``devitrify reconcile`` is told."""

    config: ConfigurationFolder = None
    again: Annotated[bool, typer.Option("--watch", help="Go on until interrupted.")] = False
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 60.0


@command_of(ReconcileOptions)
def reconcile(options: ReconcileOptions) -> None:
    """Compare RUNNING and RESERVED Fireworks with squeue and repair those whose job is gone."""
    from launch.cluster.configuration import Configuration

    configuration = Configuration.find(options.config)
    if options.again:
        repeat(lambda: _repair(configuration), options.interval)
    else:
        typer.echo(f"{_repair(configuration)} Fireworks repaired")


def _repair(configuration: Configuration) -> int:
    """Repair what is amiss, print each repair, and return how many there were."""
    from launch.cluster.reconcile import reconcile as compare

    with configuration.connected() as pad:
        repairs = compare(pad, configuration.worker_names())
    for repair in repairs:
        typer.echo(
            f"{datetime.now():%Y-%m-%d %H:%M:%S}  Firework {repair.fw_id}: "
            f"{repair.before} -> {repair.after}, {repair.reason}"
        )
    return len(repairs)
