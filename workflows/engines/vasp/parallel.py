"""Where VASP's work is cut: KPAR and NCORE from nodes, ranks and threads."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.engines.vasp.settings import Parallel


def resolve(
    parallel: Parallel, environment: Mapping[str, str] | None = None
) -> tuple[int, int, int]:
    """
    Fill in what is not given from the environment of the job.

    Parameters
    ----------
    parallel : Parallel
        As set.
    environment : mapping or None
        Variables; none: those of this process.

    Returns
    -------
    tuple of int
        Nodes, ranks on a node, threads of a rank; one where nothing tells.
    """
    known = os.environ if environment is None else environment

    def number(*names: str) -> int | None:
        return next((int(known[name]) for name in names if known.get(name, "").isdigit()), None)

    nodes = parallel.nodes or number("SLURM_JOB_NUM_NODES", "SLURM_NNODES") or 1
    tasks = number("SLURM_NTASKS", "SLURM_NPROCS")
    ranks = parallel.ranks or (max(1, tasks // nodes) if tasks else 1)
    threads = parallel.openmp_threads or number("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK") or 1
    return nodes, ranks, threads


def parallel_tags(nodes: int, ranks: int, threads: int, k_points: int) -> dict[str, int]:
    """
    Choose KPAR and NCORE.

    Groups of k-points need no talk with each other, so there are as many of them as divide the
    ranks, at most one a k-point; with several nodes whole nodes go to a group, since the groups
    each hold all orbitals and memory is short on many-core processors such as Knights Landing.
    Within a group, the number of ranks that share an orbital is near the square root of their
    number and never leaves a node, where the transforms would cross the network. With OpenMP
    threads VASP wants NCORE = 1.

    Parameters
    ----------
    nodes, ranks, threads : int
        Nodes, MPI ranks on each, threads of a rank.
    k_points : int
        Number of k-points, not reduced by symmetry.

    Returns
    -------
    dict
        Tags that are not one, which is VASP's default.
    """
    units = nodes if nodes > 1 else ranks
    kpar = max(n for n in range(1, units + 1) if units % n == 0 and n <= k_points)
    group = nodes * ranks // kpar
    ncore = 1
    if threads == 1:
        fitting = [n for n in range(1, ranks + 1) if ranks % n == 0 and group % n == 0]
        ncore = min(fitting, key=lambda n: (round(abs(math.log(n / math.sqrt(group))), 9), n))
    return {tag: n for tag, n in (("KPAR", kpar), ("NCORE", ncore)) if n > 1}
