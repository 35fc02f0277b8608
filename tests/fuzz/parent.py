"""Has cases tried by processes of their own, which may hang or die."""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.case import Case, Outcome

ROOT = Path(__file__).parents[2]
#: Seconds in which a command must have answered.
LIMIT = 30.0
START_SECONDS = 120.0


class Child:
    """A process that tries one case after the other; it is replaced where one takes it down."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.scratch = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)

    def try_out(self, case: Case, limit: float = LIMIT) -> Outcome:
        """Try a case."""
        if self.process is None:
            self.process = self._start()
        process = self.process
        assert process.stdin is not None
        try:
            process.stdin.write(case.to_json() + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.end()
            return Outcome(None, end="crash")
        line = self._answer(process, limit)
        if line is None:
            self.end()
            return Outcome(None, end="hang", seconds=limit)
        if not line:
            self.end()
            return Outcome(None, end="crash", error=f"exit code {process.returncode}")
        return Outcome(**json.loads(line))

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """End the process and remove what it left."""
        self.end()
        self.scratch.cleanup()

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
                       "COLUMNS": "200", "PYTHONUTF8": "1",
                       "TMPDIR": self.scratch.name}  # fmt: skip
        for name in ("DEVITRIFY_CONFIG", "DEVITRIFY_DB"):
            environment.pop(name, None)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child"], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if not self._answer(process, START_SECONDS):
            process.kill()
            raise RuntimeError("the process that tries the cases does not start")
        return process

    @staticmethod
    def _answer(process: subprocess.Popen[str], seconds: float) -> str | None:
        """Return the next line; none if it does not come in time."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        return process.stdout.readline()


def try_all(cases: Sequence[Case], tell: Callable[[Case, Outcome], None], workers: int = 1) -> None:
    """
    Try all cases.

    Parameters
    ----------
    cases : sequence of Case
    tell : callable
        Is told of each outcome, one at a time.
    workers : int
        Processes.
    """
    left: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        left.put(case)
    lock = threading.Lock()

    def work() -> None:
        child = Child()
        try:
            while True:
                try:
                    case = left.get_nowait()
                except queue.Empty:
                    return
                outcome = child.try_out(case)
                with lock:
                    tell(case, outcome)
        finally:
            child.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
