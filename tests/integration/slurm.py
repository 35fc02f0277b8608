"""
A whole SLURM on this machine: three nodes of 272 logical cores, one of 40, three partitions.

It needs no systemd and no cgroups, only root and Debian's packages ``slurm-wlm`` and ``munge``.
All its files are in one folder; every process is stopped by the id in its file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
NODES = ("knl1", "knl2", "knl3", "cpu1")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmctldPidFile={root}/slurmctld.pid
SlurmctldLogFile={root}/slurmctld.log
StateSaveLocation={root}/state
SlurmdPidFile={root}/slurmd.%n.pid
SlurmdLogFile={root}/slurmd.%n.log
SlurmdSpoolDir={root}/spool.%n
SwitchType=switch/none
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=15
MinJobAge=3600
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
{nodes}
PartitionName=knl Nodes=knl[1-3] MaxTime=2-0 DefaultTime=5 State=UP
PartitionName=normal Nodes=cpu1 Default=YES MaxTime=2-0 DefaultTime=5 State=UP
"""
KNL_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=272 Sockets=1 "
    "CoresPerSocket=68 ThreadsPerCore=4 RealMemory=96000 Feature=knl,quad,cache"
)
CPU_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=40 Sockets=2 "
    "CoresPerSocket=20 ThreadsPerCore=1 RealMemory=192000 Feature=skl"
)


def why_not() -> str | None:
    """Say why SLURM cannot be started here; none if it can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{missing[0]} is missing: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return "this machine's name has no address in /etc/hosts, which SLURM needs"
    return None


class Slurm:
    """A SLURM in a folder; a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"SLURM_CONF": str(root / "slurm.conf")}

    def __enter__(self) -> Slurm:
        try:
            self._configure()
            self._daemon("munged", "--force", f"--key-file={self.root}/munge.key",
                         f"--socket={self.root}/munge.sock", f"--pid-file={self.root}/munged.pid",
                         f"--log-file={self.root}/munged.log", f"--seed-file={self.root}/seed",
                         "--num-threads=2")  # fmt: skip
            self._daemon("slurmctld", "-i", "-c")
            for node in NODES:
                self.start_node(node)
            self._wait_for_nodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run one of SLURM's commands."""
        done = subprocess.run(
            arguments, env={**os.environ, **self.environment}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}")
        return done.stdout

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        (self.root / f"spool.{node}").mkdir(exist_ok=True)
        self._daemon("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node as a power cut would: its daemon and all that it runs, by SIGKILL."""
        daemon = self._process(self.root / f"slurmd.{node}.pid")
        assert daemon is not None
        for step in self._steps(node):
            for child in [*step.children(recursive=True), step]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        daemon.kill()
        daemon.wait(10)

    def node_of(self, job: str) -> str:
        """Return the node that runs a job."""
        return self.command("squeue", "-h", "-j", job, "-o", "%N").strip()

    def jobs(self) -> dict[str, str]:
        """Return the states of all jobs by their number."""
        rows = self.command("squeue", "-h", "-t", "all", "-o", "%A %T").splitlines()
        return dict(row.split() for row in rows)

    def stop(self) -> None:
        """End all jobs, then all daemons, by their process ids."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.command("scancel", "--signal=KILL", "--full", "--state=RUNNING")
            self.command("scancel", "--user=root")
        # the controller first: nodes then have nobody to report to
        for pattern in ("slurmctld.pid", "slurmd.*.pid", "munged.pid"):
            processes = [self._process(path) for path in self.root.glob(pattern)]
            for process in filter(None, processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
            _, alive = psutil.wait_procs([p for p in processes if p], timeout=10)
            for process in alive:
                process.kill()
        for node in NODES:
            for step in self._steps(node):
                for process in [*step.children(recursive=True), step]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = [_free_port() for _ in range(len(NODES) + 1)]
        lines = [
            (KNL_NODE if name.startswith("knl") else CPU_NODE).format(
                name=name, host=host, port=port
            )
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        text = CONFIGURATION.format(
            host=host, port=ports[0], root=self.root, nodes="\n".join(lines)
        )
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)  # munge insists
        (self.root / "state").mkdir()
        (self.root / "slurm.conf").write_text(text)
        # naming the plugin stops a search that fails without /sys/fs/cgroup
        (self.root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        key = self.root / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))

    def _daemon(self, *command: str) -> None:
        with (self.root / "stderr").open("ab") as errors:
            subprocess.run(
                command, env={**os.environ, **self.environment}, stdout=errors, stderr=errors,
                stdin=subprocess.DEVNULL, timeout=60, check=True,
            )  # fmt: skip

    def _wait_for_nodes(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            rows = self.command("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False)
            if set(rows.split()) == set(NODES):
                return
            time.sleep(0.2)
        raise RuntimeError(f"SLURM did not come up; see {self.root}")

    def _steps(self, node: str) -> list[psutil.Process]:
        """The processes through which a node runs jobs; they outlive its daemon."""
        log = str(self.root / f"slurmd.{node}.log")
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] == "slurmstepd" and any(
                    file.path == log for file in process.open_files()
                ):
                    found.append(process)
        return found

    def _process(self, path: Path) -> psutil.Process | None:
        """Return the process whose id a file holds, if it is one of SLURM's."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(path.read_text()))
            if process.name() in PROGRAMS:
                return process
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill(pid: int) -> None:
    """Send SIGKILL; a process that is gone does not mind."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
