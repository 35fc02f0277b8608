"""The makers of atomate2 as they are, run by jobflow and custodian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atomate2.vasp.jobs.base import BaseVaspMaker
from atomate2.vasp.jobs.core import RelaxMaker, StaticMaker
from atomate2.vasp.jobs.md import MDMaker
from atomate2.vasp.sets.core import MDSetGenerator
from custodian.vasp.handlers import WalltimeHandler
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure
from pymatgen.io.vasp import Oszicar

from tests.fake_vasp.fixtures import FakeVasp
from tests.fake_vasp.samples import run_kwargs, salt

pytestmark = pytest.mark.filterwarnings("ignore")


def run(
    maker: BaseVaspMaker, structure: Structure, folder: Path, prev_dir: str | None = None
) -> Any:
    """Run one maker and give its document."""
    job = maker.make(structure, prev_dir=prev_dir)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    responses = run_locally(
        job, store=store, root_dir=folder, create_folders=True, ensure_success=True, log=False
    )
    return responses[job.uuid][1].output


def dynamics(n_steps: int, **more: Any) -> MDMaker:
    """Maker of short molecular dynamics, which has handlers of its own."""
    maker = MDMaker(
        input_set_generator=MDSetGenerator(
            nsteps=n_steps, start_temp=800, end_temp=800, user_incar_settings={"LWAVE": True}
        ),
        copy_vasp_kwargs={"additional_vasp_files": ("WAVECAR",)},
        **more,
    )
    maker.run_vasp_kwargs = {**maker.run_vasp_kwargs, **run_kwargs()}
    return maker


def electronic_steps(document: Any) -> int:
    """Number in the first ionic step."""
    file = Path(document.dir_name.split(":", 1)[-1]) / "OSZICAR.gz"
    return len(Oszicar(file).electronic_steps[0])


def test_static(fake_vasp: FakeVasp, tmp_path: Path):
    document = run(StaticMaker(run_vasp_kwargs=run_kwargs()), salt(), tmp_path)
    assert document.state == "successful"
    assert document.output.energy < 0
    assert np.shape(document.output.forces) == (8, 3)
    assert document.output.bandgap > 1


def test_relax(fake_vasp: FakeVasp, tmp_path: Path):
    document = run(RelaxMaker(run_vasp_kwargs=run_kwargs()), salt(stretch=1.03), tmp_path)
    assert document.state == "successful"
    assert np.abs(document.output.forces).max() < 0.02
    assert document.structure.lattice.abc == pytest.approx([5.71] * 3, abs=0.03)


def test_dynamics_in_two_segments(fake_vasp: FakeVasp, tmp_path: Path):
    first = run(dynamics(10), salt(), tmp_path)
    assert first.state == "successful"
    second = run(dynamics(5), first.structure, tmp_path, prev_dir=first.dir_name)
    assert second.state == "successful"
    # wavefunctions were copied, velocities went through the document
    assert electronic_steps(second) < electronic_steps(first) - 3
    drawn = run(dynamics(1), salt(), tmp_path).structure.site_properties["velocities"]
    speeds = [
        np.linalg.norm(velocities, axis=1).mean()
        for velocities in (drawn, first.structure.site_properties["velocities"])
    ]
    assert 0.2 < speeds[1] / speeds[0] < 3


def test_a_walltime_leaves_something_to_continue(fake_vasp: FakeVasp, tmp_path: Path):
    fake_vasp.set(sleep=0.3)
    maker = dynamics(200, stop_children_kwargs={"handle_unsuccessful": False})
    limit = WalltimeHandler(wall_time=6, buffer_time=4)
    maker.run_vasp_kwargs["handlers"] = (*maker.run_vasp_kwargs["handlers"], limit)
    document = run(maker, salt(), tmp_path)
    assert document.state == "failed"
    assert np.any(document.structure.site_properties["velocities"])
    fake_vasp.set(sleep=None)
    again = run(dynamics(5), document.structure, tmp_path, prev_dir=document.dir_name)
    assert again.state == "successful"


@pytest.mark.slow
def test_chgnet_instead_of_the_pair_potential(fake_vasp: FakeVasp, tmp_path: Path):
    from workflows.engines.ase.chgnet import FastCHGNetCalculator  # torch takes its time

    fake_vasp.set(calculator="chgnet")
    document = run(StaticMaker(run_vasp_kwargs=run_kwargs()), salt(), tmp_path)
    atoms = salt().to_ase_atoms()
    atoms.calc = FastCHGNetCalculator()
    error = document.output.energy_per_atom - atoms.get_potential_energy() / len(atoms)
    assert 0 < error < 0.02  # of basis and mesh
    assert np.abs(document.output.forces - atoms.get_forces()).max() < 0.05
