"""A campaign as an object."""

from __future__ import annotations

import pytest
from ase.build import bulk
from monty.json import jsanitize

from launch.errors import CampaignError
from launch.notebook import LoadedCampaign, load
from launch.report.campaign_results import CampaignResults
from launch.report.results import record_of
from tests.launch import page_samples
from tests.launch.test_report import documents, prediction, store_of
from workflows.documents.training import TrainingDocument


def test_there_has_to_be_a_campaign(tmp_path: object) -> None:
    with pytest.raises(CampaignError, match="no campaign"):
        load(str(tmp_path))


def test_what_was_found_is_pymatgen_pandas_and_ase() -> None:
    from launch.report.records import CandidateRecord

    results = CampaignResults(store_of(documents()), "mine")
    training = results.newest(TrainingDocument)
    assert training is not None
    plain = CandidateRecord.model_fields.keys() - {"structure", "relaxed"}
    records = [
        CandidateRecord(
            campaign="mine",
            structure=one.structure.as_dict(),
            **one.model_dump(include=plain),
        )
        for one in prediction().candidates
    ]  # fmt: skip
    found = LoadedCampaign("mine", records, results.frames(), training.potential, [])
    assert len(found.structures) == len(found.table) == len(records)
    assert found.structures[0].composition.reduced_formula == "Cu"
    assert found.table["coordination"].tolist() == ["Cu: 12 Cu"] * len(records)
    atoms = bulk("Cu", cubic=True)
    atoms.calc = found.calculator()
    assert atoms.get_forces().shape == (4, 3)
    with pytest.raises(ValueError, match="no potential"):
        LoadedCampaign("mine", [], None, None, []).calculator()


def test_the_table_has_neighbours_and_expected_errors_as_the_page_has() -> None:
    ranked = page_samples.prediction()
    records = [
        record_of("mine", jsanitize(one.model_dump(), strict=True)) for one in ranked.candidates
    ]
    table = LoadedCampaign("mine", records, None, None, []).table
    rows = page_samples.page_of(ranked).rows
    assert table["coordination"].tolist() == [row.values["coordination"] for row in rows]
    assert table["coordination"][1] == "O: 3 Ti; Ti: 6 O"
    assert (1000 * table["expected_error"]).tolist() == [row.values["error"] for row in rows]


def test_structures_of_a_system_are_by_rank_not_by_compound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from launch import notebook
    from launch.report.records import CandidateRecord
    from launch.report.results import Results

    def record(formula: str, rank: int) -> CandidateRecord:
        return CandidateRecord(
            campaign="mine", formula=formula, formula_units=1, space_group="P1",
            space_group_number=1, energy=-1.0, density=1.0, volume=10.0, rank=rank,
            converged=True, engine="emt", job="",
        )  # fmt: skip

    own = [record("Mg", 1), record("Mg", 3), record("Si", 2)]
    monkeypatch.setattr(Results, "candidates", lambda *_, **__: own)
    found = notebook._read(store_of(documents()), "mine")
    assert [one.rank for one in found.records] == [1, 2, 3]
