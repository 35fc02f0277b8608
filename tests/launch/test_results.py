"""What campaigns have found, over a database that they share."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest
from monty.json import jsanitize
from pymatgen.core import Lattice, Structure

from launch.cluster.files import ClusterDescription, write_files
from launch.commands.results import candidate_table
from launch.database.connections import job_store
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.local.campaign import Campaign
from launch.report.records import to_dataframe
from launch.report.results import Results
from nnp.frames import Frames
from nnp.units import KBAR
from tests.launch.test_cli import call
from tests.launch.test_page import content_of
from tests.launch.test_report import documents
from workflows.composition import FormulaError
from workflows.documents.dynamics import MeltingTemperatureDocument
from workflows.documents.prediction import CandidateDocument, PredictionDocument

numbers = itertools.count()
ROCKSALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)


def ranking(formula: str, energies: list[float], engine: str = "emt") -> PredictionDocument:
    """Rank rock salts of given energies."""
    candidates = [
        CandidateDocument(
            formula=formula, chemical_system="Mg-O", formula_units=4, space_group="Fm-3m",
            space_group_number=225, energy=energy, energy_above_best=1000 * (energy - energies[0]),
            potential_energy=energy + 0.01, density=3.6, volume=9.3, rank=rank, converged=True,
            engine=engine, job=f"relaxation-{rank}", structure=ROCKSALT,
        )
        for rank, energy in enumerate(energies, start=1)
    ]  # fmt: skip
    return PredictionDocument(formula=formula, engine=engine, candidates=candidates)


@pytest.fixture
def config(server: EmbeddedDatabase, tmp_path: Path) -> Iterator[Path]:
    """Configuration of a database with three campaigns, two of one compound."""
    name = f"results_{next(numbers)}"
    create_indexes(server.uri, name)
    write_files(
        tmp_path / "config", ClusterDescription("local", server.uri, database=name).files(tmp_path)
    )
    store = job_store(server.uri, name)
    store.connect()
    melting = MeltingTemperatureDocument.model_construct(
        melting_temperature=3000.0, uncertainty=250.0, points=[], segments=[]
    )
    written = [
        ("MgO-1", "MgO", ranking("MgO", [-5.9, -5.8])),  # an older ranking of the same campaign
        ("MgO-1", "MgO", ranking("MgO", [-6.00, -5.97, -5.90])),
        ("MgO-2", "OMg", ranking("OMg", [-5.99, -5.945])),  # the same compound
        ("SiO2-1", "SiO2", ranking("SiO2", [-7.00, -6.96])),
        ("SiO2-1", "SiO2", melting),
    ]
    for number, (campaign, formula, output) in enumerate(written):
        store.update(
            {
                "uuid": f"job-{number}",
                "index": 1,
                "output": jsanitize(output, strict=True, enum_values=True, allow_bson=True),
                "completed_at": datetime(2030, 1, 1, number).isoformat(),
                "metadata": {"campaign": campaign, "formula": formula},
            },
            key=["uuid", "index"],
        )
    store.close()
    yield tmp_path / "config"
    with pymongo.MongoClient(server.uri) as client:
        client.drop_database(name)


def test_candidates_of_all_campaigns(config: Path) -> None:
    with Results.open(config) as results:
        assert results.campaigns() == ["MgO-1", "MgO-2", "SiO2-1"]
        for spelling in ("MgO", "OMg", "Mg2O2"):
            assert results.campaigns(spelling) == ["MgO-1", "MgO-2"]
        with pytest.raises(FormulaError, match="does not parse"):
            results.candidates(formula="magnesia")
        found = results.candidates(formula="Mg2O2")
        assert [(r.campaign, r.energy) for r in found] == [
            ("MgO-1", -6.00), ("MgO-2", -5.99), ("MgO-1", -5.97), ("MgO-2", -5.945),
            ("MgO-1", -5.90),
        ]  # fmt: skip
        # above the best of all campaigns of the formula, not of its own
        near = results.candidates(formula="MgO", above_best=50.0)
        assert [round(r.energy_above_best) for r in near] == [0, 10, 30]
        assert near[1].to_structure().matches(ROCKSALT)
        bare = results.candidates(campaign="SiO2-1", structures=False)
        assert [r.structure for r in bare] == [None, None]
        with pytest.raises(ValueError, match="structures=True"):
            bare[0].to_structure()
        table = to_dataframe(found)
        assert list(table.energy) == [r.energy for r in found]
        assert "structure" not in table
        assert results.frames("MgO-1") is None
        assert results.potential("MgO-1") is None


def test_enthalpies_at_other_pressures_are_not_compared(config: Path) -> None:
    """A second campaign of silica, at 20 GPa: each is above the best at its own pressure."""
    work = 200.0 * ROCKSALT.volume / len(ROCKSALT) / KBAR
    document = ranking("SiO2", [-6.90, -6.85])
    for candidate in document.candidates:
        candidate.pressure, candidate.enthalpy = 200.0, candidate.energy + work
        candidate.fitness = candidate.enthalpy
    with Results.open(config) as results:
        results.store.update(
            {
                "uuid": "compressed", "index": 1,
                "output": jsanitize(document, strict=True, enum_values=True, allow_bson=True),
                "completed_at": datetime(2030, 1, 2).isoformat(),
                "metadata": {"campaign": "SiO2-2", "formula": "SiO2"},
            },
            key=["uuid", "index"],
        )  # fmt: skip
        found = results.candidates(formula="SiO2")
    shown = [(r.campaign, r.pressure, round(r.energy_above_best)) for r in found]
    assert shown == [
        ("SiO2-1", 0.0, 0), ("SiO2-1", 0.0, 40), ("SiO2-2", 200.0, 0), ("SiO2-2", 200.0, 50),
    ]  # fmt: skip
    table = candidate_table(found)
    assert [column.header for column in table.columns][7:9] == ["GPa", "enthalpy\neV/atom"]
    assert list(table.columns[7].cells) == ["0", "0", "20", "20"]
    assert list(table.columns[8].cells)[2] == f"{-6.90 + work:.4f}"


def test_the_best_of_all_campaigns_is_the_fittest(config: Path) -> None:
    """The energy says nothing where the candidates were ranked by something else."""
    with Results.open(config) as results:
        results.outputs.update_many(
            {"output.@class": "PredictionDocument", "metadata.formula": "OMg"},
            {"$set": {"output.candidates.0.fitness": -5.91, "output.candidates.1.fitness": -6.1}},
        )
        found = results.candidates(formula="MgO")
    assert [(r.campaign, r.energy) for r in found] == [
        ("MgO-2", -5.945), ("MgO-1", -6.00), ("MgO-1", -5.97), ("MgO-2", -5.99), ("MgO-1", -5.90),
    ]  # fmt: skip
    assert [round(r.energy_above_best) for r in found] == [0, 100, 130, 190, 200]


def test_figures_of_a_stage(config: Path) -> None:
    with Results.open(config) as results:
        (row,) = results.stages("melting_temperature", formula="SiO2")
    assert row["campaign"] == "SiO2-1"
    assert row["melting_temperature"] == 3000.0
    assert row["melting_temperature_uncertainty_K"] == 250.0  # of the summary


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"$set": {"output.version": 99}}, "of version 99 was found and this is version"),
        ({"$unset": {"output.version": ""}}, "was written by an earlier version of devitrify"),
    ],
)
@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("candidates", "PredictionDocument"),
        ("melting_temperature", "MeltingTemperatureDocument"),
    ],
)
def test_documents_of_other_versions_get_a_sentence(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    kind: str,
    change: dict[str, Any],
    message: str,
) -> None:
    """Also where their fields are read one by one, and some are not there."""
    with Results.open(config) as results:
        results.outputs.update_many({"output.@class": kind}, change)
        missing = {"output.melting_temperature": "", "output.candidates.0.formula": ""}
        results.outputs.update_many({"output.@class": kind}, {"$unset": missing})
    for form in ("table", "json"):
        code, _, error = call(
            capsys, "results", "--config", str(config), "--stage", stage, "--format", form
        )
        assert code == 1
        assert f"{kind} " in error
        assert message in error
        assert "KeyError" not in error


def test_the_command(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    common = ["results", "--config", str(config), "--formula", "MgO", "--above-best", "50"]
    code, out, error = call(capsys, *common, "--format", "json")
    assert code == 0, error
    assert [round(row["energy_above_best"]) for row in json.loads(out)] == [0, 10, 30]
    assert Structure.from_dict(json.loads(out)[0]["structure"]).matches(ROCKSALT)
    assert [row["job"] for row in json.loads(out)] == [
        "relaxation-1", "relaxation-1", "relaxation-2",
    ]  # fmt: skip
    code, out, _ = call(capsys, *common, "--format", "csv")
    assert [row["campaign"] for row in csv.DictReader(io.StringIO(out))] == [
        "MgO-1", "MgO-2", "MgO-1",
    ]  # fmt: skip
    code, out, _ = call(capsys, *common)
    assert out.count("Fm-3m (225)") == 3
    folder = tmp_path / "cif"
    code, out, _ = call(capsys, *common, "--format", "cif", "-o", str(folder))
    assert len(list(folder.glob("*.cif"))) == 3
    assert Structure.from_file(next(folder.glob("MgO-2*.cif"))).matches(ROCKSALT)
    code, out, _ = call(capsys, "results", "--config", str(config), "--stage",
                        "melting_temperature", "--format", "json")  # fmt: skip
    assert json.loads(out)[0]["melting_temperature"] == 3000.0
    assert call(capsys, *common, "--format", "xyz")[0] == 1
    assert call(capsys, "results", "--config", str(config), "--stage", "boil")[0] == 1


def test_pages_of_a_database(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of campaigns whose blobs are in its GridFS, finished or not; each its own."""
    with Results.open(config) as results:
        for campaign, found in (("Cu-1", documents()), ("Cu-2", documents()[:3])):
            for number, document in enumerate(found):
                output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
                results.store.update(
                    {
                        "uuid": f"{campaign}-{number}", "index": 1, "output": output,
                        "completed_at": datetime(2030, 1, 1, number).isoformat(),
                        "metadata": {"campaign": campaign, "formula": "Cu"},
                    },
                    key=["uuid", "index"], save={"data": ["Frames", "Potential"]},
                )  # fmt: skip
    pages = tmp_path / "pages"
    command = ["results", "--html", "--config", str(config), "-o", str(pages)]
    for formula, names in (("OMg", ["MgO-1", "MgO-2"]), ("Cu", ["Cu-1", "Cu-2"])):
        code, out, _ = call(capsys, *command, "--formula", formula)
        assert code == 0
        assert out.count("Look at it:") == 2
        assert all(str(pages / f"{name}.html") in out for name in names)
    magnesia = content_of((pages / "MgO-1.html").read_text())
    assert [row["values"]["energy"] for row in magnesia["rows"]] == [-6.0, -5.97, -5.9]
    assert ["campaign", "MgO-1"] in magnesia["facts"]
    copper = content_of((pages / "Cu-1.html").read_text())
    titles = [chart["title"] for chart in copper["charts"]]
    assert {"Parity", "Melt, quench and anneal", "Coverage of environments"} <= set(titles)
    unfinished = content_of((pages / "Cu-2.html").read_text())
    assert unfinished["unfinished"] == "This campaign has no ranking yet."
    assert unfinished["rows"] == []
    (pages / "Cu-1.html").unlink()
    assert call(capsys, *command, "--campaign", "Cu-1")[0] == 0
    assert (pages / "Cu-1.html").exists()
    for wrong, reason in (
        (("--campaign", "Cu-9"), "There is no campaign Cu-9 in the database"),
        (("--formula", "TiO2"), "There is no such campaign in the database"),
    ):
        code, _, errors = call(capsys, *command, *wrong)
        assert code == 1
        assert reason in errors


def test_the_queries_of_the_docs(config: Path, server: EmbeddedDatabase) -> None:
    """As they are printed there."""
    page = (Path(__file__).parents[2] / "docs" / "database.md").read_text()
    queries = next(
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "MongoClient" in block
    )  # fmt: skip
    name = Results.open(config).outputs.database.name
    queries = queries.replace("Mg2SiO4", "MgO").replace('"devitrify"', repr(name))
    queries = re.sub(r"MongoClient\([^)]*\)", f"MongoClient({server.uri!r})", queries)
    found: dict[str, Any] = {}
    exec(queries, found)
    assert [round(c["energy_above_best"]) for c in found["near"]] == [0, 30]
    assert found["potential"] is None
    assert found["under_way"] == {}


def test_a_blob_travels(server: EmbeddedDatabase) -> None:
    """Frames come back through GridFS as they went, and by stage."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    from workflows.documents.training import SampleDocument

    name = f"results_{next(numbers)}"
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    frames = Frames.concatenate([
        Frames.from_atoms([atoms], stage="liquid"), Frames.from_atoms([atoms] * 2, stage="quench")
    ])  # fmt: skip
    sample = SampleDocument(
        formula="Cu", n_frames=3, n_atoms=4, frames_by_stage={"liquid": 1, "quench": 2},
        frames_left_out=0, shortest_distances={"Cu-Cu": 2.55}, volume_per_atom=11.8, series={},
        frames=frames,
    )  # fmt: skip
    store = job_store(server.uri, name)
    store.connect()
    store.update(
        {
            "uuid": "sample", "index": 1, "completed_at": "2030",
            "output": jsanitize(sample, strict=True, enum_values=True, allow_bson=True),
            "metadata": {"campaign": "Cu-1", "formula": "Cu"},
        },
        key=["uuid", "index"], save={"data": Frames},
    )  # fmt: skip
    results = Results(store)
    whole = results.frames("Cu-1")
    assert whole is not None
    assert len(whole) == 3
    quenched = results.frames("Cu-1", stage="quench")
    assert quenched is not None
    assert set(quenched.stages) == {"quench"}
    (row,) = results.stages("sample")  # without its blob
    assert (row["n_frames"], row["frames.quench"]) == (3, 2)
    assert results.outputs.find_one({"uuid": "sample"})["output"]["frames"].keys() >= {"blob_uuid"}


def test_a_folder_is_asked_like_a_database(
    new_campaign: Callable[..., Campaign], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Format, stage and filters hold for the campaign in a folder too."""
    campaign = new_campaign(formula="MgO")
    with campaign.database() as database:
        store = job_store(database.uri, campaign.document.database)
        store.connect()
        output = jsanitize(ranking("MgO", [-6.0, -5.9]), strict=True, enum_values=True)
        store.update(
            {"uuid": "a", "index": 1, "output": output, "completed_at": "2030",
             "metadata": {"campaign": campaign.id, "formula": "MgO"}},
            key=["uuid", "index"],
        )  # fmt: skip
        store.close()
    folder = str(campaign.folder)
    code, out, error = call(capsys, "results", folder, "--format", "json")
    assert code == 0, error
    assert [row["energy"] for row in json.loads(out)] == [-6.0, -5.9]
    _, out, _ = call(capsys, "results", folder, "--format", "csv", "--above-best", "50")
    assert [row["energy"] for row in csv.DictReader(io.StringIO(out))] == ["-6.0"]
    _, out, _ = call(capsys, "results", folder, "--formula", "SiO2", "--format", "json")
    assert json.loads(out) == []
    # a stage that never ran is no empty table
    code, out, error = call(capsys, "results", folder, "--stage", "train")
    assert (code, out) == (1, "")
    assert "has no figures of train yet; see: devitrify status" in error
    cifs = tmp_path / "cifs"
    assert call(capsys, "results", folder, "--format", "cif", "-o", str(cifs))[0] == 0
    assert len(list(cifs.glob("*.cif"))) == 2
