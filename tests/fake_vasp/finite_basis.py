"""
What a finite basis and a finite k-mesh do to energy, forces and stress.

Both errors fall off exponentially, with the cutoff energy in units of each element's ENMAX and
with the size of the crystal that the k-mesh stands for, and both are larger where atoms are
crowded, so that forces and stresses have errors too. The plane waves are chosen once for the
starting cell: when the cell changes, their effective cutoff does as well. The stress belongs to
that constant basis and has, as VASP's, a Pulay part that pulls the cell together.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from tests.fake_vasp.kpoints import Mesh
from tests.fake_vasp.model import gather, switch
from tests.fake_vasp.neighbors import PairList

#: eV an atom at a cutoff of ENMAX, and how fast it falls with the cutoff over ENMAX.
BASIS_ERROR, BASIS_DECAY = 0.012, 7.5
#: eV an atom for a crystal of no size, and the length (Å) over which it falls by e.
MESH_ERROR, MESH_LENGTH = 3.0, 1.6
#: Crowding: strength, range of the switch in Å.
CROWDING, CROWDING_START, CROWDING_END = 0.25, 1.5, 4.0


class FiniteBasis(Calculator):
    """
    A calculator plus the errors of a finite basis and k-mesh.

    Parameters
    ----------
    exact : Calculator
        Gives the converged values.
    cutoff : float
        ENCUT in eV.
    recommended : NDArray
        ENMAX of every atom in eV, shape (n,).
    mesh : Mesh
        k-points.
    cell : NDArray
        Starting cell, for which the plane waves are chosen; lattice vectors in rows, Å.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(
        self, exact: Calculator, cutoff: float, recommended: NDArray, mesh: Mesh, cell: NDArray
    ) -> None:
        super().__init__()
        self.exact, self.mesh = exact, mesh
        self.ratios = cutoff / recommended
        self.volume = abs(float(np.linalg.det(cell)))
        self._list = PairList(CROWDING_END)

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
        volume = current.get_volume()
        amplitudes, by_strain = self._amplitudes(current.cell.array, volume)
        pairs = self._list.update(current.cell.array, current.positions)
        step, slope = switch(pairs.distances, CROWDING_START, CROWDING_END)
        crowding = np.bincount(pairs.first, step, len(current))
        crowding += np.bincount(pairs.second, step, len(current))
        factors = 1 + CROWDING * crowding
        both = amplitudes[pairs.first] + amplitudes[pairs.second]
        forces, virial = gather(pairs, CROWDING * both * slope, len(current))
        virial += np.einsum("n,nab->ab", factors, by_strain)
        energy = self.exact.get_potential_energy(current) + float(amplitudes @ factors)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": self.exact.get_forces(current) + forces,
            "stress": self.exact.get_stress(current) + virial.ravel()[[0, 4, 8, 5, 2, 1]] / volume,
        }

    def _amplitudes(self, cell: NDArray, volume: float) -> tuple[NDArray, NDArray]:
        """Error of every atom in eV, shape (n,), and its derivative by strain, (n, 3, 3)."""
        ratios = self.ratios * (self.volume / volume) ** (2 / 3)
        basis = BASIS_ERROR * np.exp(-BASIS_DECAY * (ratios - 1))
        basis_slope = basis * BASIS_DECAY * ratios * 2 / 3  # by the logarithm of the volume
        reciprocal = np.linalg.inv(cell).T
        norms = np.linalg.norm(reciprocal, axis=1)
        lengths = np.array(self.mesh.divisions) / norms
        mesh = MESH_ERROR / 3 * np.exp(-lengths / MESH_LENGTH)
        directions = reciprocal / norms[:, None]
        mesh_slope = np.einsum("d,da,db->ab", -mesh * lengths / MESH_LENGTH, directions, directions)
        by_strain = basis_slope[:, None, None] * np.eye(3) + mesh_slope
        return basis + mesh.sum(), by_strain
