"""``python -m tests.fake_vasp.record``: run again what the folder ``recorded`` has."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import FIRE
from pymatgen.core import Structure

from tests.fake_vasp.fixtures import RECORDED
from tests.fake_vasp.install import install
from tests.fake_vasp.model import PairPotential
from tests.fake_vasp.samples import salt, write_inputs

#: Tags of molecular dynamics of the ternary melt.
MD = {
    "IBRION": 0,
    "MDALGO": 2,
    "SMASS": 0,
    "TEBEG": 1500,
    "TEEND": 1400,
    "NSW": 14,
    "POTIM": 2.0,
    "ALGO": "Fast",
    "EDIFF": 1e-4,
    "LCHARG": False,
}
RELAX = {"NSW": 60, "IBRION": 2, "ISIF": 3, "EDIFFG": -0.05}
#: Every run: its tags, k-point mesh and faults.
RUNS: dict[str, tuple[dict[str, Any], tuple[int, int, int], str]] = {
    "static": ({"NSW": 0}, (2, 2, 2), ""),
    "relax": (RELAX, (2, 2, 2), ""),
    "relax_unfinished": ({**RELAX, "NSW": 3}, (2, 2, 2), ""),
    "md": (MD, (1, 1, 1), ""),
    "md_unconverged": (MD, (1, 1, 1), "unconverged step 7 steps 2"),
    "md_killed": (MD, (1, 1, 1), "sigkill step 12"),
    "md_stopped": (MD, (1, 1, 1), ""),
}


def melt() -> Structure:
    """18 atoms of LiAlCl4, mixed on a cubic lattice and moved out of each other's way."""
    generator = np.random.default_rng(4)
    sites = np.stack(np.meshgrid(np.arange(3), np.arange(3), np.arange(2), indexing="ij"), -1)
    positions = generator.permutation(2.8 * sites.reshape(-1, 3).astype(float))
    atoms = Atoms(
        "Li3Al3Cl12", positions, cell=[8.4, 8.4, 5.6], pbc=True, calculator=PairPotential()
    )
    atoms.rattle(0.1, rng=generator)
    FIRE(atoms, logfile=None).run(fmax=0.5, steps=40)
    return Structure(
        atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True
    )


def record(name: str, executable: Path, folder: Path) -> None:
    """Run in a folder and keep all files, compressed."""
    tags, mesh, faults = RUNS[name]
    write_inputs(folder, melt() if name.startswith("md") else salt(1.02), tags, mesh)
    if name == "md_stopped":
        (folder / "STOPCAR").write_text("LSTOP = .TRUE.\n")
    environment = {**os.environ, "FAKE_VASP_FAULTS": faults, "FAKE_VASP_SEED": "1"}
    with (folder / "vasp.out").open("w") as output:
        subprocess.run([executable], cwd=folder, env=environment, stdout=output, check=False)
    shutil.rmtree(RECORDED / name, ignore_errors=True)
    (RECORDED / name).mkdir(parents=True)
    for file in folder.iterdir():
        if file.name != "fake_vasp_state.json":
            data = gzip.compress(file.read_bytes(), mtime=0)
            (RECORDED / name / f"{file.name}.gz").write_bytes(data)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        vasp = install(Path(temporary), []).executables / "vasp_std"
        for run in RUNS:
            record(run, vasp, Path(temporary) / run)
