"""The configuration of a cluster: nodes, queues, and the files that FireWorks and jobflow read."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from launch.errors import CampaignError

QUEUES = ("dft", "nnp")
#: A killed process leaves its workflow locked; a live one may hold the lock for long where the
#: network stalls, or while a large workflow is written.
CLUSTER_LOCK_SECONDS = 300
SIGNAL_SECONDS = 300  # custodian stops VASP that long before the end


@dataclass(frozen=True)
class Layout:
    """
    How an MPI program is laid out on a node.

    Attributes
    ----------
    ranks : int
        MPI ranks a node.
    logical_cores : int
        Logical cores a rank.
    threads : int
        OpenMP threads a rank.
    """

    ranks: int
    logical_cores: int
    threads: int


@dataclass(frozen=True)
class NodeType:
    """
    A kind of compute node.

    Attributes
    ----------
    logical_cores : int
        Of a node, hardware threads counted.
    layouts : dict
        For the reference engine; the first is the default.
    constraint : str or None
        Features asked of the nodes.
    """

    logical_cores: int
    layouts: dict[str, Layout]
    constraint: str | None = None


#: Xeon Phi 7250: 68 cores of 4 hardware threads, of which 4 cores are left to the system.
KNL = NodeType(
    logical_cores=272,
    layouts={"64x1": Layout(64, 4, 1), "16x4": Layout(16, 16, 4)},
    constraint="knl&quad&cache",
)
SITES = ("knl", "cpu", "local")


@dataclass(frozen=True)
class ClusterDescription:
    """
    A cluster as ``devitrify init`` is told of it, from which the files of its configuration follow.

    Attributes
    ----------
    kind : str
        One of :data:`SITES`.
    uri : str
        Of the MongoDB, with whatever it needs of user, password and TLS options.
    database : str
        Its name.
    name : str
        Of user and cluster, in the launches.
    partitions, walltimes : dict
        By queue; a walltime as SLURM writes it.
    account, qos : str or None
        Whom the time is charged to.
    constraint : str or None
        Features asked of the nodes; none: what the kind of node says, empty: nothing.
    layout : str or None
        Ranks x threads of the reference engine, e.g. ``64x1``.
    cores : int
        Cores of a node of a cluster of kind ``cpu``.
    nodes : int
        Nodes of a job of the reference engine.
    modules : tuple of str
        Environment modules that jobs load.
    vasp_command, vasp_gamma_command : str or None
        How VASP is started inside a job; none: by srun, each rank bound to its cores.
    potcars : Path or None
        Folder of the pseudopotentials, as pymatgen wants it.
    work : Path or None
        Folder that all nodes see, for checkpoints; none: within the configuration.
    signal_seconds : int
        A job is told that long before its time is up.
    """

    kind: str
    uri: str
    database: str = "devitrify"
    name: str = "cluster"
    partitions: dict[str, str] = field(default_factory=dict)
    walltimes: dict[str, str] = field(default_factory=dict)
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    layout: str | None = None
    cores: int = 32
    nodes: int = 1
    modules: tuple[str, ...] = ()
    vasp_command: str | None = None
    vasp_gamma_command: str | None = None
    potcars: Path | None = None
    work: Path | None = None
    signal_seconds: int = SIGNAL_SECONDS

    def __post_init__(self) -> None:
        if self.kind not in SITES:
            raise CampaignError(f"--site takes {', '.join(SITES)}, not {self.kind!r}.")
        if self.layout is not None and self.layout not in self.node.layouts:
            raise CampaignError(
                f"--layout takes {' or '.join(self.node.layouts)} on such nodes, not "
                f"{self.layout!r}."
            )

    @property
    def node(self) -> NodeType:
        """The nodes of this cluster."""
        if self.kind == "knl":
            return KNL
        return NodeType(self.cores, {f"{self.cores}x1": Layout(self.cores, 1, 1)})

    @property
    def engine_layout(self) -> Layout:
        """Of the reference engine's ranks on a node."""
        return self.node.layouts[self.layout or next(iter(self.node.layouts))]

    def _srun(self, program: str) -> str:
        """
        Command that starts an MPI program.

        Threads are bound within the cores of their rank, by variables that the program alone gets:
        exported by the batch script they would bind every process of the job that loads OpenMP to
        the same first core, with all that it starts.
        """
        bind = "--export=ALL,OMP_PROC_BIND=spread,OMP_PLACES=cores "
        return f"srun --cpu-bind=cores {bind if self.engine_layout.threads > 1 else ''}{program}"

    def files(self, folder: Path) -> dict[str, str]:
        """
        Return the text of every file of the configuration, by its path in the folder.

        Parameters
        ----------
        folder : Path
            Where they are going to be; absolute.
        """
        files = {
            "my_launchpad.yaml": _yaml(self._launchpad()),
            "jobflow.yaml": _yaml(self._job_store()),
            "atomate2.yaml": _yaml(
                {
                    "VASP_CMD": self.vasp_command or self._srun("vasp_std"),
                    "VASP_GAMMA_CMD": self.vasp_gamma_command or self._srun("vasp_gam"),
                }
            ),
            "FW_config.yaml": _yaml(_fireworks(folder)),
            "devitrify.yaml": _yaml(self._settings(folder)),
            "env.sh": self._environment(folder),
        }
        for queue in QUEUES:
            worker = {"name": f"{self.name}-{queue}", "category": queue, "query": "{}"}
            files[f"{queue}/my_fworker.yaml"] = _yaml(worker)
            if self.kind != "local":
                files[f"{queue}/my_qadapter.yaml"] = _yaml(self._queue_adapter(queue, folder))
                files[f"{queue}/slurm.sh"] = slurm_template()
        return files

    def _launchpad(self) -> dict[str, Any]:
        # a server that is started anew, or a network that is cut for a while, is waited for
        waits = {"serverSelectionTimeoutMS": 60_000, "socketTimeoutMS": 300_000}
        return {
            "host": self.uri,
            "uri_mode": True,
            "name": self.database,
            "mongoclient_kwargs": waits,
        }

    def _job_store(self) -> dict[str, Any]:
        where = {"uri": self.uri, "database": self.database}
        return {
            "JOB_STORE": {
                "docs_store": {"type": "MongoStore", **where, "collection_name": "outputs"},
                "additional_stores": {
                    "data": {"type": "GridFSStore", **where, "collection_name": "outputs_blobs"}
                },
            }
        }

    def _settings(self, folder: Path) -> dict[str, Any]:
        from workflows.stages.table import default_resources

        table: dict[str, Any] = {}
        for queue, stages in default_resources().items():
            for stage, wanted in stages.items():
                table.setdefault(queue, {})[stage] = {
                    "walltime": self.walltimes.get(queue, wanted.walltime),
                    "nodes": self.nodes if queue == "dft" else 1,
                }
        return {"checkpoints": str((self.work or folder) / "checkpoints"), "resources": table}

    def _queue_adapter(self, queue: str, folder: Path) -> dict[str, Any]:
        node = self.node
        # our own jobs are one process, which starts a thread for each core by itself
        layout = Layout(1, node.logical_cores, 1)
        if queue == "dft":
            layout = self.engine_layout
        constraint = node.constraint if self.constraint is None else self.constraint
        # -P: what lies in the folder that a job is started in must not take the place of our code
        python = f"{shlex.quote(sys.executable)} -P"
        rocket = f"{python} -m launch.cluster.supervisor {_quoted(folder / queue)}"
        values = {
            "_fw_name": "CommonAdapter",
            "_fw_q_type": "SLURM",
            "_fw_template_file": str(folder / queue / "slurm.sh"),
            "_fw_timeout": 60,
            "rocket_launch": f"{rocket} singleshot",
            "environment": _quoted(folder / "env.sh"),
            "queue": self.partitions[queue],
            "account": self.account,
            "qos": self.qos,
            "constraint": constraint or None,
            "nodes": self.nodes if queue == "dft" else 1,
            "ntasks_per_node": layout.ranks,
            "cpus_per_task": layout.logical_cores,
            "omp_num_threads": layout.threads,
            "exclusive": "exclusive",
            "walltime": self.walltimes.get(queue, "04:00:00"),
            "signal": f"B:USR1@{self.signal_seconds}",
            "pre_rocket": "module load " + " ".join(self.modules) if self.modules else None,
        }
        return {key: value for key, value in values.items() if value is not None}

    def _environment(self, folder: Path) -> str:
        variables = {
            "DEVITRIFY_CONFIG": folder,
            "FW_CONFIG_FILE": folder / "FW_config.yaml",
            "JOBFLOW_CONFIG_FILE": folder / "jobflow.yaml",
            "ATOMATE2_CONFIG_FILE": folder / "atomate2.yaml",
        }
        if self.potcars is not None:
            variables["PMG_VASP_PSP_DIR"] = self.potcars
        lines = ["# Source this on the login node; the jobs do so themselves."]
        lines += [f"export {name}={_quoted(path)}" for name, path in variables.items()]
        lines.append(f"export PATH={_quoted(Path(sys.executable).parent)}:$PATH")
        return "\n".join(lines) + "\n"


def slurm_template() -> str:
    """Return the template of the batch scripts."""
    return resources.files("launch").joinpath("templates/slurm.sh").read_text()


def _fireworks(folder: Path) -> dict[str, Any]:
    return {
        "LAUNCHPAD_LOC": str(folder / "my_launchpad.yaml"),
        # seconds between two submissions, and between two looks for new work
        "QUEUE_UPDATE_INTERVAL": 1,
        "RAPIDFIRE_SLEEP_SECS": 30,
        # a killed process leaves its workflow locked
        "WFLOCK_EXPIRATION_SECS": CLUSTER_LOCK_SECONDS,
        "WFLOCK_EXPIRATION_KILL": True,
        "PING_TIME_SECS": 600,
        "PRINT_FW_JSON": False,
    }


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


def write_files(folder: Path, files: dict[str, str]) -> list[Path]:
    """
    Write new files, readable by their owner only, since some hold a password.

    Raises
    ------
    CampaignError
        If one of them is there already; then none is written.
    """
    present = [name for name in files if (folder / name).exists()]
    if present:
        raise CampaignError(
            f"{folder} has a configuration already ({', '.join(present[:3])}): edit its files, "
            "move it away, or give another --folder."
        )
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
    return [folder / name for name in files]
