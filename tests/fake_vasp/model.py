"""Energies, forces and stresses: a pair potential, or any other ASE calculator."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from numpy.typing import NDArray

from tests.fake_vasp.incar import InputError
from tests.fake_vasp.neighbors import PairList, Pairs

#: Names that ``FAKE_VASP_CALCULATOR`` may say instead of ``module:callable``.
CALCULATORS = {
    "pair": "tests.fake_vasp.model:PairPotential",
    "chgnet": "workflows.engines.ase.chgnet:FastCHGNetCalculator",
}
#: Electronegativities by Pauling's scale, hydrogen to radium; 1.8 where there is none.
# fmt: off
_PAULING = (
    2.2, 1.8, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 1.8, 0.93, 1.31, 1.61, 1.9, 2.19, 2.58,
    3.16, 1.8, 0.82, 1.0, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01,
    2.18, 2.55, 2.96, 3.0, 0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93, 1.69,
    1.78, 1.96, 2.05, 2.1, 2.66, 2.6, 0.79, 0.89, 1.1, 1.12, 1.13, 1.14, 1.13, 1.17, 1.2, 1.2,
    1.1, 1.22, 1.23, 1.24, 1.25, 1.1, 1.27, 1.3, 1.5, 2.36, 1.9, 2.2, 2.2, 2.28, 2.54, 2.0,
    1.62, 2.33, 2.02, 2.0, 2.2, 2.2, 0.79, 0.9,
)
# fmt: on


def switch(r: NDArray, start: float, end: float) -> tuple[NDArray, NDArray]:
    """Smooth step from one at ``start`` to zero at ``end`` and its derivative, both C2."""
    t = np.clip((end - r) / (end - start), 0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t * t), -30 * (t * (1 - t)) ** 2 / (end - start)


def gather(pairs: Pairs, slopes: NDArray, n_atoms: int) -> tuple[NDArray, NDArray]:
    """
    Forces and virial of pair terms.

    Parameters
    ----------
    pairs : Pairs
        The pairs.
    slopes : NDArray
        Derivative of every pair's energy by its distance, eV/Å, shape (p,).
    n_atoms : int
        Number of atoms.

    Returns
    -------
    tuple
        Forces in eV/Å, shape (n, 3), and the derivative of the energy by strain in eV, (3, 3).
    """
    pulls = (slopes / pairs.distances)[:, None] * pairs.vectors
    forces = np.stack(
        [
            np.bincount(pairs.first, pulls[:, c], n_atoms)
            - np.bincount(pairs.second, pulls[:, c], n_atoms)
            for c in range(3)
        ],
        axis=1,
    )
    return forces, pulls.T @ pairs.vectors


class PairPotential(Calculator):
    """
    Morse potentials for all pairs of elements, smoothly cut off.

    Atoms of different electronegativity bind strongly at the sum of their covalent radii, alike
    ones weakly and further apart, so that salts and oxides become alternating networks which melt
    somewhere between a thousand and a few thousand kelvin. No energy is meant to be right.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012
    #: Å; the switch takes the last part.
    cutoff, switch_start = 6.0, 4.2
    #: 1/Å.
    steepness = 1.7
    #: eV an atom, so that energies are negative as those of VASP.
    reference = -2.0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._list = PairList(self.cutoff)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt)."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        current = self.atoms
        assert current is not None
        if "numbers" in system_changes:
            self._depths, self._lengths = pair_parameters(current.numbers)
        n = len(current)
        pairs = self._list.update(current.cell.array, current.positions)
        key = (pairs.first, pairs.second)
        depths, lengths = self._depths[key], self._lengths[key]
        decay = np.exp(-self.steepness * (pairs.distances - lengths))
        energies = depths * decay * (decay - 2)
        slopes = 2 * self.steepness * depths * decay * (1 - decay)
        step, step_slope = switch(pairs.distances, self.switch_start, self.cutoff)
        forces, virial = gather(pairs, slopes * step + energies * step_slope, n)
        energy = float((energies * step).sum()) + n * self.reference
        stress = virial / current.get_volume()
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces,
            "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }


def pair_parameters(numbers: NDArray) -> tuple[NDArray, NDArray]:
    """Well depth (eV) and distance (Å) of all pairs of atoms, shapes (n, n)."""
    chi = np.array([_electronegativity(int(z)) for z in numbers])
    radii = np.array([min(float(covalent_radii[z]), 2.0) for z in numbers])
    contrast = np.minimum(np.abs(chi[:, None] - chi[None, :]) / 1.6, 1.0)
    depths = 0.12 + 0.68 * contrast
    lengths = (radii[:, None] + radii[None, :]) * (1.45 - 0.38 * contrast)
    return depths, np.minimum(lengths, 4.2)


def _electronegativity(number: int) -> float:
    return _PAULING[number - 1] if number <= len(_PAULING) else 1.8


def make_dispersion(ivdw: int) -> Calculator | None:
    """
    Build the calculator of dispersion that IVDW asks for: D3 of PBE with VASP's own cutoffs.

    Parameters
    ----------
    ivdw : int
        11: damped to zero; 12: damped by Becke and Johnson's function; 0: none.
    """
    if not ivdw:
        return None
    from dftd3.ase import DFTD3

    return DFTD3(
        damping={11: "d3zero", 12: "d3bj"}[ivdw],
        params_tweaks={"method": "pbe", "atm": False},
        realspace_cutoff={"disp2": 50.2, "cn": 21.17},
    )


def make_calculator() -> Calculator:
    """
    Build the calculator that the environment variable ``FAKE_VASP_CALCULATOR`` names.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    name = os.environ.get("FAKE_VASP_CALCULATOR", "pair")
    module, _, attribute = CALCULATORS.get(name, name).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"FAKE_VASP_CALCULATOR={name}: {error}") from error
