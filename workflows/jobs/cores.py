"""How many cores this process may use: of the machine, of its cgroup, of its SLURM job."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """
    Cores that this process may use, at least one.

    The smallest of: the cores the process is bound to; the time its cgroups grant, in cores; and
    the logical cores that SLURM allocated on this node, which a cluster without task binding
    enforces by good manners only.
    """
    limits = [_bound_cores(), _granted_cores(), _allocated_cores()]
    return max(1, min(limit for limit in limits if limit is not None))


def share_of_cores(jobs: int) -> int:
    """
    Cores for one of several jobs that run at the same time.

    Inside a SLURM job they are its own; elsewhere the jobs share one machine.

    Parameters
    ----------
    jobs : int
        How many there are.
    """
    return usable_cores() if os.environ.get("SLURM_JOB_ID") else max(1, usable_cores() // jobs)


def use_all_cores() -> None:
    """
    Let OpenMP, BLAS and torch of this process use all cores, if it has a SLURM job to itself.

    ``OMP_NUM_THREADS`` of such a job is for a rank of an MPI program that the job may start, not
    for this process. Elsewhere the variable says which share of the machine is this process's.
    """
    if not os.environ.get("SLURM_JOB_ID"):
        return
    cores = usable_cores()
    threadpool_limits(cores)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(cores)


def _bound_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _allocated_cores() -> int | None:
    text = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return int(text) if text.isdigit() else None


def _granted_cores(root: Path = CGROUP, process: Path = Path("/proc/self/cgroup")) -> int | None:
    """Cores by the CPU quota of this process's cgroup and of those around it; none without one."""
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return None
    quotas = [_quota(root, *line.split(":", 2)[1:]) for line in lines if line.count(":") >= 2]
    found = [quota for quota in quotas if quota is not None]
    return max(1, math.ceil(min(found))) if found else None


def _quota(root: Path, controllers: str, group: str) -> float | None:
    """Smallest quota (cores) from a cgroup up to the root; version 2 names no controllers."""
    if controllers and "cpu" not in controllers.split(","):
        return None
    top = root / "cpu" if controllers else root
    folders = [top.joinpath(*Path(group).parts[1:depth]) for depth in range(1, 64)]
    found = []
    for folder in dict.fromkeys(folders):
        try:
            if controllers:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            else:
                quota, period = (folder / "cpu.max").read_text().split()
            if quota.strip() not in ("max", "-1"):
                found.append(int(quota) / int(period))
        except (OSError, ValueError):
            continue
    return min(found, default=None)
