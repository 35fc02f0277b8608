"""KPAR and NCORE."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workflows.engines.vasp.parallel import parallel_tags, resolve
from workflows.engines.vasp.settings import Parallel


def test_knights_landing_at_gamma_and_with_k_points() -> None:
    assert parallel_tags(4, 64, 1, 1) == {"NCORE": 16}
    assert parallel_tags(4, 64, 1, 27) == {"KPAR": 4, "NCORE": 8}
    # with OpenMP threads VASP wants one rank an orbital
    assert parallel_tags(4, 16, 4, 1) == {}


def test_a_workstation() -> None:
    assert parallel_tags(1, 1, 1, 8) == {}
    assert parallel_tags(1, 8, 1, 4) == {"KPAR": 4}
    assert parallel_tags(1, 16, 1, 1) == {"NCORE": 4}


@given(
    st.integers(1, 16), st.integers(1, 128), st.integers(1, 8), st.integers(1, 300)
)  # fmt: skip
def test_tags_divide_the_ranks(nodes: int, ranks: int, threads: int, k_points: int) -> None:
    tags = parallel_tags(nodes, ranks, threads, k_points)
    kpar, ncore = tags.get("KPAR", 1), tags.get("NCORE", 1)
    assert nodes * ranks % kpar == 0
    assert kpar <= k_points
    assert nodes * ranks // kpar % ncore == 0
    assert ranks % ncore == 0
    assert threads == 1 or ncore == 1


def test_slurm_tells_what_is_not_given() -> None:
    slurm = {"SLURM_JOB_NUM_NODES": "4", "SLURM_NTASKS": "256", "OMP_NUM_THREADS": "1"}
    assert resolve(Parallel(), slurm) == (4, 64, 1)
    assert resolve(Parallel(nodes=2, ranks=32, openmp_threads=2), slurm) == (2, 32, 2)
    assert resolve(Parallel(), {}) == (1, 1, 1)
