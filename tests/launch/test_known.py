"""Known phases beside a ranking."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from jobflow import SETTINGS, Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from launch.commands.shared.crystal_files import read_known
from launch.errors import CampaignError
from launch.report.campaign_results import CampaignResults
from launch.report.known import compare_phase, in_words
from search.relax.limits import RelaxationLimits
from tests.launch.page_samples import anatase, candidate, page_of, prediction, rutile
from tests.launch.test_report import store_of
from tests.workflows.samples import emt
from workflows.composition import Target
from workflows.documents.decoding import decode
from workflows.documents.known import KnownPhase, KnownPhasesDocument
from workflows.stages.known_phases import KnownPhasesMaker


def known(*energies: float) -> KnownPhasesDocument:
    """Rutile, and a phase that nobody found."""
    dense = rutile()
    dense.scale_lattice(0.8 * dense.volume)
    crystals = zip(("rutile", "dense"), (rutile(), dense), energies, strict=False)
    phases = [KnownPhase(label=n, crystal=candidate(s, 9, e)) for n, s, e in crystals]
    return KnownPhasesDocument(formula="TiO2", engine="emt", phases=phases)


@pytest.mark.parametrize(("structure", "energy", "rank", "words"), [
    (rutile(), -8.8905, 2, "as rank 2"),
    (rutile(), -8.85, None, "no; it would be rank 3"),  # the same cell, another energy
    (anatase(), -8.6, None, "no; it is above all ranked"),
    (rutile(), -8.95, None, "no, and it is lower than all"),
])  # fmt: skip
def test_a_phase_is_looked_for(structure: object, energy: float, rank: int, words: str) -> None:
    crystal = candidate(structure, 9, energy)  # type: ignore[arg-type]
    found = compare_phase(KnownPhase(label="x", crystal=crystal), prediction().candidates)
    assert found.rank == rank
    assert found.above_best == pytest.approx(1000 * (energy + 8.9))
    assert in_words(found) == words


def test_the_page_has_known_phases_among_the_others() -> None:
    page = page_of(prediction(), known(-8.89, -8.8))
    assert [row.values.get("known") for row in page.rows] == [
        None, "rutile", None, "rutile", "dense",
    ]  # fmt: skip
    assert [row.marks for row in page.rows[3:]] == [["known"], ["known"]]
    assert page.rows[0].values["above_known"] == pytest.approx(-10.0)
    assert page.crystals[3].name == "known_rutile"


def test_phases_are_looked_for_once_however_many_ask() -> None:
    results = CampaignResults(store_of([prediction(), known(-8.89, -8.8)]), "mine")
    assert [one.rank for one in results.known_phases()] == [2, None]
    assert results.known_phases() is results.known_phases()
    nobody = CampaignResults(store_of([prediction()]), "mine")
    assert nobody.known_phases() == []


def test_a_known_phase_is_looked_for_at_its_own_pressure() -> None:
    """The second ranking has the same structures with other enthalpies, and says nothing of it."""
    first = prediction()
    pressed = [c.model_copy(update={"pressure": 200.0}) for c in first.candidates]
    both = first.model_copy(
        update={"pressures": [0.0, 200.0], "candidates": [*first.candidates, *pressed]}
    )
    page = page_of(both, known(-8.89))
    names = [row.values.get("known") for row in page.rows]
    assert names == [None, "rutile", None, None, None, None, "rutile"]
    assert "above_known" not in page.rows[4].values
    assert [row.values.get("pressure") for row in page.rows[:6]] == [0, 0, 0, 20, 20, 20]


def test_known_phases_are_relaxed_by_the_engine() -> None:
    """Copper by effective medium theory: a = 3.59 Å, and bcc 4 meV above fcc at 0 K there."""
    from workflows.conversion import to_structure

    phases = {"bcc": bulk("Cu", "bcc", a=2.8), "fcc": bulk("Cu", "fcc", a=3.5)}
    maker = KnownPhasesMaker(limits=RelaxationLimits(max_force=0.01, max_stress=0.5))
    work = maker.make(
        {label: to_structure(atoms) for label, atoms in phases.items()}, Target("Cu", (1,)), emt()
    )
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    SETTINGS.JOB_STORE = store
    flow = Flow([work], output=work.output)
    flow.update_metadata({"campaign": "mine"}, dynamic=True)
    run_locally(flow, store=store, create_folders=False, log=False, allow_external_references=True)
    found = decode(store.get_output(work.uuid, which="last", load=True))
    assert isinstance(found, KnownPhasesDocument)
    assert [phase.label for phase in found.phases] == ["fcc", "bcc"]
    best = found.phases[0].crystal
    assert best.space_group == "Fm-3m"
    assert best.volume == pytest.approx(3.59**3 / 4, rel=0.01)
    assert best.energy == pytest.approx(-0.007, abs=0.002)
    assert found.phases[1].crystal.space_group == "Im-3m"
    assert found.evaluations > 2


def test_a_folder_of_files_is_read_and_others_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "known"
    folder.mkdir()
    with pytest.raises(CampaignError, match="no file in the folder"):
        read_known([folder], {"Cu": 1})
    write(folder / "fcc.cif", bulk("Cu", cubic=True))
    write(folder / "bcc.vasp", bulk("Cu", "bcc", a=2.8))
    write(tmp_path / "fcc.vasp", bulk("Cu", "fcc", a=3.7))
    found = read_known([folder, tmp_path / "fcc.vasp"], {"Cu": 1})
    assert list(found) == ["bcc", "fcc", "fcc (2)"]
    with pytest.raises(CampaignError, match="another composition"):
        read_known([folder], {"Au": 1})
