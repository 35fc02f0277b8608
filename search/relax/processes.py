"""
Work of a search shared out to processes of this machine.

The steps of a relaxation on a neural network potential take less than a millisecond, a good part of
it in the interpreter, so that threads wait for each other: two are no faster than one. Processes
are, and they stay between generations, since one takes a second or two to start.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_PROCESSES = 16
"""More gain little: a generation has some tens of structures."""
IDLE_SECONDS = 20.0
"""After which a process that has nothing to do ends."""

_helpers_seconds = 0.0
"""CPU time of what other processes have done for this one."""


def cpu_seconds() -> float:
    """CPU time (s) of this process and of what others have done for it by `side_by_side`."""
    return time.process_time() + _helpers_seconds


def side_by_side(
    work: Callable[[Task], Result], tasks: Sequence[Task], processes: int
) -> list[Result]:
    """
    Do the first of some tasks here, and the others in other processes at the same time.

    Where there can be no other processes, or one is killed, what is left is done here.

    Parameters
    ----------
    work : callable
        Of a module, since other processes import it; its result must not depend on where it is
        done.
    tasks : sequence
        What to do; they are sent to the processes.
    processes : int
        At the most, this one included.

    Returns
    -------
    list
        Results in the order of the tasks.
    """
    global _helpers_seconds
    if len(tasks) < 2 or processes < 2 or multiprocessing.current_process().daemon:
        return [work(task) for task in tasks]
    from loky import get_reusable_executor

    try:
        executor = get_reusable_executor(
            processes - 1, timeout=IDLE_SECONDS, initializer=_begin, initargs=(os.getpid(),)
        )
        futures = [executor.submit(_timed, work, task) for task in tasks[1:]]
    except (BrokenProcessPool, OSError) as error:
        logger.warning("no other process can be had: %s", error)
        return [work(task) for task in tasks]
    results = [work(tasks[0])]
    for task, future in zip(tasks[1:], futures, strict=True):
        try:
            result, seconds = future.result()
            _helpers_seconds += seconds
        except BrokenProcessPool as error:
            logger.warning("a process that shared the work ended: %s", error)
            result = work(task)
        results.append(result)
    return results


def _timed(work: Callable[[Task], Result], task: Task) -> tuple[Result, float]:
    started = time.process_time()
    result = work(task)
    return result, time.process_time() - started


def _begin(parent: int) -> None:
    """Prepare a process: it ends with the one that it works for, which also takes interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
