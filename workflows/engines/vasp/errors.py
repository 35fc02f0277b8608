"""What can go wrong with VASP, in words, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

#: Names of what the handlers see.
UNCONVERGED = "electrons do not converge"
POSITIVE = "the energy is positive"
NOT_FINITE = "the energy is not a number"
HANGS = "VASP hangs"

#: Names of what the end of a run tells.
DISK_FULL = "VASP could not write its files"
KILLED = "VASP was ended by signal"
JOB_KILLED = "the job was killed"

#: How the name of an error begins that VASP's output tells.
REPORTED = "VASP reports"

#: Errors after which the same electronic minimiser would fail again.
ELECTRONIC = (UNCONVERGED, POSITIVE, NOT_FINITE)

_MINIMISER = (
    "look at the electronic steps in OSZICAR in {folder}; vasp.incar=ALGO=All, more "
    "vasp.max_electronic_steps or more vasp.smearing may help"
)
_ADVICE = {
    UNCONVERGED: _MINIMISER,
    POSITIVE: _MINIMISER,
    NOT_FINITE: _MINIMISER,
    HANGS: "see whether the node and its file system still answer, or raise "
    "vasp.supervision.hang_timeout",
    DISK_FULL: "free some space or quota for {folder}",
    KILLED: "see whether memory was short on the node",
}
_WRITING_FAILED = re.compile(r"severe \(38\)|No space left|Disk quota exceeded")


class VaspError(RuntimeError):
    """VASP failed, and no remedy helped."""


class TimeOverError(TimeoutError):
    """The job's time is over; what is done is kept, and another launch does the rest."""


class UnconvergedError(VaspError):
    """Too many steps of dynamics went without electronic convergence."""


def advise(errors: Sequence[str], folder: Path) -> str:
    """
    Say what to do about errors that no remedy helped.

    Parameters
    ----------
    errors : sequence of str
        In words, of a run of VASP.
    folder : Path
        Where it ran.
    """
    for error in errors:
        for name, advice in _ADVICE.items():
            if error.startswith(name):
                return advice.format(folder=folder)
    return f"see vasp.out, std_err.txt and OUTCAR in {folder}"


def explain_end(message: str, folder: Path) -> str:
    """
    Say in words why a run of VASP ended that left no message of its own.

    Parameters
    ----------
    message : str
        What custodian says, the return code among it.
    folder : Path
        Where VASP ran.
    """
    errors = folder / "std_err.txt"
    if errors.exists() and _WRITING_FAILED.search(errors.read_text(errors="replace")):
        return DISK_FULL
    code = re.search(r"return code is (-?\d+)", message)
    if code is None:
        return message
    number = int(code.group(1))
    # a shell or mpirun gives 128 and the signal where a process of its own was ended
    if number < 0 or 128 < number < 160:
        return f"{KILLED} {abs(number) % 128}"
    return f"VASP ended with status {number}"
