"""The self-consistency loop: how many electronic steps, and what is left when it stops early."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.kpoints import Mesh
from tests.fake_vasp.poscar import System, header
from tests.fake_vasp.settings import Settings
from tests.fake_vasp.text import rows

#: Error of the first step in eV an atom: from nothing, from the density, from wavefunctions, from
#: the ionic step before.
FROM_NOTHING, FROM_DENSITY, FROM_WAVEFUNCTIONS, FROM_LAST_STEP = 3.0, 0.3, 0.02, 0.01
#: Factor on the error a step, by the first letter of ALGO.
CONTRACTION = {"N": 0.12, "F": 0.15, "V": 0.2, "A": 0.1, "C": 0.1, "D": 0.3}
#: Factor on the error of the first steps, which keep the density.
DELAY_CONTRACTION = 0.6
#: Error (eV an atom) around which a loop that does not converge moves, and the noise it leaves
#: in the forces (eV/Å).
SLOSHING, FORCE_NOISE = 0.02, 0.3


@dataclass(frozen=True)
class Loop:
    """
    A finished electronic loop.

    Attributes
    ----------
    energies : NDArray[np.float64]
        Free energy after every electronic step in eV, shape (m,).
    converged : bool
        Whether the last change was below EDIFF.
    exact : float
        Energy it was going to, eV.
    """

    energies: NDArray[np.float64]
    converged: bool
    exact: float

    @property
    def residual(self) -> float:
        """Error of the last step in eV."""
        return float(self.energies[-1] - self.exact)


class Electrons:
    """
    Electronic loops of a run.

    Parameters
    ----------
    settings : Settings
        ALGO, EDIFF, NELM and the like.
    n_atoms : int
        Number of atoms.
    start : float
        Error of the very first step, eV an atom.
    """

    def __init__(self, settings: Settings, n_atoms: int, start: float) -> None:
        self.settings, self.n_atoms = settings, n_atoms
        self._error = start
        self._delay = abs(settings.nelmdl)

    def converge(self, energy: float, sloshing: bool = False) -> Loop:
        """
        Run one loop towards the energy (eV) of the exact calculator.

        Parameters
        ----------
        energy : float
            Where it goes.
        sloshing : bool
            Charge moves to and fro and the loop does not converge.
        """
        settings = self.settings
        error = self._error * self.n_atoms
        factor = CONTRACTION.get(settings.algo[:1].upper(), 0.12)
        energies = []
        converged = False
        for step in range(settings.nelm):
            if sloshing:
                error = SLOSHING * self.n_atoms * (1 + 0.5 * np.cos(2.4 * step))
            energies.append(energy + error)
            change = abs(energies[-1] - energies[-2]) if step else np.inf
            converged = bool(change < settings.ediff and step + 1 >= settings.nelmin)
            if converged:
                break
            error *= DELAY_CONTRACTION if step < self._delay else factor
        self._error, self._delay = FROM_LAST_STEP, 0
        return Loop(np.array(energies), converged, energy)


def disturbed(forces: NDArray, loop: Loop, n_atoms: int) -> NDArray[np.float64]:
    """Forces (eV/Å) as they come out of an electronic loop that has not converged."""
    if loop.converged:
        return forces
    size = FORCE_NOISE * min(1.0, abs(loop.residual) / (SLOSHING * n_atoms))
    noise = np.random.default_rng(len(loop.energies)).standard_normal(forces.shape)
    return forces + size * (noise - noise.mean(axis=0))


def starting_error(folder: Path, settings: Settings, system: System, mesh: Mesh) -> float:
    """Error of the first electronic step in eV an atom, given the files there are to start from."""
    if settings.istart and _fits(folder / "WAVECAR", system, mesh):
        return FROM_WAVEFUNCTIONS
    if settings.icharg in (1, 11) and (folder / "CHGCAR").exists():
        return FROM_DENSITY
    return FROM_NOTHING


def _fits(wavecar: Path, system: System, mesh: Mesh) -> bool:
    """Whether the wavefunctions are of the same atoms and k-points."""
    try:
        content = json.loads(wavecar.read_text())
    except (OSError, ValueError):
        return False
    return bool(content == _token(system, mesh))


def _token(system: System, mesh: Mesh) -> dict[str, list[int]]:
    return {"counts": list(system.counts), "divisions": list(mesh.divisions)}


def write_states(folder: Path, settings: Settings, system: System, mesh: Mesh) -> None:
    """Write WAVECAR, a token of a few bytes, and CHGCAR on the smallest of grids, if asked for."""
    if settings.lwave:
        (folder / "WAVECAR").write_text(json.dumps(_token(system, mesh)))
    if settings.lcharg:
        positions = rows("%10.6f%10.6f%10.6f", system.scaled % 1.0)
        density = f" {settings.nelect:.11E}" * 4
        (folder / "CHGCAR").write_text(
            f"{header(system)}Direct\n{positions}\n    2    2    2\n{density}\n{density}\n"
        )
