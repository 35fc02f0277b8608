"""The search whose relaxations are jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder

from nnp.units import KBAR
from search.candidate import Candidate
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from tests.workflows.samples import emt, engine
from workflows.composition import Target
from workflows.conversion import to_atoms, to_structure
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchDocument
from workflows.engines.base import Engine
from workflows.stages.reference_search import ReferenceSearchMaker, to_relaxed

MAKER = ReferenceSearchMaker(
    evolution=EvolutionOptions(generations=2, population=4), limits=RelaxationLimits(max_steps=40)
)


def run(
    maker: ReferenceSearchMaker,
    seed: int,
    calculator: Engine,
    store: JobStore | None = None,
    pressure: float = 0.0,
) -> SearchDocument:
    work = maker.make(Target("Cu", (1, 2), pressure), calculator, seed, volume_per_atom=12.0)
    store = store or JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(work, store=store, log=False)
    output = store.get_output(work.uuid, load=True)
    return MontyDecoder().process_decoded(output)


@pytest.mark.slow
def test_copper_is_found_and_the_search_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    document = run(MAKER, 3, emt(), store)
    assert document.generations == 2
    assert document.n_structures == 8
    assert document.candidates
    energies = [candidate.energy for candidate in document.candidates]
    assert energies == sorted(energies)
    assert energies[0] < 0.5  # relaxed copper is at -0.007 eV/atom, random cells far above
    assert document.best_energy == energies[0]
    # each trajectory says which stage it belongs to
    found = store.query({"output.@class": "RelaxDocument"}, ["output"], load=True)
    frames = [MontyDecoder().process_decoded(entry["output"]).frames for entry in found]
    assert len(frames) == 8
    assert {stage for each in frames for stage in each.stages} == {"search"}
    assert document.energies_of == emt().name
    assert {candidate.energy_of for candidate in document.candidates} == {emt().name}
    again = run(MAKER, 3, emt())
    assert [c.energy for c in again.candidates] == pytest.approx(energies)


@pytest.mark.slow
def test_at_a_pressure_the_engine_relaxes_under_it_and_enthalpies_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    limits = RelaxationLimits(max_force=0.02, max_stress=2.0, max_steps=200)
    document = run(replace(MAKER, limits=limits), 3, emt(), pressure=200.0)
    assert document.pressure == 200.0
    enthalpies = [candidate.enthalpy for candidate in document.candidates]
    assert enthalpies == sorted(enthalpies)
    assert document.best_enthalpy == pytest.approx(enthalpies[0], abs=1e-12)
    assert document.histories[0]["best_enthalpy"][-1] == pytest.approx(enthalpies[0], abs=1e-12)
    best = document.candidates[0]
    atoms = to_atoms(best.structure)
    atoms.calc = EMT()
    assert document.best_energy == best.energy
    assert best.energy == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-9)
    volume = atoms.get_volume() / len(atoms)
    assert best.enthalpy == pytest.approx(best.energy + 200.0 * volume / KBAR, abs=1e-9)
    assert -atoms.get_stress()[:3].mean() * KBAR == pytest.approx(200.0, abs=2.0)


@pytest.mark.slow
def test_structures_that_the_engine_fails_on_are_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = replace(MAKER.evolution, generations=1, population=3)
    failing = engine("SometimesExploding", fail_at=1, failures=1)
    document = run(replace(MAKER, evolution=options), 1, failing)
    assert document.n_structures == 3
    assert ("the engine failed", 1) in [tuple(entry) for entry in document.discarded]


def test_what_became_of_a_structure() -> None:
    atoms = bulk("Cu", cubic=True)
    candidate = Candidate(7, atoms, "random", (), 4)
    structure = to_structure(atoms)
    done = RelaxDocument(structure=structure, engine="x", energy=-3.5, converged=True, steps=9,
                         max_force=0.05, max_stress=3.0)  # fmt: skip
    relaxed = to_relaxed(candidate, done)
    assert relaxed.energy == pytest.approx(-14.0)
    assert relaxed.converged
    assert relaxed.steps == 9
    unfinished = to_relaxed(candidate, done.model_copy(update={"converged": False}))
    assert unfinished.usable
    assert not unfinished.converged
    for failed in (None, RelaxDocument(structure=structure, engine="x", failure="no")):
        relaxed = to_relaxed(candidate, failed)
        assert not relaxed.usable
        assert np.isnan(relaxed.energy)
