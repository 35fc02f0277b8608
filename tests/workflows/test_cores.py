"""The cores a job may use: of its binding, its cgroup and its SLURM allocation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflows.jobs import cores


def test_slurm_allocation_and_binding_both_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_granted_cores", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(40)))
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    assert cores.usable_cores() == 40
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    assert cores.usable_cores() == 8
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "272")
    assert cores.usable_cores() == 40
    monkeypatch.setattr(cores, "_granted_cores", lambda: 3)
    assert cores.usable_cores() == 3


def test_jobs_side_by_side_share_a_machine_but_not_their_slurm_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert cores.share_of_cores(3) == 2
    assert cores.share_of_cores(20) == 1
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert cores.share_of_cores(3) == 8


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/job_7/step", {"job_7/cpu.max": "400000 100000"}, 4),
        ("0::/job_7/step", {"job_7/cpu.max": "max 100000"}, None),
        ("0::/job_7/step", {"cpu.max": "150000 100000", "job_7/cpu.max": "400000 100000"}, 2),
        (
            "4:cpu,cpuacct:/job_7",
            {"cpu/job_7/cpu.cfs_quota_us": "200000\n", "cpu/job_7/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("4:memory:/job_7", {"cpu/job_7/cpu.cfs_quota_us": "200000\n"}, None),
        ("nonsense", {}, None),
    ],
)
def test_cgroup_quotas(
    tmp_path: Path, line: str, files: dict[str, str], expected: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "self").write_text(line + "\n")
    assert cores._granted_cores(tmp_path, tmp_path / "self") == expected


def test_without_a_proc_file_system_there_is_no_quota(tmp_path: Path) -> None:
    assert cores._granted_cores(tmp_path, tmp_path / "nothing") is None


THREADS = """
import json, torch
from threadpoolctl import threadpool_info
from workflows.engines.registry import find_engine
find_engine("emt").build_for_job()
print(json.dumps([torch.get_num_threads(), *(each["num_threads"] for each in threadpool_info())]))
"""


@pytest.mark.parametrize("job", ["12", None])
def test_an_engine_has_the_cores_of_its_slurm_job(job: str | None) -> None:
    """Though the batch script says how many threads a rank of an MPI program has: one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SLURM_CPUS_ON_NODE": "2"}
    environment.pop("SLURM_JOB_ID", None)
    if job is not None:
        environment["SLURM_JOB_ID"] = job
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True
    )
    threads = json.loads(done.stdout)
    expected = min(2, cores.usable_cores()) if job else 1
    assert threads[0] == expected
    assert all(number == expected for number in threads[1:])
