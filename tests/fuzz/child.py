"""
Types command lines within this process, one after the other.

A case is a line of standard input, its outcome one of standard output. Where a command would start
jobs, a training or a search, or a server, it has been taken: it goes no further.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.fuzz.case import Case, Outcome
from tests.fuzz.samples import HERE

#: Bytes of address space: what asks for more gets a MemoryError, and the machine lives.
MEMORY = 12 * 2**30
LONGEST_OUTPUT = 20_000


class Reached(BaseException):
    """A command got as far as to where jobs begin."""


def _begin(*_: Any, **__: Any) -> NoReturn:
    raise Reached


def _run_campaign(campaign: Any, build_flow: Any, **_: Any) -> NoReturn:
    build_flow()
    raise Reached


def _train(frames: Any, options: Any, **more: Any) -> Any:
    """Train in earnest if it is short."""
    if options.max_epochs == 2:
        return ORIGINALS["nnp.training.trainer:train"](frames, options, **more)
    raise Reached


def _sleep(seconds: float) -> NoReturn:
    """Wait for a moment, if it is a time that can be waited for."""
    time.sleep(1e-9 * seconds)
    raise Reached


#: What is put in place of what starts processes, or takes long.
STOPS: dict[str, Any] = {
    "launch.local.runner:run_campaign": _run_campaign,
    "search.run.processes:run_islands": _begin,
    "nnp.training.trainer:train": _train,
    "launch.database.embedded:EmbeddedDatabase.start": _begin,
    "launch.commands.shared.repeat:time": SimpleNamespace(sleep=_sleep),
    "launch.cluster.configuration:PATIENCE": 0.3,
    "launch.cluster.doctor:PATIENCE": 0.3,
}
ORIGINALS: dict[str, Any] = {}


def put_stops() -> None:
    """Put the stops in."""
    for path, stop in STOPS.items():
        module, _, name = path.partition(":")
        owner: Any = importlib.import_module(module)
        *parts, last = name.split(".")
        for part in parts:
            owner = getattr(owner, part)
        ORIGINALS[path] = getattr(owner, last)
        setattr(owner, last, stop)


@contextmanager
def _placed(case: Case, folder: Path) -> Iterator[None]:
    """Put the files of a case where it is typed, and go there."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.replace(HERE.encode(), bytes(folder)))
    before = dict(os.environ)
    os.environ.update(case.environment)
    os.environ["XDG_STATE_HOME"] = str(folder / ".state")
    os.environ["HOME"] = os.environ["XDG_CONFIG_HOME"] = str(folder / ".home")
    os.chdir(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir("/")


@contextmanager
def _captured(out: Path, err: Path) -> Iterator[None]:
    """Send what is printed, by compiled code too, to files."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, handle in zip((1, 2), kept, strict=True):
            os.dup2(handle, number)
            os.close(handle)


def type_in(case: Case) -> Outcome:
    """Type one command line."""
    from launch import cli
    from workflows.jobs import site

    site._read.cache_clear()
    # one folder deeper, so that .. is nobody else's
    outside = Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder = outside / "here"
    folder.mkdir()
    code: int | None = 0
    reached = False
    with tempfile.TemporaryDirectory() as printed:
        out, err = Path(printed) / "out", Path(printed) / "err"
        with _placed(case, folder), _captured(out, err):
            started = time.monotonic()
            sys.argv = ["devitrify", *case.arguments]
            try:
                cli.main()
            except Reached:
                reached = True
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException:
                import traceback

                traceback.print_exc()
                code = 1
            seconds = time.monotonic() - started
        for handler in logging.getLogger().handlers[:]:
            logging.getLogger().removeHandler(handler)
            handler.close()
        output, error = (path.read_text(errors="replace")[:LONGEST_OUTPUT] for path in (out, err))
    trace = _trace(folder)
    shutil.rmtree(outside, ignore_errors=True)
    return Outcome(code, output, error, seconds, trace, reached)


def _trace(folder: Path) -> str:
    """Return the traceback of a defect, from the log in which it was kept."""
    for path in (*folder.glob(".state/devitrify/errors.log"), *folder.glob("*/devitrify.log")):
        text = path.read_text(errors="replace")
        if "Traceback" in text:
            return text[-LONGEST_OUTPUT:]
    return ""


def main() -> None:
    """Type what is asked for until nothing is."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    asked = os.fdopen(os.dup(0), "r")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    put_stops()
    print("ready", file=answers, flush=True)
    for line in asked:
        outcome = type_in(Case.from_json(line))
        print(json.dumps(asdict(outcome)), file=answers, flush=True)


if __name__ == "__main__":
    main()
