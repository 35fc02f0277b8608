"""Stages that only engines with plane waves have, on a stand-in for VASP."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobflow.managers.fireworks import flow_to_workflow

from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from tests.fake_vasp.fixtures import FakeVasp
from tests.workflows.vasp.running import engine, output, run
from tests.workflows.vasp.stages import rock_salt
from workflows.chains.prediction import StructurePredictionMaker
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.registry import find_engine
from workflows.settings import override
from workflows.stages.convergence import ConvergenceMaker
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.reference_search import ReferenceSearchMaker

pytestmark = pytest.mark.filterwarnings("ignore")


def agrees(row: dict[str, float]) -> bool:
    """Whether two points differ by less than the paper's limits."""
    return row["energy"] < 20 and row["pressure"] < 10 and row["force"] < 0.3


@pytest.mark.slow
def test_the_convergence_test_finds_the_error_of_the_stand_in(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    maker = ConvergenceMaker(duration=0.04, n_snapshots=1, lowest_cutoff=200.0, cutoff_step=75.0)
    flow = maker.make(rock_salt() * (2, 1, 1), DynamicsMaker(time_step=2.0), engine())
    store = run(flow, tmp_path)
    document = output(store, flow.jobs[-1].uuid)
    assert document.warning is None
    found: PlaneWaves = document.plane_waves
    for axis, step, taken in (("cutoff", 75.0, found.cutoff), ("mesh", 1, found.mesh[0])):
        rows = [row for row in document.changes if row[axis] != row[f"other_{axis}"]]
        here = [agrees(row) for row in rows if row[axis] == taken]
        assert here == [True, True]
        below = [agrees(row) for row in rows if row[axis] == taken - step]
        assert not all(below) or not below
    # 11 Å by 5.6 Å by 5.6 Å at Gamma miss 2 eV / 3 (2 exp(-5.6 / 2.2) + ...) = 0.11 eV an atom
    assert found.mesh != (1, 1, 1)


@pytest.mark.slow
def test_a_search_on_the_engine_makes_a_job_of_each_relaxation(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    maker = ReferenceSearchMaker(
        evolution=EvolutionOptions(generations=1, population=3),
        limits=RelaxationLimits(max_steps=8),
    )
    work = maker.make(Target("NaCl", (1,)), engine(), seed=1, volume_per_atom=22.0)
    store = run(work, tmp_path)
    document = output(store, work.uuid)
    assert document.n_structures == 3
    relaxed = list(store.query({"output.@class": "RelaxDocument"}, ["name", "output"]))
    assert {d["name"] for d in relaxed} == {f"generation 1 structure {n}" for n in (1, 2, 3)}
    assert {d["output"]["engine"] for d in relaxed} == {"vasp"}


def vasp_protocol(*settings: tuple[str, object]) -> StructurePredictionMaker:
    """The paper's protocol with the VASP engine."""
    maker = find_protocol("paper")
    for path, value in settings:
        maker = override(maker, path, value)
    return maker.with_reference(find_engine("vasp"))


def names(maker: StructurePredictionMaker) -> list[str]:
    workflow = flow_to_workflow(maker.make(Target("LiAlCl4", (1, 2)), "mine"))
    return [firework.name for firework in workflow.fws]


def test_the_papers_protocol_as_a_workflow() -> None:
    """20 ps of liquid, 15 ps of anneal in segments of 2 ps; convergence before, check after."""
    found = names(vasp_protocol())
    assert [name for name in found if name.startswith("liquid")] == [
        f"liquid {i}/10" for i in range(1, 11)
    ]
    assert [name for name in found if name.startswith("anneal")] == [
        f"anneal {i}/8" for i in range(1, 9)
    ]
    assert {"convergence snapshots", "convergence", "check", "quench plan"} <= set(found)


def test_a_given_cutoff_needs_no_test_but_is_checked() -> None:
    found = names(vasp_protocol(("vasp.cutoff", 300)))
    assert "convergence" not in found
    assert "check" in found


def test_the_check_can_be_left_out() -> None:
    assert "check" not in names(vasp_protocol(("check.n_frames", 0)))


def test_a_strict_check_holds_the_training_back() -> None:
    for strict in ("false", "true"):
        flow = vasp_protocol(("check.strict", strict)).make(Target("LiAlCl4", (1,)), "mine")
        jobs = {job.name: job for job, _ in flow.iterflow()}
        waits = jobs["check"].uuid in jobs["train"].input_uuids
        assert waits is (strict == "true")


def test_all_dynamics_wait_for_the_convergence_test_and_adopt_it() -> None:
    flow = vasp_protocol().make(Target("LiAlCl4", (1,)), "mine")
    jobs = {job.name: job for job, _ in flow.iterflow()}
    convergence = jobs["convergence"].uuid
    for name in ("melt part 1", "liquid 1/10", "anneal 8/8", "quench plan", "volume", "candidates"):
        assert convergence in jobs[name].input_uuids, name
    assert convergence not in jobs["convergence snapshots"].input_uuids


def test_a_search_on_the_engine_needs_no_melt() -> None:
    found = names(vasp_protocol(("search_level", "reference")))
    assert sorted(found) == ["candidates", "reference search"]


def test_documents_of_jobs_stay_small() -> None:
    import json

    workflow = flow_to_workflow(vasp_protocol().make(Target("LiAlCl4", (1, 2)), "mine"))
    sizes = [len(json.dumps(firework.to_dict())) for firework in workflow.fws]
    assert max(sizes) < 50_000
