"""What the search's jobs leave behind."""

from __future__ import annotations

import pytest
from ase.calculators.emt import EMT

from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxed, Relaxer
from search.run.driver import run_generations
from search.state.evolution import Evolution
from workflows.composition import Target
from workflows.stages.search_documents import (
    NothingFoundError,
    island_document,
    search_document,
)

TARGET = Target("CuAu", (1,))


def start() -> Evolution:
    """A search of two structures."""
    options = EvolutionOptions(formula_units=(1,), population=2, generations=1)
    return Evolution(TARGET.counts, options, 1)


def test_candidates_say_whether_they_are_under_the_tight_limits() -> None:
    for relaxer, expected in ((Relaxer(), True), (Relaxer(RelaxationLimits(max_steps=2)), False)):
        ended = run_generations(start(), relaxer, AseEnergy(EMT()), 1, n_best=4)
        document = search_document(TARGET, [island_document(ended, 1.0)], 4, "potential")
        assert [candidate.converged for candidate in document.candidates] == [
            expected for _ in document.candidates
        ]
        assert document.n_went_on == len(ended.went_on)
        assert document.summary()["relaxed_on_to_tight_limits"] == len(ended.went_on)


def test_a_search_without_a_structure_is_no_result() -> None:
    state = start()
    state.tell([Relaxed(c.atoms, float("nan"), "aborted: nowhere") for c in state.ask()])
    with pytest.raises(NothingFoundError, match="2 times nowhere"):
        search_document(TARGET, [island_document(state, 1.0)], 4, "potential")
