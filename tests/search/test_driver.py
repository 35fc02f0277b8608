from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from search.options import EvolutionOptions
from search.relax.relaxer import Relaxer
from search.run.driver import SearchFigures, load, run_generations, save
from search.state.evolution import Evolution
from tests.search.pair_energy import PairEnergy

SALT = {"Na": 1, "Cl": 1}


def _evolution(seed: int = 1) -> Evolution:
    options = EvolutionOptions(formula_units=(2,), population=8, generations=6)
    return Evolution(SALT, options, seed)


def _energies(evolution: Evolution) -> list[float]:
    return [individual.energy for individual in evolution.individuals]


def test_progress_tells_figures(rock_salt: PairEnergy) -> None:
    seen: list[SearchFigures] = []
    evolution = run_generations(_evolution(), Relaxer(), rock_salt, 3, progress=seen.append)
    assert [f.generation for f in seen] == [1, 2, 3]
    assert [f.structures for f in seen] == [8, 16, 24]
    best = [f.best_energy for f in seen]
    assert best == sorted(best, reverse=True)
    assert seen[-1].best_energy == evolution.best_energy
    assert all(f.structures_per_second > 0 for f in seen)


def test_interrupted_run_ends_where_an_uninterrupted_one_does(
    rock_salt: PairEnergy, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "state" / "search.json"
    whole = run_generations(_evolution(), Relaxer(), rock_salt, 4)
    run_generations(_evolution(), Relaxer(), rock_salt, 2, checkpoint=checkpoint)
    before = rock_salt.evaluations
    resumed = run_generations(_evolution(), Relaxer(), rock_salt, 4, checkpoint=checkpoint)
    assert rock_salt.evaluations > before
    np.testing.assert_array_equal(_energies(whole), _energies(resumed))
    before = rock_salt.evaluations
    run_generations(_evolution(), Relaxer(), rock_salt, 4, checkpoint=checkpoint)
    assert rock_salt.evaluations == before  # nothing is computed twice


def test_a_resumed_search_has_the_generations_that_are_asked_for(
    rock_salt: PairEnergy, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "search.json"
    shorter, longer = _evolution(), _evolution()
    shorter.options.generations, longer.options.generations = 1, 3
    ended = run_generations(shorter, Relaxer(), rock_salt, 9, checkpoint=checkpoint)
    assert ended.finished
    assert ended.generation == 1
    ended = run_generations(longer, Relaxer(), rock_salt, 9, checkpoint=checkpoint)
    assert ended.generation == 3


def test_checkpoint_of_another_search_is_refused(rock_salt: PairEnergy, tmp_path: Path) -> None:
    checkpoint = tmp_path / "search.json"
    save(_evolution(seed=1), checkpoint)
    with pytest.raises(ValueError, match="seed 1"):
        run_generations(_evolution(seed=2), Relaxer(), rock_salt, 1, checkpoint=checkpoint)


def test_unknown_element_is_named(rock_salt: PairEnergy) -> None:
    with pytest.raises(ValueError, match="does not know K"):
        run_generations(Evolution({"K": 1, "Cl": 1}), Relaxer(), rock_salt, 1)


def test_finished_search_stays_finished(rock_salt: PairEnergy) -> None:
    evolution = run_generations(_evolution(), Relaxer(), rock_salt, 100)
    assert evolution.generation == 6
    assert evolution.finished


@pytest.mark.slow
def test_kill_and_resume(tmp_path: Path) -> None:
    """A search killed at any moment goes on from its last generation to the same end."""
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from ase.calculators.emt import EMT
            from search.run.driver import run_generations
            from search.relax.energy import AseEnergy
            from search.options import EvolutionOptions
            from search.state.evolution import Evolution
            from search.relax.relaxer import Relaxer
            options = EvolutionOptions(formula_units=(2,), population=4, volume_per_atom=14.0)
            run_generations(
                Evolution({"Cu": 1, "Au": 1}, options, 1), Relaxer(), AseEnergy(EMT()), 4,
                checkpoint=Path(sys.argv[1]), progress=lambda f: print(f, flush=True),
            )
            """
        )
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed, whole = tmp_path / "killed.json", tmp_path / "whole.json"
    command = [sys.executable, str(script)]
    process = subprocess.Popen([*command, str(killed)], env=environment)
    deadline = time.monotonic() + 120
    while not killed.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load(killed).generation >= 1
    for path in (killed, whole):
        subprocess.run([*command, str(path)], env=environment, check=True)
    np.testing.assert_array_equal(_energies(load(killed)), _energies(load(whole)))
    assert load(killed).generation == 4
