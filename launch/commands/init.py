"""``devitrify init``: write the configuration folder of a cluster."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, overload

import typer

from launch.cluster.files import SIGNAL_SECONDS, ClusterDescription, write_files
from launch.commands.shared.options import command_of
from launch.database.server import MALFORMED, is_uri
from launch.errors import CampaignError
from launch.shell import command_line
from workflows.jobs.site import default_folder


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What ``devitrify init`` is told."""

    site: Annotated[str, typer.Option("--site", help="Kind of nodes: knl, cpu or local.")]
    db: Annotated[
        str | None,
        typer.Option(
            "--db", envvar="DEVITRIFY_DB", show_envvar=True, help="URI of the MongoDB; asked for."
        ),
    ] = None
    database: Annotated[str, typer.Option(help="Name of the database.")] = "devitrify"
    folder: Annotated[
        Path | None, typer.Option("--folder", "-f", help="Default: ~/.config/devitrify.")
    ] = None
    partition: Annotated[str | None, typer.Option(help="SLURM partition; asked for.")] = None
    nnp_partition: Annotated[
        str | None, typer.Option(help="Partition of the potential's jobs; default: the same.")
    ] = None
    account: Annotated[str | None, typer.Option(help="Account that is charged.")] = None
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None
    constraint: Annotated[
        str | None, typer.Option(help="Features of the nodes; default for knl: knl&quad&cache.")
    ] = None
    walltime: Annotated[
        str | None, typer.Option(help="Of all jobs of the engine, e.g. 12:00:00.")
    ] = None
    nnp_walltime: Annotated[
        str | None, typer.Option(help="Of all jobs of the potential, e.g. 04:00:00.")
    ] = None
    nodes: Annotated[int, typer.Option(help="Nodes of a job of the engine.", min=1)] = 1
    cores: Annotated[int, typer.Option(help="Cores of a cpu node.", min=1)] = 32
    layout: Annotated[
        str | None, typer.Option(help="Ranks x threads on a knl node: 64x1 or 16x4.")
    ] = None
    modules: Annotated[str, typer.Option(help="Environment modules, blank-separated.")] = ""
    vasp_cmd: Annotated[
        str | None, typer.Option(help="Starts VASP in a job; default: srun ... vasp_std.")
    ] = None
    vasp_gamma_cmd: Annotated[
        str | None, typer.Option(help="Starts its Gamma-point build; default: srun ... vasp_gam.")
    ] = None
    potcars: Annotated[
        Path | None, typer.Option(help="Folder of the POTCARs, as pymatgen wants it.")
    ] = None
    work: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints that all nodes see.")
    ] = None
    signal_seconds: Annotated[
        int, typer.Option(help="Jobs are told this long before their time is up.", min=1)
    ] = SIGNAL_SECONDS

    def describe(self) -> ClusterDescription:
        """
        Return the cluster, after asking for what is missing.

        Raises
        ------
        CampaignError
            If an option cannot be used.
        """
        partition = self.partition
        if self.site in ("knl", "cpu") and partition is None:
            partition = _ask("the SLURM partition", "--partition")
        return ClusterDescription(
            kind=self.site,
            uri=self._uri(),
            database=self._database(),
            name=_own_name(self.site),
            partitions={"dft": partition or "", "nnp": self.nnp_partition or partition or ""},
            walltimes=self._walltimes(),
            account=self.account,
            qos=self.qos,
            constraint=self.constraint,
            layout=self.layout,
            cores=self.cores,
            nodes=self.nodes,
            modules=tuple(self.modules.split()),
            vasp_command=self.vasp_cmd,
            vasp_gamma_command=self.vasp_gamma_cmd,
            potcars=_absolute(self.potcars),
            work=_absolute(self.work),
            signal_seconds=self.signal_seconds,
        )

    def _database(self) -> str:
        if not re.fullmatch(r"[\w-]{1,63}", self.database, re.ASCII):
            raise CampaignError(
                "--database takes a name of at most 63 letters, digits, - and _, not "
                f"{self.database!r}."
            )
        return self.database

    def _uri(self) -> str:
        uri = self.db or _ask(
            "the URI of the MongoDB", "--db or the variable DEVITRIFY_DB", hide=True
        )
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise CampaignError("The URI of the database starts with mongodb:// or mongodb+srv://.")
        if not is_uri(uri):
            raise CampaignError(f"The URI of the database {MALFORMED}")
        return uri

    def _walltimes(self) -> dict[str, str]:
        from workflows.jobs.site import walltime_seconds

        given = {"dft": self.walltime, "nnp": self.nnp_walltime}
        walltimes = {queue: time for queue, time in given.items() if time}
        for time in walltimes.values():
            if walltime_seconds(time) < 2 * self.signal_seconds:
                raise CampaignError(
                    f"A walltime of {time} is too short: jobs are told to end "
                    f"{self.signal_seconds} s before, see --signal-seconds."
                )
        return walltimes


@command_of(InitOptions)
def init(options: InitOptions) -> None:
    """Write the configuration of a cluster: FireWorks, jobflow, atomate2 and SLURM."""
    target = _absolute(options.folder or default_folder())
    for path in write_files(target, options.describe().files(target)):
        typer.echo(path)
    typer.echo(
        f"Add this line to your shell's profile: {command_line('.', target / 'env.sh')}\n"
        f"Then look it all over with: {command_line('devitrify', 'doctor', '--folder', target)}"
    )


@overload
def _absolute(path: Path) -> Path: ...
@overload
def _absolute(path: None) -> None: ...
def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path else None


def _own_name(site: str) -> str:
    """
    User and cluster, the beginning of the workers' names.

    ``devitrify reconcile`` knows its own launches by them, and sees only one user's jobs on one
    cluster: on a launchpad that is shared it must not free what others run.
    """
    import pwd
    import socket

    from launch.cluster.slurm import cluster_name

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    host = socket.gethostname().partition(".")[0]
    return f"{user}@{(None if site == 'local' else cluster_name()) or host}"


def _ask(what: str, option: str, hide: bool = False) -> str:
    """Ask on a terminal; elsewhere the option must be given."""
    if not sys.stdin.isatty():
        raise CampaignError(f"Give {what} with {option}.")
    return str(typer.prompt(what[0].upper() + what[1:], hide_input=hide)).strip()
