"""All inputs of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.incar import Incar, InputError
from tests.fake_vasp.kpoints import Mesh, read_mesh
from tests.fake_vasp.poscar import System
from tests.fake_vasp.potcar import Potential, read_potcar
from tests.fake_vasp.settings import Settings, settings_of

#: What the outputs say of the version.
VERSION = "vasp.6.4.2 fake"


@dataclass(frozen=True)
class Job:
    """
    Inputs of a run.

    Attributes
    ----------
    folder : Path
        Where the files are.
    executable : str
        ``std`` or ``gam``.
    ranks : int
        MPI ranks the run pretends to have.
    incar, settings, system, mesh, potentials : Incar, Settings, System, Mesh, list of Potential
        What the files say.
    """

    folder: Path
    executable: str
    ranks: int
    incar: Incar
    settings: Settings
    system: System
    mesh: Mesh
    potentials: list[Potential]

    @classmethod
    def read(cls, folder: Path, executable: str) -> Job:
        """
        Read and check the input files.

        Raises
        ------
        InputError
            If they do not go together or ask for something that is not done here.
        """
        incar = Incar.read(folder)
        system = System.read(folder)
        potentials = read_potcar(folder, system.symbols)
        mesh = read_mesh(folder, system.cell, incar)
        if executable == "gam" and not mesh.is_gamma_only:
            raise InputError("the gamma-only version of VASP was given other k-points")
        settings = settings_of(
            incar,
            list(system.counts),
            [potential.valence for potential in potentials],
            max(potential.cutoff for potential in potentials),
            (folder / "WAVECAR").exists() and (folder / "WAVECAR").stat().st_size > 0,
        )
        ranks = int(os.environ.get("FAKE_VASP_RANKS", "1"))
        groups = incar.integer("KPAR", 1)
        if ranks % groups:
            raise InputError(f"M_divide: can not subdivide {ranks:8d} nodes by {groups:8d}")
        return cls(folder, executable, ranks, incar, settings, system, mesh, potentials)

    @property
    def masses(self) -> NDArray[np.float64]:
        """amu, shape (n,)."""
        return np.array([potential.mass for potential in self.potentials])[self.system.types]

    @property
    def recommended_cutoffs(self) -> NDArray[np.float64]:
        """ENMAX of every atom in eV, shape (n,)."""
        return np.array([potential.cutoff for potential in self.potentials])[self.system.types]
