"""Labels: in order, failures recorded, nothing done twice, and the campaign goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.calculators.emt import EMT
from jobflow import CURRENT_JOB, SETTINGS, JobStore, OnMissing, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, jsanitize

from nnp.frames import Frames
from tests.workflows.samples import copper, emt, engine
from workflows.conversion import to_atoms
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.training import LabelDocument, SampleDocument, SelectionDocument
from workflows.engines.ase.engine import AseEngine
from workflows.jobs.checkpoints import remove_checkpoints
from workflows.stages import labelling
from workflows.stages.labelling import LabellingMaker
from workflows.stages.relaxation_labels import labels_left_out


def frames(n: int = 5, repeat: int = 1, symbol: str | None = None) -> Frames:
    """Copper, more and more strained."""
    structures = []
    for k in range(n):
        atoms = to_atoms(copper(repeat, constant=3.4 + 0.1 * k))
        if symbol:
            atoms.symbols[0] = symbol
        structures.append(atoms)
    return Frames.from_atoms(structures, stage="liquid", temperature=1000.0)


def selection(chosen: Frames) -> SelectionDocument:
    return SelectionDocument(
        n_pool=100, n_chosen=len(chosen), n_scaled=0, stopped_runs=0,
        shortest_distances={"Cu-Cu": 2.0}, volume_per_atom=12.0, series={}, frames=chosen,
    )  # fmt: skip


def batch_of(maker: LabellingMaker, chosen: Frames, start: int, engine: AseEngine) -> LabelDocument:
    CURRENT_JOB.reset()
    return LabellingMaker.label_batch.original(maker, chosen, start, engine)


def collect(
    maker: LabellingMaker,
    chosen: SelectionDocument,
    batches: list[LabelDocument | None],
    earlier: SampleDocument | None = None,
    former: Sequence[str] = (),
) -> SampleDocument:
    CURRENT_JOB.reset()
    return LabellingMaker.collect.original(maker, chosen, batches, earlier, former=former)


def test_labels_are_the_engine_s_in_the_order_of_the_frames() -> None:
    maker, chosen = LabellingMaker(batch=2), frames()
    documents = [batch_of(maker, chosen, start, emt()) for start in (0, 2, 4)]
    assert [document.n_labelled for document in documents] == [2, 2, 1]
    found = collect(maker, selection(chosen), documents).frames
    assert np.array_equal(found.positions, chosen.positions)
    for frame in found:
        atoms = frame.to_atoms()[0]
        atoms.calc = EMT()
        assert frame.energies[0] == pytest.approx(atoms.get_potential_energy())
        assert frame.forces == pytest.approx(atoms.get_forces(), abs=1e-12)
        assert np.isfinite(frame.stresses).all()
    assert set(found.stages) == {"liquid"}
    assert np.all(found.temperatures == 1000)


def test_a_batch_beyond_the_end_is_empty() -> None:
    assert batch_of(LabellingMaker(batch=20), frames(3), 20, emt()).n_labelled == 0


def test_frames_that_fail_are_recorded_and_left_out() -> None:
    good, bad = frames(3), frames(1, symbol="U")  # uranium is unknown to effective medium theory
    chosen = Frames.concatenate([good[:2], bad, good[2:]])
    maker = LabellingMaker(batch=2)
    documents = [batch_of(maker, chosen, start, emt()) for start in (0, 2)]
    assert documents[1].n_labelled == 1
    assert documents[1].failures[0].startswith("frame 3: ")
    found = collect(maker, selection(chosen), documents)
    assert (found.n_frames, found.frames_left_out, found.evaluations) == (3, 1, 4)
    assert found.failures == documents[1].failures


def test_numbers_that_are_not_finite_are_no_labels() -> None:
    exploding = engine("SometimesExploding", fail_at=1, failures=99)
    document = batch_of(LabellingMaker(), frames(2), 0, exploding)
    assert document.n_labelled == 0
    assert "not finite" in document.failures[1]


def test_a_batch_whose_job_failed_leaves_a_gap() -> None:
    maker, chosen = LabellingMaker(batch=2), frames()
    documents = [batch_of(maker, chosen, 0, emt()), None, batch_of(maker, chosen, 4, emt())]
    found = collect(maker, selection(chosen), documents)
    assert found.n_frames == 3
    assert found.failures == ["frames from 3 on: their job failed; see the log"]


def test_too_few_labels_end_the_campaign_with_a_sentence() -> None:
    maker, chosen = LabellingMaker(batch=2), frames()
    documents = [batch_of(maker, chosen, 0, emt()), None, None]
    with pytest.raises(RuntimeError, match="labelled 2 of 5 frames"):
        collect(maker, selection(chosen), documents)


def test_rounds_add_up() -> None:
    maker, first, second = LabellingMaker(batch=9), frames(3), frames(2)
    one = collect(maker, selection(first), [batch_of(maker, first, 0, emt())])
    two = collect(maker, selection(second), [batch_of(maker, second, 0, emt())], one)
    assert (two.n_frames, two.evaluations) == (5, 5)
    assert np.array_equal(two.frames[:3].energies, one.frames.energies)


def test_what_a_correction_has_left_out_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    chosen = frames(3)
    labelled = batch_of(LabellingMaker(), chosen, 0, emt())
    relaxed = RelaxDocument(
        structure=copper(), engine="emt", energy=0.0, steps=7,
        frames=replace(labelled.frames[[0, 2]], stages=np.full(2, "candidates")),
    )  # fmt: skip
    former, own = {"former_campaign": "mine"}, {"campaign": "mine"}
    for number, (document, metadata) in enumerate((
        (relaxed, {**former, "stage": "candidates"}),
        (labelled, {**former, "stage": "label"}),
        (relaxed, {**former, "stage": "judge"}),  # crystals that training must never see
        (relaxed, {**own, "stage": "candidates"}),
        (relaxed, {"former_campaign": "yours", "stage": "candidates"}),
    )):  # fmt: skip
        output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
        store.update(
            {"uuid": f"job-{number}", "index": 1, "output": output, "metadata": metadata,
             "completed_at": f"2026-01-01T00:00:{number:02d}"},
            save={"data": ["Frames"]},
        )  # fmt: skip
    monkeypatch.setattr(CURRENT_JOB, "job", SimpleNamespace(metadata=own, config=None))
    monkeypatch.setattr(CURRENT_JOB, "store", store)
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)
    jobs = labels_left_out()
    assert jobs == ["job-0", "job-1"]
    found = collect(LabellingMaker(), selection(frames(1)), [labelled], None, former=jobs)
    assert (found.n_frames, found.evaluations) == (3, 1 + 8 + 3)  # none of them twice
    found = collect(LabellingMaker(), selection(chosen[1:2]), [label(chosen[1:2])], former=jobs)
    assert found.frames_by_stage == {"liquid": 1, "candidate": 2}
    monkeypatch.setattr(CURRENT_JOB, "job", None)
    assert labels_left_out() == []


def label(chosen: Frames) -> LabelDocument:
    """Labels of some frames."""
    return batch_of(LabellingMaker(), chosen, 0, emt())


class Interrupted(AseEngine):
    """Counts what it labels, and dies once on the way."""

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Label; die after two frames the first time."""
        done = Path(self.arguments["file"])
        for result in emt().label_frames(frames):
            seen = int(done.read_text()) if done.exists() else 0
            if seen == 2:
                done.write_text("3")
                raise KeyboardInterrupt
            done.write_text(str(seen + 1))
            yield result


def test_what_was_labelled_before_a_kill_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "CHECKPOINT_INTERVAL", -1.0)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)
    dying = Interrupted(arguments={"file": str(tmp_path / "count")})
    documents = []
    for launch in ("one", "two"):
        (tmp_path / launch).mkdir()
        monkeypatch.chdir(tmp_path / launch)
        work = LabellingMaker().label_batch(frames(5), 0, dying)
        work.set_uuid("11111111-2222-3333-4444-555555555555")
        try:
            responses = run_locally(work, store=store, create_folders=False, log=False)
        except KeyboardInterrupt:
            continue
        documents.append(responses[work.uuid][1].output)
    # two frames before the kill, three after it, and the kill itself
    assert (tmp_path / "count").read_text() == "6"
    assert documents[0].n_labelled == 5
    assert np.array_equal(documents[0].frames.positions, frames(5).positions)
    assert list(tmp_path.glob("*.checkpoint"))
    remove_checkpoints()  # as after each launch
    assert not list(tmp_path.glob("*.checkpoint"))


def test_batches_are_jobs_of_the_reference_and_survive_json() -> None:
    maker = LabellingMaker(batch=2)
    assert MontyDecoder().process_decoded(
        json.loads(json.dumps(jsanitize(maker.as_dict(), strict=True)))
    ) == maker  # fmt: skip
    chosen = frames()
    flow = maker.make(selection(chosen), len(chosen), emt())
    work = flow.jobs
    assert [job.name for job in work] == ["label 1 to 2", "label 3 to 4", "label 5 to 5", "labels"]
    queues = [job.config.manager_config["_category"] for job in work]
    assert queues == ["dft", "dft", "dft", "nnp"]
    assert work[-1].config.on_missing_references == OnMissing.NONE
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    responses = run_locally(flow, store=store, create_folders=False, log=False)
    assert responses[work[-1].uuid][1].output.n_frames == 5
