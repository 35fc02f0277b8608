"""The recorded runs: what they are kept for, and that they are still what runs give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from emmet.core.tasks import TaskDoc
from lxml import etree
from pymatgen.io.vasp import Outcar, Vasprun

from tests.fake_vasp.main import main
from tests.fake_vasp.record import RUNS

pytestmark = pytest.mark.filterwarnings("ignore")
Unpack = Callable[[str], Path]


def vasprun(folder: Path) -> Vasprun:
    return Vasprun(folder / "vasprun.xml", parse_potcar_file=False, exception_on_bad_xml=False)


@pytest.mark.parametrize("name", sorted(set(RUNS) - {"md_killed"}))
def test_emmet_takes_them(recorded_vasp: Unpack, name: str):
    document = TaskDoc.from_directory(recorded_vasp(name))
    finished = name in ("static", "relax", "md", "md_unconverged")
    assert (getattr(document.state, "value", document.state) == "successful") == finished


def test_what_they_are(recorded_vasp: Unpack):
    runs = {name: vasprun(recorded_vasp(name)) for name in RUNS}
    lengths = {name: len(run.ionic_steps) for name, run in runs.items()}
    assert lengths["static"] == lengths["md_stopped"] == 1
    assert lengths["relax_unfinished"] == 3 < lengths["relax"]
    assert lengths["md_killed"] == 11 < lengths["md"] == lengths["md_unconverged"] == 14
    bad = [
        number
        for number, step in enumerate(runs["md_unconverged"].ionic_steps, start=1)
        if len(step["electronic_steps"]) == 60
    ]
    assert bad == [7, 8]
    with pytest.raises(etree.XMLSyntaxError):
        etree.parse(recorded_vasp("md_killed") / "vasprun.xml")
    assert Outcar(recorded_vasp("md_stopped") / "OUTCAR").is_stopped


@pytest.mark.parametrize("name", ["static", "relax", "md"])
def test_they_are_what_runs_give_today(recorded_vasp: Unpack, name: str, monkeypatch):
    folder = recorded_vasp(name)
    before = [step["e_fr_energy"] for step in vasprun(folder).ionic_steps]
    (folder / "WAVECAR").unlink()
    monkeypatch.setenv("FAKE_VASP_SEED", "1")
    assert main("std", folder) == 0
    after = [step["e_fr_energy"] for step in vasprun(folder).ionic_steps]
    np.testing.assert_allclose(after, before, atol=1e-6)
