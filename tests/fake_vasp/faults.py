"""
Faults on demand: what goes wrong, when, and what makes it go away.

A fault is written ``NAME [KEY VALUE]...``, several are separated by commas, for example
``brmix run md call 2 step 5, sigkill run static call 1``. They come from the environment variable
``FAKE_VASP_FAULTS`` and the INCAR tag ``FAKE_VASP_FAULTS``; ``none`` in the former does away with
those of the latter.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fake_vasp.incar import Incar, InputError
from tests.fake_vasp.settings import Kind

#: Known faults, each with the tags whose change makes it go away. Where there are none, only
#: the fault's own ``call`` keeps it from happening again.
FAULTS: dict[str, tuple[str, ...]] = {
    "unconverged": ("ALGO", "AMIX", "BMIX"),
    "brmix": ("IMIX", "ISTART", "ISYM", "AMIX", "BMIX"),
    "zpotrf": ("POTIM", "ISYM", "NCORE"),
    "positive_energy": ("ALGO", "POTIM"),
    "nan_forces": ("ALGO", "POTIM"),
    "sigkill": (),
    "segv": (),
    "sigterm": (),
    "error_exit": (),
    "disk_full": (),
    "hang": (),
    "slow": (),
    "cut_xml": (),
    "empty_contcar": (),
}


@dataclass(frozen=True)
class Fault:
    """
    A fault that was asked for.

    Parameters
    ----------
    name : str
        One of :data:`FAULTS`.
    run : Kind or None
        Kind of runs it strikes; all if none.
    call : int or None
        Number of the run it strikes, counted from one among those of that kind; all if none.
    begin : int
        Number of the first of the runs that it strikes.
    step : int
        Ionic step at which it strikes; for lasting ones, the first.
    steps : int or None
        How many ionic steps it lasts; to the end if none.
    cure : tuple of str
        Tags whose change makes it go away, ``none`` for nothing.
    """

    name: str
    run: Kind | None = None
    call: int | None = None
    begin: int = 1
    step: int = 1
    steps: int | None = None
    cure: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Fault:
        """
        Read one fault.

        Raises
        ------
        InputError
            If the name, a key or a value is not known.
        """
        name, *words = text.lower().split()
        if name not in FAULTS:
            raise InputError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
        options: dict[str, Any] = {"cure": FAULTS[name]}
        for key, value in zip(words[::2], words[1::2], strict=False):
            if key in ("call", "from", "step", "steps") and value.isdigit():
                options["begin" if key == "from" else key] = int(value)
            elif key == "run" and value in ("static", "relax", "md"):
                options[key] = value
            elif key == "cure":
                options[key] = () if value == "none" else tuple(value.upper().split("+"))
            else:
                raise InputError(f"the fault {text!r} has an unknown {key} {value}")
        if len(words) % 2:
            raise InputError(f"the fault {text!r} lacks the value of {words[-1]}")
        return cls(name, **options)


class Faults:
    """
    Faults that strike this run.

    Parameters
    ----------
    faults : list of Fault
        Those left after counting calls and looking for cures.
    """

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def active(self, name: str, step: int) -> bool:
        """Whether a lasting fault is on at an ionic step (from one)."""
        return any(
            fault.name == name
            and step >= fault.step
            and (fault.steps is None or step < fault.step + fault.steps)
            for fault in self.faults
        )

    def strikes(self, name: str, step: int, last: int) -> bool:
        """Whether a sudden fault comes at this ionic step, or at the last one if that is sooner."""
        return any(fault.name == name and step == min(fault.step, last) for fault in self.faults)

    def any(self, name: str) -> bool:
        """Whether a fault without a step is on."""
        return any(fault.name == name for fault in self.faults)


def find_faults(folder: Path, incar: Incar, kind: Kind) -> Faults:
    """
    Count this run and find the faults that strike it.

    Parameters
    ----------
    folder : Path
        The run's; keeps the counts unless ``FAKE_VASP_STATE`` names a file, which may be shared
        by runs in other folders and at the same time.
    incar : Incar
        Tags, for faults asked for there and for cures.
    kind : Kind
        What this run does.
    """
    requests = [os.environ.get("FAKE_VASP_FAULTS", ""), incar.text("FAKE_VASP_FAULTS", "")]
    if requests[0] == "none":
        requests = []
    words = [word.strip() for request in requests for word in request.split(",")]
    faults = [Fault.parse(word) for word in words if word]
    if not faults and "FAKE_VASP_STATE" not in os.environ:
        return Faults([])
    file = Path(os.environ.get("FAKE_VASP_STATE", folder / "fake_vasp_state.json"))
    with _locked(file) as state:
        calls = state.setdefault("calls", {})
        for key in ("all", kind):
            calls[key] = calls.get(key, 0) + 1
        return Faults([fault for fault in faults if _strikes(fault, state, incar, kind)])


def _strikes(fault: Fault, state: dict[str, Any], incar: Incar, kind: Kind) -> bool:
    if fault.run not in (None, kind):
        return False
    number = state["calls"][fault.run or "all"]
    if number < fault.begin or (fault.call is not None and number != fault.call):
        return False
    now = {tag: incar.text(tag, "") for tag in fault.cure}
    seen = state.setdefault("seen", {}).setdefault(f"{fault.name} {kind}", now)
    return bool(all(now[tag] == seen.get(tag, "") for tag in fault.cure))


@contextmanager
def _locked(file: Path) -> Iterator[dict[str, Any]]:
    """Content of a JSON file, written back at the end, with other processes kept out."""
    with file.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        text = stream.read()
        state = json.loads(text) if text else {}
        yield state
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(state))
