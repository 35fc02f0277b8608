from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.run.driver import SearchFigures, run_generations
from search.run.islands import (
    change_budget,
    island_paths,
    merge_archives,
    set_up_islands,
    summarise,
)
from search.run.processes import IslandOptions, Progress, _Pool, run_islands
from search.state.evolution import Evolution


def emt() -> AseEnergy:
    """Made anew in each process."""
    return AseEnergy(EMT(), ("Cu", "Au"))


def _islands(structures: int = 16) -> list[Evolution]:
    options = EvolutionOptions(
        formula_units=(1, 2),
        population=4,
        generations=1000,
        max_structures=structures,
        volume_per_atom=14.0,
    )
    return [Evolution({"Cu": 1, "Au": 1}, options, seed) for seed in (1, 2)]


RELAXER = Relaxer(RelaxationLimits(max_steps=60))


def _energies(islands: list[Evolution]) -> list[list[float]]:
    return [[i.energy for i in island.individuals] for island in islands]


def _run(
    folder: Path, structures: int = 16, processes: int = 1, progress: Progress | None = None
) -> list[Evolution]:
    options = IslandOptions(block=2, migrants=2, processes=processes)
    return run_islands(_islands(structures), RELAXER, emt, folder, options, progress)


def test_islands_exchange_their_best_after_each_block(tmp_path: Path) -> None:
    told = []

    def tell(island: int, figures: SearchFigures) -> None:
        told.append((island, figures.generation))
        # a kill from now on does not lose what was told
        saved = json.loads(island_paths(tmp_path, 2)[island].read_text())
        assert saved["generation"] == figures.generation

    islands = _run(tmp_path, progress=tell)
    assert [island.structures for island in islands] == [16, 16]
    assert all(0 < island.migrants <= 4 for island in islands)
    assert told == [(0, 1), (0, 2), (1, 1), (1, 2), (0, 3), (0, 4), (1, 3), (1, 4)]
    migrants = [i for island in islands for i in island.individuals if i.operator == "island"]
    assert all(migrant.generation == 2 for migrant in migrants)
    best = merge_archives(islands)
    assert best[0].energy == min(island.best_energy for island in islands)
    assert all(member.operator != "island" for member in best)


@pytest.mark.slow
def test_processes_do_not_change_the_outcome_and_finished_islands_stay(tmp_path: Path) -> None:
    alone, beside = _run(tmp_path / "one"), _run(tmp_path / "two", processes=2)
    np.testing.assert_array_equal(_energies(alone), _energies(beside))
    told = []
    again = _run(tmp_path / "one", progress=lambda *news: told.append(news))
    np.testing.assert_array_equal(_energies(again), _energies(alone))
    assert not told


def test_a_stopped_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = _run(tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(wanted: tuple[int, int], island: int, figures: SearchFigures) -> None:
        if (island, figures.generation) == wanted:
            raise StopError

    for wanted in ((0, 2), (1, 2), (1, 3)):
        with pytest.raises(StopError):
            _run(tmp_path / "cut", progress=functools.partial(stop, wanted))
    np.testing.assert_array_equal(_energies(_run(tmp_path / "cut")), _energies(whole))


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys
            from pathlib import Path
            sys.path.insert(0, sys.argv[2])
            from search.run.processes import IslandOptions, run_islands
            from tests.search import test_islands as t

            def energy():
                Path(sys.argv[1], str(os.getpid())).touch()
                return t.emt()

            if __name__ == "__main__":
                run_islands(t._islands(100000), t.RELAXER, energy, Path(sys.argv[1], "states"),
                            IslandOptions(processes=2))
            """
        )
    )
    pids = tmp_path / "pids"
    pids.mkdir()
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script), str(pids), str(root)],
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    started: list[int] = []
    try:
        deadline = time.monotonic() + 180
        while len(started) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
            started = [int(p.name) for p in pids.iterdir() if p.name.isdigit()]
        assert len(started) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while any(_running(pid) for pid in started) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(_running(pid) for pid in started)
    finally:
        for pid in (process.pid, *started):
            if _running(pid):
                os.kill(pid, signal.SIGKILL)


def _running(pid: int) -> bool:
    """Whether a process exists and is more than an entry that waits to be collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


class ToldError(Exception):
    """What telling ends with."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("torn", [b"", b"\0\0"], ids=["whole", "torn report"])
def test_an_error_in_telling_ends_the_search_and_blocks_nobody(torn: bytes) -> None:
    """Whoever reports goes on, though nobody listens any more, even in a torn report's wake."""

    def refuse(island: int, figures: SearchFigures) -> None:
        raise ToldError

    pool = _Pool(emt, IslandOptions(processes=2), refuse)
    run = pool.__enter__()
    for _ in range(2000):  # far more than a pipe holds
        pool.writer.send((0, "x" * 1000))
    os.write(pool.writer.fileno(), torn)
    with pytest.raises(ToldError) as raised:
        run([])
    pool.__exit__(ToldError, raised.value, None)
    assert not pool.listener.is_alive()


def test_states_are_files_of_their_own(tmp_path: Path) -> None:
    _run(tmp_path, structures=4)
    assert island_paths(tmp_path, 2)[1].exists()
    assert json.loads((tmp_path / "exchange.json").read_text())["generation"] == 2


def test_budget_and_structures_are_divided_among_islands() -> None:
    options = EvolutionOptions(formula_units=(1,), max_structures=8)
    structures = [bulk("Cu", "fcc", a=a) for a in (3.5, 3.6, 3.7, 3.8)]
    islands = set_up_islands({"Cu": 1}, options, [5, 6, 7], structures)
    assert [island.options.max_structures for island in islands] == [3, 3, 2]
    assert [island.seed for island in islands] == [5, 6, 7]
    assert [len(island.seeds) for island in islands] == [2, 1, 1]
    endless = set_up_islands({"Cu": 1}, EvolutionOptions(formula_units=(1,)), [5, 6])
    assert [island.options.max_structures for island in endless] == [None, None]
    with pytest.raises(ValueError, match="2 structures are too few for 3 islands"):
        set_up_islands({"Cu": 1}, EvolutionOptions(max_structures=2), [5, 6, 7])


def test_one_island_is_the_search_without_islands(tmp_path: Path) -> None:
    """Blocks and files do not change what is found."""
    (alone,) = run_islands(_islands(12)[:1], RELAXER, emt, tmp_path, IslandOptions(block=2))
    plain = run_generations(_islands(12)[0], RELAXER, emt(), 1000)
    np.testing.assert_array_equal(_energies([alone]), _energies([plain]))
    assert alone.migrants == 0


def test_a_search_is_summed_up_once_for_all(tmp_path: Path) -> None:
    islands = _run(tmp_path)
    summary = summarise(islands, 3)
    assert summary.structures == 32
    assert summary.generations == 4
    fitness = [member.fitness for member in summary.best]
    assert fitness == sorted(fitness)
    assert summary.leader.best_fitness == fitness[0]
    assert all(member.space_group is not None for member in summary.best)
    assert summary.new_bests == [island.best_history for island in islands]
    assert sum(summary.discards.values()) == sum(
        n for island in islands for n in island.discards.values()
    )
    assert list(summary.discards) == sorted(summary.discards)


def test_a_stored_search_goes_on_to_another_budget(tmp_path: Path) -> None:
    _run(tmp_path, structures=4)
    larger = _islands(12)
    change_budget(tmp_path, larger)
    ended = run_islands(larger, RELAXER, emt, tmp_path, IslandOptions(block=2))
    assert [island.structures for island in ended] == [12, 12]
