"""Structures and runs for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Incar, Kpoints, Poscar

from tests.fake_vasp.main import main
from tests.fake_vasp.potcar import potcar

#: Smearing for all runs.
SMEARING = {"ISMEAR": 0, "SIGMA": 0.05}


def salt(stretch: float = 1.0, rattle: float = 0.05, repeat: int = 1) -> Structure:
    """NaCl in conventional cells of eight atoms, somewhat off their sites."""
    sites = np.stack(np.meshgrid(*[np.arange(2 * repeat)] * 3, indexing="ij"), axis=-1)
    sites = sites.reshape(-1, 3)
    parity = sites.sum(axis=1) % 2
    order = np.argsort(parity, kind="stable")
    side = 5.3 * stretch * repeat
    noise = rattle / side * np.random.default_rng(1).standard_normal(sites.shape)
    symbols = ["Na", "Cl"]
    return Structure(
        Lattice.cubic(side),
        [symbols[p] for p in parity[order]],
        sites[order] / (2 * repeat) + noise,
    )


def write_inputs(
    folder: Path,
    structure: Structure,
    tags: dict[str, Any],
    mesh: tuple[int, int, int] = (1, 1, 1),
) -> Path:
    """Write the input files of a run with pymatgen."""
    folder.mkdir(parents=True, exist_ok=True)
    poscar = Poscar(structure)
    poscar.write_file(folder / "POSCAR", significant_figures=16)
    Kpoints.gamma_automatic(mesh).write_file(folder / "KPOINTS")
    Incar({**SMEARING, **tags}).write_file(folder / "INCAR")
    (folder / "POTCAR").write_text("".join(potcar(symbol) for symbol in poscar.site_symbols))
    return folder


def run_here(
    folder: Path,
    structure: Structure,
    mesh: tuple[int, int, int] = (1, 1, 1),
    expect: int = 0,
    **tags: Any,
) -> Path:
    """Run in this process and check the exit status."""
    write_inputs(folder, structure, tags, mesh)
    assert main("std", folder) == expect
    return folder


def run_kwargs(**more: Any) -> dict[str, Any]:
    """Arguments of atomate2's ``run_vasp``: custodian looks often, as runs here are short."""
    return {"custodian_kwargs": {"polling_time_step": 0.2, "monitor_freq": 1}, **more}
