"""
Islands in processes of one machine, with a file for the state of each.

All run a block, in processes as many as are allowed; then what each has best is written down, and
every island takes in the others' best before its next block. Processes do not change the outcome:
the same seeds give the same search.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnp.storage.files import write_atomically
from search.candidate import MIGRANT, pack_atoms, unpack_atoms
from search.run.driver import (
    SearchFigures,
    SearchStateError,
    load,
    read_object,
    run_generations,
    save,
)
from search.run.islands import exchange, island_paths
from search.state.individual import Individual

if TYPE_CHECKING:
    from search.relax.energy import BatchEnergy
    from search.relax.relaxer import Relaxer
    from search.state.evolution import Evolution

Progress = Callable[[int, SearchFigures], None]
"""Is told the number of an island, from 0, and where it stands."""


@dataclass(frozen=True)
class IslandOptions:
    """
    How islands run and exchange.

    Attributes
    ----------
    block : int
        Generations between two exchanges.
    migrants : int
        Best structures each island gets from each other one.
    processes : int
        Islands that run at the same time.
    threads : int
        Threads of each.
    n_best : int
        Structures that are reported in the end, and relaxed on to the tight limits for it.
    """

    block: int = 10
    migrants: int = 3
    processes: int = 1
    threads: int = 1
    n_best: int = 0


@dataclass(frozen=True)
class _Block:
    """What a process needs to run a block of one island."""

    island: int
    path: Path
    exchanged: Path
    until: int
    relaxer: Relaxer
    options: IslandOptions


def run_islands(
    evolutions: Sequence[Evolution],
    relaxer: Relaxer,
    energy: Callable[[], BatchEnergy],
    folder: Path,
    options: IslandOptions,
    progress: Progress | None = None,
) -> list[Evolution]:
    """
    Run islands until all are finished; go on where an earlier run stopped.

    Parameters
    ----------
    evolutions : sequence of Evolution
        The islands at their start.
    relaxer : Relaxer
        How structures are relaxed.
    energy : callable
        Makes the energy; called once in each process, so it must be importable there.
    folder : Path
        Of the states.
    options : IslandOptions
        Blocks, exchange, processes.
    progress : callable or None
        Called after each generation of each island.

    Returns
    -------
    list of Evolution
        The islands as they ended.
    """
    paths = island_paths(folder, len(evolutions))
    for path, evolution in zip(paths, evolutions, strict=True):
        if not path.exists():
            save(evolution, path)
    exchanged = folder / "exchange.json"
    done = _exchange_of(exchanged, len(evolutions))[0] if exchanged.exists() else 0
    with _Pool(energy, options, progress) as run:
        finished = False
        while not finished:
            blocks = [
                _Block(island, path, exchanged, done + options.block, relaxer, options)
                for island, path in enumerate(paths)
            ]
            outcomes = run(blocks)
            finished = all(outcome[0] for outcome in outcomes)
            done += options.block
            best = [outcome[1] for outcome in outcomes]
            write_atomically(exchanged, json.dumps({"generation": done, "best": best}))
    return [load(path) for path in paths]


def _run_block(
    block: _Block, energy: BatchEnergy, progress: Progress | None
) -> tuple[bool, list[dict[str, Any]]]:
    """Take one island through a block; whether it is finished, and its best."""
    evolution = load(block.path)
    at_start = evolution.generation == block.until - block.options.block
    if at_start and block.exchanged.exists():
        # nothing of this block is saved yet: migrants come in, or came in to what was lost
        best_of_all = _exchange_of(block.exchanged)[1]
        del best_of_all[block.island]
        exchange(evolution, [[_unpack(migrant) for migrant in best] for best in best_of_all])
    run = functools.partial(
        run_generations, relaxer=block.relaxer, energy=energy, threads=block.options.threads
    )

    def tell(figures: SearchFigures) -> None:
        if progress is not None:
            progress(block.island, figures)

    def save_and_tell(figures: SearchFigures) -> None:
        # what was told is never done again
        save(evolution, block.path)
        tell(figures)

    if evolution.generation < block.until:
        run(evolution, generations=block.until, progress=save_and_tell)
    if evolution.finished:
        evolution = run(
            evolution,
            generations=evolution.generation,
            progress=tell,
            checkpoint=block.path,
            n_best=block.options.n_best,
        )
    best = evolution.best(block.options.migrants)
    return evolution.finished, [_pack(member) for member in best]


def _exchange_of(path: Path, islands: int | None = None) -> tuple[int, list[list[dict[str, Any]]]]:
    """Generations done at the last exchange, and what each island had best."""
    told = read_object(path)
    generation, best = told.get("generation"), told.get("best")
    if not isinstance(generation, int) or not isinstance(best, list):
        raise SearchStateError(f"{path} is no exchange of islands: begin in another folder")
    if islands is not None and len(best) != islands:
        raise SearchStateError(f"{path} is of {len(best)} islands: begin in another folder")
    return generation, best


def _pack(member: Individual) -> dict[str, Any]:
    return {
        "formula_units": member.formula_units,
        "energy": member.energy,
        "fitness": member.fitness,
        "volume": member.volume,
        "status": member.status,
        "space_group": member.space_group,
        "uncertainty": member.uncertainty,
        "of_prototype": member.of_prototype,
        "atoms": pack_atoms(member.structure),
    }


def _unpack(packed: dict[str, Any]) -> Individual:
    return Individual(
        id=0,
        generation=0,
        operator=MIGRANT,
        parents=(),
        formula_units=packed["formula_units"],
        energy=packed["energy"],
        fitness=packed["fitness"],
        volume=packed["volume"],
        status=packed["status"],
        atoms=unpack_atoms(packed["atoms"]),
        space_group=packed["space_group"],
        uncertainty=packed.get("uncertainty"),
        of_prototype=packed.get("of_prototype", False),
    )


class _Pool:
    """Runs blocks, in this process or in several; `with` gives what runs them."""

    def __init__(
        self,
        energy: Callable[[], BatchEnergy],
        options: IslandOptions,
        progress: Progress | None,
    ) -> None:
        self.energy, self.options, self.progress = energy, options, progress
        self.executor: ProcessPoolExecutor | None = None
        self.failure: BaseException | None = None

    def __enter__(self) -> Callable[[list[_Block]], list[tuple[bool, list[dict[str, Any]]]]]:
        if self.options.processes == 1:
            energy = self.energy()
            return lambda blocks: [_run_block(b, energy, self.progress) for b in blocks]
        context = multiprocessing.get_context("spawn")
        self.others = set(multiprocessing.active_children())
        self.reader, self.writer = context.Pipe(duplex=False)
        self.executor = ProcessPoolExecutor(
            self.options.processes,
            mp_context=context,
            initializer=_start_process,
            initargs=(self.energy, self.writer, context.Lock()),
        )
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        return self._run

    def _run(self, blocks: list[_Block]) -> list[tuple[bool, list[dict[str, Any]]]]:
        assert self.executor is not None
        outcomes = list(self.executor.map(_run_here, blocks))
        if self.failure is not None:
            raise self.failure
        return outcomes

    def __exit__(self, *exception: object) -> None:
        if self.executor is None:
            return
        # after an error nobody waits for islands that are in the middle of a block
        if exception[0] is not None:
            for process in set(multiprocessing.active_children()) - self.others:
                process.terminate()
        self.executor.shutdown(cancel_futures=True)
        # The last end that anybody writes to: the listener reads what is there and ends, also if
        # a process was ended in the middle of a report or holds the lock for ever.
        self.writer.close()
        self.listener.join()
        self.reader.close()
        if self.failure is not None and exception[0] is None:
            raise self.failure

    def _listen(self) -> None:
        """
        Pass on what the processes report, until there is nothing more to come.

        After an error in telling it goes on reading: processes would wait for it for ever.
        """
        while True:
            try:
                told = self.reader.recv()
            except (EOFError, OSError):
                return
            if self.progress is None or self.failure is not None:
                continue
            try:
                self.progress(*told)
            except BaseException as error:
                self.failure = error


_here: dict[str, Any] = {}
"""Energy of a process of the pool, and the pipe and its lock by which it reports."""


def _start_process(energy: Callable[[], BatchEnergy], writer: Connection, lock: Any) -> None:
    """Prepare a process of the pool, which ends with the one that started it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _here.update(energy=energy(), writer=writer, lock=lock)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _run_here(block: _Block) -> tuple[bool, list[dict[str, Any]]]:
    """Run a block in a process of the pool."""

    def tell(island: int, figures: SearchFigures) -> None:
        with _here["lock"]:
            _here["writer"].send((island, figures))

    return _run_block(block, _here["energy"], tell)
