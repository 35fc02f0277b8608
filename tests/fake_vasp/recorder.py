"""Where ionic steps go: into the files, past STOPCAR, through the faults."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from contextlib import ExitStack
from types import TracebackType
from typing import NoReturn, TextIO

from tests.fake_vasp.faults import Faults
from tests.fake_vasp.job import Job
from tests.fake_vasp.kpoints import ibzkpt
from tests.fake_vasp.logs import OszicarWriter, XdatcarWriter
from tests.fake_vasp.outcar import OutcarWriter
from tests.fake_vasp.poscar import System, contcar
from tests.fake_vasp.state import IonicStep
from tests.fake_vasp.vasprun import VasprunWriter

#: Seconds that an ionic step takes longer by the fault ``slow``.
SLOW = 0.25

_SIGNALS = {"sigkill": signal.SIGKILL, "segv": signal.SIGSEGV, "sigterm": signal.SIGTERM}


class FatalError(Exception):
    """VASP gives up; the message has been written."""


class Recorder:
    """
    Writes the output files of a run, step by step.

    Parameters
    ----------
    job : Job
        Inputs of the run.
    faults : Faults
        What is to go wrong.
    output : TextIO
        Standard output.
    """

    def __init__(self, job: Job, faults: Faults, output: TextIO) -> None:
        self.job, self.faults, self.output = job, faults, output
        self.stopped = ""
        self._parent = os.getppid()
        self._began = self._before = time.perf_counter()
        self._simulated = 0.0
        self._files = ExitStack()

    def __enter__(self) -> Recorder:
        folder = self.job.folder
        names = ("vasprun.xml", "OUTCAR", "OSZICAR", "XDATCAR")
        streams = [self._files.enter_context((folder / name).open("w")) for name in names]
        self._streams = [*streams, self.output]
        self.vasprun = VasprunWriter(streams[0], self.job)
        self.outcar = OutcarWriter(streams[1], self.job)
        self.log = OszicarWriter(streams[2], self.output, self.job)
        self.xdatcar = XdatcarWriter(streams[3], self.job)
        self.log.start()
        self.vasprun.start()
        self.outcar.start()
        self.xdatcar.start()
        (folder / "IBZKPT").write_text(ibzkpt(self.job.mesh))
        self._write_contcar(self.job.system)
        self._flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    def record(self, step: IonicStep) -> bool:
        """
        Write an ionic step.

        Returns
        -------
        bool
            Whether STOPCAR says that it was the last one.

        Raises
        ------
        FatalError
            If VASP ends here by a fault, or the parent process has ended.
        OSError
            If the disk is full by a fault.
        """
        self._count()
        slow = SLOW if self.faults.active("slow", step.number) else 0.0
        time.sleep(slow + float(os.environ.get("FAKE_VASP_SLEEP", "0")))
        if os.getppid() != self._parent:  # nothing that a test started may outlive it for long
            raise FatalError
        seconds = self._seconds(step)
        self._break(step, seconds)
        self.stopped = self._stopcar()
        step.is_last = step.is_last or bool(self.stopped)
        self.vasprun.step(step, seconds)
        self.outcar.step(step, seconds)
        self.log.step(step)
        self.xdatcar.step(step)
        self._write_contcar(step.system)
        self._flush()
        return bool(self.stopped)

    def finish(self, system: System, accurate: bool) -> None:
        """
        Write the ends of all files.

        Parameters
        ----------
        system : System
            Final structure.
        accurate : bool
            Whether a relaxation met its criterion.
        """
        if accurate:
            message = "reached required accuracy - stopping structural energy minimisation"
            self.log.say(message)
            self.outcar.stream.write(f"\n {message}\n")
        if self.stopped:
            self.log.say(f"{self.stopped} stop encountered!  aborting job ...")
            (self.job.folder / "STOPCAR").unlink(missing_ok=True)
        self.vasprun.finish(system)
        elapsed = self._simulated or time.perf_counter() - self._began
        self.outcar.finish(self.stopped, elapsed)
        self._write_contcar(system)
        self._flush()
        if self.faults.any("empty_contcar"):
            (self.job.folder / "CONTCAR").write_text("")
        if self.faults.any("cut_xml"):
            file = self.job.folder / "vasprun.xml"
            os.truncate(file, int(0.6 * file.stat().st_size))

    def _count(self) -> None:
        """Note that a step was computed, whatever becomes of it."""
        if path := os.environ.get("FAKE_VASP_STEPS"):
            with open(path, "a") as file:  # noqa: PTH123 (one write, to append whole lines)
                file.write(f"{self.job.folder.resolve()}\n")

    def _break(self, step: IonicStep, seconds: float) -> None:
        """Let the faults strike that belong to this step."""
        n_steps = self.job.settings.n_steps

        def strikes(name: str) -> bool:
            return self.faults.strikes(name, step.number, n_steps)

        if strikes("brmix"):
            self.log.say("BRMIX: very serious problems\n the old and the new charge density differ")
        if strikes("zpotrf"):
            self.log.say("LAPACK: Routine ZPOTRF failed!")
            raise FatalError
        if strikes("hang"):
            self._flush()
            _hang(self._parent)
        if strikes("disk_full"):
            self.vasprun.step(step, seconds, part=0.5)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "vasprun.xml")
        for name, number in _SIGNALS.items():
            if strikes(name):
                self.vasprun.step(step, seconds, part=0.5)
                self._flush()
                os.kill(os.getpid(), number)
                time.sleep(60)  # the signal ends the process before

    def _stopcar(self) -> str:
        file = self.job.folder / "STOPCAR"
        if not file.exists():
            return ""
        text = file.read_text().upper()
        if re.search(r"LABORT\s*=\s*\.?T", text):
            return "hard"
        return "soft" if re.search(r"LSTOP\s*=\s*\.?T", text) else ""

    def _seconds(self, step: IonicStep) -> float:
        """Time the step took, or should have taken on the machine that is simulated."""
        now = time.perf_counter()
        measured, self._before = now - self._before, now
        cost = float(os.environ.get("FAKE_VASP_COST", "0"))
        if not cost:
            return measured
        settings = self.job.settings
        seconds = cost * len(step.loop.energies) * len(self.job.mesh.points)
        seconds *= (settings.encut / 300) ** 1.5 * (step.system.n_atoms / 100) ** 2
        self._simulated += seconds
        return seconds

    def _write_contcar(self, system: System) -> None:
        (self.job.folder / "CONTCAR").write_text(contcar(system))

    def _flush(self) -> None:
        for stream in self._streams:
            stream.flush()


def _hang(parent: int) -> NoReturn:
    """Do nothing for ever, but not longer than the parent process lives."""
    while os.getppid() == parent:
        time.sleep(0.2)
    raise FatalError
