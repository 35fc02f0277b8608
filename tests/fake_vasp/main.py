"""A run from its input files to its output files."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import numpy as np

from tests.fake_vasp import dynamics
from tests.fake_vasp.electrons import Electrons, starting_error, write_states
from tests.fake_vasp.faults import Faults, find_faults
from tests.fake_vasp.finite_basis import FiniteBasis
from tests.fake_vasp.incar import InputError
from tests.fake_vasp.job import Job
from tests.fake_vasp.model import make_calculator
from tests.fake_vasp.poscar import System
from tests.fake_vasp.recorder import FatalError, Recorder
from tests.fake_vasp.state import Evaluator


def main(executable: str = "std", folder: Path | None = None) -> int:
    """
    Run in a folder.

    Parameters
    ----------
    executable : str
        ``std`` or ``gam``.
    folder : Path or None
        The current one by default.

    Returns
    -------
    int
        Exit status.
    """
    try:
        job = Job.read(folder or Path(), executable)
        faults = find_faults(job.folder, job.incar, job.settings.kind)
        if faults.any("error_exit"):
            print(" forrtl: severe (24): end-of-file during read", file=sys.stderr)
            return 24
        return _run(job, faults)
    except InputError as error:
        print(f" ERROR: {error}", flush=True)
        return 1
    except FatalError:
        return 1
    except OSError as error:
        print(f" forrtl: severe (38): error during write: {error}", file=sys.stderr)
        return 38


def _run(job: Job, faults: Faults) -> int:
    calculator = FiniteBasis(
        make_calculator(), job.settings.encut, job.recommended_cutoffs, job.mesh, job.system.cell
    )
    start = starting_error(job.folder, job.settings, job.system, job.mesh)
    electrons = Electrons(job.settings, job.system.n_atoms, start)
    evaluate = Evaluator(calculator, electrons, job.settings, faults, job.system)
    with Recorder(job, faults, sys.stdout) as recorder:
        system, accurate = _move(job, evaluate, recorder)
        write_states(job.folder, job.settings, system, job.mesh)
        recorder.finish(system, accurate)
    return 0


def _move(job: Job, evaluate: Evaluator, recorder: Recorder) -> tuple[System, bool]:
    """Final structure, and whether a relaxation met its criterion."""
    kind = job.settings.kind
    if kind == "static":
        step = evaluate(job.system)
        step.is_last = True
        recorder.record(step)
        return step.system, False
    if kind == "relax":
        from tests.fake_vasp import relaxation  # its optimizers are slow to import

        return relaxation.run(job.system, job.settings, evaluate, recorder.record)
    generator = np.random.default_rng(_seed(job.folder))
    final = dynamics.run(job.system, job.masses, job.settings, evaluate, recorder.record, generator)
    return final, False


def _seed(folder: Path) -> int:
    """Seed from the environment, or one that differs from structure to structure."""
    given = os.environ.get("FAKE_VASP_SEED")
    return int(given) if given else zlib.crc32((folder / "POSCAR").read_bytes())
