"""The makers of atomate2 as they are, run by jobflow and custodian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atomate2.vasp.jobs.core import RelaxMaker, StaticMaker
from atomate2.vasp.jobs.md import MDMaker
from emmet.core.tasks import TaskDoc
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure

from tests.fake_vasp.fixtures import FakeVasp
from tests.fake_vasp.samples import run_kwargs, salt

pytestmark = pytest.mark.filterwarnings("ignore")


def run(maker: Any, structure: Structure, folder: Path, prev_dir: str | None = None) -> TaskDoc:
    """Run one maker and give its document."""
    job = maker.make(structure, prev_dir=prev_dir)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    responses = run_locally(
        job, store=store, root_dir=folder, create_folders=True, ensure_success=True, log=False
    )
    return responses[job.uuid][1].output


def test_static(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    document = run(StaticMaker(run_vasp_kwargs=run_kwargs()), salt(), tmp_path)
    assert document.state == "successful"
    assert document.output.energy < 0
    assert np.shape(document.output.forces) == (8, 3)


def test_relax(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    document = run(RelaxMaker(run_vasp_kwargs=run_kwargs()), salt(stretch=1.03), tmp_path)
    assert document.state == "successful"
    assert np.abs(document.output.forces).max() < 0.02


def test_dynamics(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    maker = MDMaker()
    maker.run_vasp_kwargs = {**maker.run_vasp_kwargs, **run_kwargs()}
    maker.input_set_generator.nsteps = 30
    document = run(maker, salt(), tmp_path)
    assert document.state == "successful"
    assert document.structure.site_properties["velocities"]
