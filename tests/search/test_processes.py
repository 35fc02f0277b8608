from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase.build import bulk

from search.relax.processes import cpu_seconds, side_by_side
from search.relax.relaxer import Relaxer
from tests.search.ensemble import gold_and_copper


def _square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def _killed_elsewhere(parent: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def _busy(seconds: float) -> int:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


def test_the_first_is_done_here_and_the_others_elsewhere_in_their_order() -> None:
    done = side_by_side(_square, [1, 2, 3], 2)
    assert [square for square, _ in done] == [1, 4, 9]
    here, *there = (process for _, process in done)
    assert here == os.getpid()
    assert here not in there
    assert all(process == os.getpid() for _, process in side_by_side(_square, [1, 2], 1))


def test_the_time_of_others_counts() -> None:
    before, mine = cpu_seconds(), time.process_time()
    assert len(set(side_by_side(_busy, [0.1, 0.2], 2))) == 2
    assert cpu_seconds() - before == pytest.approx(time.process_time() - mine + 0.2, abs=0.05)


def test_what_a_killed_process_leaves_is_done_here() -> None:
    assert side_by_side(_killed_elsewhere, [os.getpid()] * 3, 2) == [1, 1, 1]
    assert [square for square, _ in side_by_side(_square, [1, 2], 2)] == [1, 4]


def test_an_error_is_told() -> None:
    with pytest.raises(TypeError):
        side_by_side(_square, [1, "two"], 2)  # type: ignore[list-item]


def test_processes_end_with_the_one_they_work_for(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        "import os, time\n"
        "from tests.search.test_processes import _square\n"
        "from search.relax.processes import side_by_side\n"
        "print(side_by_side(_square, [1, 2], 2)[1][1], flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        helper = psutil.Process(int(process.stdout.readline()))
        process.kill()
        assert psutil.wait_procs([helper], timeout=10)[1] == []


def test_processes_do_not_change_a_relaxation() -> None:
    potential = gold_and_copper()
    structures = []
    for seed in range(7):
        atoms = bulk("Cu", cubic=True, a=3.85)
        atoms.symbols = ["Cu", "Au", "Au", "Cu"]
        atoms.rattle(0.1, seed=seed)
        structures.append(atoms)
    relaxer = Relaxer(batch_size=4)
    alone = relaxer.relax(structures, potential)
    beside = relaxer.relax(structures, potential, threads=2)
    for one, other in zip(alone, beside, strict=True):
        assert (one.status, one.steps, one.energy) == (other.status, other.steps, other.energy)
        np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)
