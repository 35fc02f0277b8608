"""One run of VASP under custodian, and what came of it."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workflows.engines.vasp.errors import REPORTED, explain_end
from workflows.engines.vasp.inputs import VaspSetupError

if TYPE_CHECKING:
    from custodian.custodian import ErrorHandler

    from workflows.engines.vasp.settings import Supervision

logger = logging.getLogger(__name__)

#: Where SLURM tells the end of an allocation, in seconds since the epoch.
SLURM_END = "SLURM_JOB_END_TIME"

#: What a run leaves that nobody reads.
LITTER = ("CHG", "CHGCAR", "DOSCAR", "EIGENVAL", "IBZKPT", "PCDAT", "PROCAR", "REPORT", "XDATCAR")

#: What is compressed at the end of a job.
KEPT = ("CONTCAR", "INCAR", "KPOINTS", "OSZICAR", "OUTCAR", "POSCAR", "vasp.out", "vasprun.xml")


@dataclass(frozen=True)
class Outcome:
    """
    How a run of VASP ended.

    Attributes
    ----------
    stopped : bool
        It was asked to stop because its time ran out.
    errors : tuple of str
        What went wrong, in words; none if nothing did.
    """

    stopped: bool = False
    errors: tuple[str, ...] = field(default=())


def job_end(
    supervision: Supervision, started: float, environment: Mapping[str, str] | None = None
) -> float | None:
    """
    When the current job must be over.

    Parameters
    ----------
    supervision : Supervision
        May limit the time of a job.
    started : float
        When it began, in seconds since the epoch.
    environment : mapping or None
        Variables; none: those of this process. SLURM tells the end of the allocation.

    Returns
    -------
    float or None
        Seconds since the epoch; none if there is no limit.
    """
    known = os.environ if environment is None else environment
    ends = [float(known[SLURM_END])] if known.get(SLURM_END, "").isdigit() else []
    if supervision.walltime is not None:
        ends.append(started + supervision.walltime)
    return min(ends, default=None)


def run_vasp(
    folder: Path, handlers: list[ErrorHandler], supervision: Supervision, end: float | None
) -> Outcome:
    """
    Run VASP on the inputs in a folder; errors come back in words, nothing is raised for them.

    The commands are atomate2's settings ``VASP_CMD`` and, for Gamma alone, ``VASP_GAMMA_CMD``.

    Parameters
    ----------
    folder : Path
        Holds the inputs.
    handlers : list of ErrorHandler
        Watch, and mend where they can.
    supervision : Supervision
        How often to look.
    end : float or None
        Seconds since the epoch at which the job must be over; none: never.

    Raises
    ------
    VaspSetupError
        If the program is not there.
    """
    from atomate2 import SETTINGS
    from custodian import Custodian
    from custodian.custodian import CustodianError, MaxCorrectionsError
    from custodian.vasp.jobs import VaspJob

    from workflows.engines.vasp.handlers import Deadline

    command = shlex.split(os.path.expandvars(SETTINGS.VASP_CMD))
    gamma = shlex.split(os.path.expandvars(SETTINGS.VASP_GAMMA_CMD))
    if not command or shutil.which(command[0]) is None:
        raise VaspSetupError(
            f"the program {' '.join(command)!r} is not found; put the command that starts VASP "
            "into ATOMATE2_VASP_CMD, 'srun vasp_std' for example"
        )
    deadline = Deadline(end, supervision.buffer)
    for left in ("STOPCAR", "vasprun.xml", "OUTCAR", "OSZICAR", "CONTCAR", "std_err.txt"):
        (folder / left).unlink(missing_ok=True)
    custodian = Custodian(
        [*handlers, deadline],
        [VaspJob(command, gamma_vasp_cmd=gamma, auto_npar=False, backup=False)],
        max_errors=max(1, supervision.restarts),
        polling_time_step=supervision.polling,
        monitor_freq=max(1, round(supervision.monitor / supervision.polling)),
        scratch_dir=SETTINGS.CUSTODIAN_SCRATCH_DIR,
        directory=str(folder),
    )
    errors: tuple[str, ...] = ()
    try:
        custodian.run()
    except (CustodianError, RuntimeError) as error:
        errors = _explain(error, custodian, folder)
        if isinstance(error, MaxCorrectionsError):
            errors = (*errors, "custodian's corrections did not help")
        logger.warning("VASP in %s: %s", folder, "; ".join(errors))
    return Outcome(stopped=deadline.stopped, errors=errors)


def _explain(error: Exception, custodian: object, folder: Path) -> tuple[str, ...]:
    """Name what went wrong: what handlers saw, VASP's known messages, or the return code."""
    from custodian.vasp.handlers import VaspErrorHandler

    seen: list[str] = []
    for entry in getattr(custodian, "run_log", []):
        for correction in entry.get("corrections", []):
            seen += [str(name) for name in correction.get("errors", [])]
    if not seen and (folder / "vasp.out").exists():
        handler = VaspErrorHandler()
        handler.check(directory=str(folder))
        seen = [f"{REPORTED} {name}" for name in sorted(handler.errors)]
    return tuple(dict.fromkeys(seen)) or (explain_end(str(error), folder),)


def tidy(folder: Path) -> None:
    """Remove what nobody reads and compress the rest, as atomate2's settings say."""
    from atomate2 import SETTINGS
    from atomate2.common.files import gzip_output_folder

    for name in LITTER:
        (folder / name).unlink(missing_ok=True)
    (folder / "POTCAR").unlink(missing_ok=True)
    # wave functions stay as they are: the next segment wants them
    setting = "atomate" if SETTINGS.VASP_ZIP_FILES else False
    gzip_output_folder(directory=folder, setting=setting, files_list=list(KEPT))


def seconds_left(end: float | None) -> float:
    """Time until the job must be over, in s; infinite without a limit."""
    return float("inf") if end is None else end - time.time()
