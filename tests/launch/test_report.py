"""Reading results back from a job store, and the files made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import JobStore
from maggma.stores import MemoryStore
from monty.json import jsanitize
from pymatgen.core import Structure

from launch.report.campaign_results import CampaignResults
from launch.report.files import ranking_table, summarise, wide_console, write_report
from launch.report.judge import errors_table, plot_rounds, sentences
from launch.report.results import Results
from nnp.frames import Frames
from nnp.training.trainer import TrainingOptions, train
from tests.workflows.samples import copper, emt
from workflows.composition import Target
from workflows.documents.base import Document
from workflows.documents.dynamics import MeltingTemperatureDocument, MobilityPoint, VolumeDocument
from workflows.documents.judge import EarlierPotential, JudgeDocument, JudgePoint
from workflows.documents.prediction import PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument
from workflows.stages.candidate_state import AskedCandidates, CandidateChain
from workflows.stages.candidates import CandidateMaker
from workflows.stages.comparison import TestCrystal, errors_of, labelled, lowest_of


def labelled_frames(n: int = 6) -> Frames:
    """Rattled copper with the energies of effective medium theory."""
    frames = []
    for seed in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return Frames.from_atoms(frames, stage="liquid")


def prediction() -> PredictionDocument:
    """Two structures, one of them twice, and one that failed."""
    crystals = [copper(1), copper(1, 3.7), copper(1), copper(1)]
    relaxed = [
        RelaxDocument(structure=crystals[0], engine="emt", energy=-0.01, converged=True),
        RelaxDocument(structure=crystals[1], engine="emt", energy=0.02),
        RelaxDocument(structure=crystals[2], engine="emt", energy=-0.0099, converged=True),
        None,
    ]
    candidates = [
        SearchCandidate(structure=s, energy=0.1, formula_units=4, found_by="random", found_at=1)
        for s in crystals
    ]
    rank = CandidateMaker.rank.original
    jobs = [f"job {number}" for number in range(len(relaxed))]
    chain = CandidateChain(Target("Cu", (4,)), emt())
    return rank(CandidateMaker(), relaxed, chain, AskedCandidates(candidates=candidates, jobs=jobs))


def documents() -> list[Document]:
    """One document of every stage."""
    frames = labelled_frames()
    fitted = train(frames, TrainingOptions(max_epochs=2, hidden=(4,)))
    species = {"Cu": {"diffusivity": 0.3, "diffusivity_error": 0.1, "liquid": True}}
    point = MobilityPoint(
        temperature=1500, liquid=True, pressure=1.0, pressure_error=0.5, species=species,
        times=[0.0, 0.1, 0.2], displacements={"Cu": [0.0, 0.2, 0.4]},
    )  # fmt: skip
    errors = {f"{p}_{q}": 1.0 for p in ("training", "validation")
              for q in ("energy", "force", "stress")}  # fmt: skip
    return [
        MeltingTemperatureDocument(
            melting_temperature=1500, uncertainty=250, pressure=1, structure=copper(),
            points=[point], segments=[], warning="still liquid",
        ),
        VolumeDocument(volume=12, pressure=0.1, pressure_error=0.2, structure=copper(),
                       points=[], segments=[]),
        SampleDocument(
            formula="Cu", n_frames=6, n_atoms=4, frames_by_stage={"liquid": 6},
            shortest_distances={"Cu-Cu": 2.2}, volume_per_atom=12,
            series={k: [1.0, 2.0] for k in ("time", "temperature", "energy", "pressure")},
            frames=frames,
        ),
        TrainingDocument(
            formula="Cu", n_training=5, n_validation=1, validation_split="blocks", converged=True,
            energy_rmse=5, force_rmse=0.1, stress_rmse=3, epochs=2,
            history=[{"epoch": 1.0, **errors}, {"epoch": 2.0, **errors}],
            parity={"energy_reference": [0.0, 1.0], "energy_predicted": [0.1, 0.9],
                    "force_reference": [0.0, 1.0], "force_predicted": [0.1, 0.9]},
            potential=fitted.potential,
        ),
        SearchDocument(
            formula="Cu", formula_units=[4], generations=2, n_structures=16, best_energy=-0.1,
            candidates=[], histories=[{"structures": [1.0, 9.0], "best_energy": [0.0, -0.1]}],
            shares=[{"random": 1.0}, {"random": 0.6, "heredity": 0.4}],
            discarded=[("short bond", 2)], cpu_seconds=4.0,
        ),
        prediction(),
    ]  # fmt: skip


def store_of(found: list[Document]) -> JobStore:
    """A job store in memory that holds documents as jobflow stores them."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    for number, document in enumerate(found):
        output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
        store.update(
            {"uuid": f"job-{number}", "index": 1, "output": output, "name": "x",
             "completed_at": f"2026-01-01T00:00:{number:02d}", "metadata": {"campaign": "mine"}},
            save={"data": ["Frames", "Potential"]},
        )  # fmt: skip
    return store


def test_the_report_has_everything_and_reads_back(tmp_path: Path) -> None:
    results = CampaignResults(store_of(documents()), "mine")
    paths = write_report(results, tmp_path)
    assert all(path.stat().st_size > 100 for path in paths)
    for suffix in (".png", ".pdf"):
        assert len([path for path in paths if path.suffix == suffix]) == 7
    assert len(Frames.read(tmp_path / "frames.extxyz")) == 6
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["melting_temperature_K"] == 1500
    assert summary["structures_per_cpu_second"] == 4.0
    assert summary["warnings"] == ["melting temperature: still liquid"]
    cif = next((tmp_path / "structures").glob("01_Cu_Z1_Fm-3m.cif"))
    assert len(Structure.from_file(cif)) == 4
    table = (tmp_path / "ranking.txt").read_text()
    assert "Fm-3m (225)" in table
    assert "* not relaxed" in table


def test_the_frames_of_candidates_are_written_beside_the_training_set(tmp_path: Path) -> None:
    *others, ranked = documents()
    frames = replace(labelled_frames(2), stages=np.full(2, "candidate"))
    ranked = ranked.model_copy(update={"frames": frames})
    results = CampaignResults(store_of([*others, ranked]), "mine")
    write_report(results, tmp_path)
    stages = Frames.read(tmp_path / "frames.extxyz").stages.tolist()
    assert stages == ["liquid"] * 6 + ["candidate"] * 2
    alone = CampaignResults(store_of([ranked]), "mine").frames()
    assert alone is not None
    assert np.isfinite(alone.energies).all()
    assert len(alone) == 2


def test_the_newest_document_counts_and_other_campaigns_do_not(tmp_path: Path) -> None:
    older, newer = documents()[1], documents()[1]
    newer.volume = 13.0  # type: ignore[attr-defined]
    store = store_of([older, newer])
    assert CampaignResults(store, "mine").newest(VolumeDocument).volume == 13.0  # type: ignore[union-attr]
    nothing = CampaignResults(store, "yours")
    assert nothing.newest(VolumeDocument) is None
    assert summarise(nothing) == {"campaign": "yours", "warnings": []}
    assert [path.name for path in write_report(nothing, tmp_path)] == ["summary.json"]


def test_ranking_drops_twins_and_records_failures() -> None:
    ranked = prediction()
    assert [c.rank for c in ranked.candidates] == [1, 2]
    assert ranked.candidates[1].energy_above_best == pytest.approx(30.0)
    assert ranked.candidates[0].density == pytest.approx(8.97, abs=0.05)
    assert ranked.failures == ["candidate 4: its job failed; see the log"]
    assert np.isfinite([c.volume for c in ranked.candidates]).all()


def test_the_table_fits_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    wide_console().print(ranking_table(prediction()))
    assert "…" not in capsys.readouterr().out


def judgement(earlier: int = 0) -> JudgeDocument:
    """A known phase and two others, of which training has seen one."""
    crystals = [
        TestCrystal("fcc", "known", bulk("Cu", "fcc", a=3.6), -0.01),
        TestCrystal("random 1", "random", bulk("Cu", "bcc", a=2.87), 0.03),
        TestCrystal("search 1", "search", bulk("Cu", "hcp", a=2.55, c=4.16), 0.0),
    ]
    points = [
        JudgePoint(
            label=c.label, origin=c.origin, formula_units=len(c.atoms), space_group="P1",
            reference_energy=c.energy, potential_energy=c.energy + 0.01, uncertainty=0.0,
            relaxed_energy=c.energy, stays=True, covered=1.0, in_training=c.label == "search 1",
        )
        for c in crystals
    ]  # fmt: skip
    tested = points[:2]
    errors = errors_of(tested, relaxed=False)
    first = EarlierPotential(training_job="0", energies=[0.0, 0.2, 0.1], single_points=errors)
    return JudgeDocument(
        formula="Cu", engine="emt", training_job="1", n_tested=2, n_in_training=1, points=points,
        single_points=errors, relaxed=errors_of(tested, relaxed=True), lowest=lowest_of(points),
        stays=1.0, coverage={"known": {"Cu": 1.0}}, reference_evaluations={"known": 4},
        potential_seconds=1e-5, frames=labelled(crystals), earlier=earlier * [first],
    )  # fmt: skip


def test_a_judgement_is_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = CampaignResults(store_of([*documents(), judgement(earlier=1)]), "mine")
    write_report(results, tmp_path)
    plots = {path.stem for path in (tmp_path / "plots").glob("judge*.png")}
    assert plots == {"judge", "judge_rounds", "judge_coverage"}
    points = json.loads((tmp_path / "judge.json").read_text())["points"]
    assert [point["in_training"] for point in points] == [False, False, True]
    assert (tmp_path / "judge.csv").read_text().startswith("label,origin,")
    summary = json.loads((tmp_path / "summary.json").read_text())["judge"]
    assert (summary["structures"], summary["in_training"]) == (2, 1)
    within = {row["window"]: row for row in summary["single_points"]}
    assert within[50.0]["mean_error"] == pytest.approx(10.0)
    (row,) = Results(results.store).stages("judge")
    assert row["judge.structures"] == 2

    wide_console().print(errors_table(judgement()))
    table = capsys.readouterr().out
    assert "+10.0" in table
    assert [cell.strip() for cell in table.splitlines()[5].split("│")[1:4]] == ["emt", "50", "2"]
    assert "…" not in table
    said = " ".join(sentences(judgement()))
    assert "The lowest known phase, fcc, is the lowest of all by NNP before relaxation" in said
    assert "1 more are in the training set" in said


def test_one_potential_has_no_figure_of_rounds() -> None:
    assert plot_rounds(judgement()) is None


def test_the_ranking_says_how_many_motifs_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    ranked = prediction()
    assert [candidate.motif for candidate in ranked.candidates] == [1, 1]
    wide_console().print(ranking_table(ranked))
    assert "2 structures of 1 motif" in capsys.readouterr().out
    ranked.candidates[1].motif = 2
    wide_console().print(ranking_table(ranked))
    assert "2 structures of 2 motifs" in capsys.readouterr().out
    # a ranking of before there were motifs
    ranked.candidates[1].motif = None
    wide_console().print(ranking_table(ranked))
    assert "structures of" not in capsys.readouterr().out


def test_runs_that_were_all_stopped_have_no_plot(tmp_path: Path) -> None:
    """As those of a potential that knows nothing at their temperature."""
    document = documents()[0]
    assert isinstance(document, MeltingTemperatureDocument)
    stopped = MobilityPoint(
        temperature=2500, liquid=True, pressure=1.0, pressure_error=0.5, species={}, times=[],
        displacements={},
    )  # fmt: skip
    document.points = [stopped]
    paths = write_report(CampaignResults(store_of([document]), "mine"), tmp_path)
    assert not [path for path in paths if path.suffix == ".png"]


def test_what_no_potential_has_relaxed_has_no_energy_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the reference engine itself has searched."""
    ranked = prediction()
    wide_console().print(ranking_table(ranked))
    assert "NNP" in capsys.readouterr().out
    for candidate in ranked.candidates:
        candidate.potential_energy = None
    wide_console().print(ranking_table(ranked))
    table = capsys.readouterr().out
    assert "NNP" not in table
    assert "emt" in table
    write_report(CampaignResults(store_of([ranked]), "mine"), tmp_path)
    assert not (tmp_path / "plots" / "ranking.png").exists()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["candidates"][0]["potential_energy"] is None
