"""The potential in vectorised PyTorch with automatic derivatives: oracle and yardstick."""

from __future__ import annotations

from typing import NamedTuple

import torch
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential


class Neighbors(NamedTuple):
    """Pairs within the radial cutoff: centre, neighbour, lattice translation."""

    centre: torch.Tensor
    neighbor: torch.Tensor
    shift: torch.Tensor


def neighbors(atoms: Atoms, cutoff: float) -> Neighbors:
    """Pairs sorted by centre."""
    i, j, shift = primitive_neighbor_list(
        "ijS", (True,) * 3, atoms.cell.array, atoms.positions, cutoff
    )
    return Neighbors(torch.tensor(i), torch.tensor(j), torch.tensor(shift, dtype=torch.float64))


class TorchPotential:
    """
    Energy, forces and stress of one structure.

    Parameters
    ----------
    potential : Potential
        Without repulsion; one network with tanh.
    """

    def __init__(self, potential: Potential) -> None:
        self.functions: SymmetryFunctions = potential.functions
        self.radial = torch.tensor(self.functions.radial, dtype=torch.float64)
        self.angular = torch.tensor(self.functions.angular, dtype=torch.float64)
        as_tensor = torch.from_numpy
        self.shift, self.scale = as_tensor(potential.shift), as_tensor(potential.scale)
        self.projection = as_tensor(potential.projection)
        self.weights = [as_tensor(w[:, 0].copy()) for w in potential.weights]
        self.biases = [as_tensor(b[:, 0].copy()) for b in potential.biases]
        self.references = as_tensor(potential.reference_energies)

    def compute(self, atoms: Atoms, pairs: Neighbors) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Energy in eV, forces in eV/Å, stress in eV/Å³."""
        types = torch.from_numpy(self.functions.types(atoms.numbers))
        positions = torch.tensor(atoms.positions, requires_grad=True)
        strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
        deformation = torch.eye(3, dtype=torch.float64) + 0.5 * (strain + strain.T)
        cell = torch.tensor(atoms.cell.array)
        vectors = positions[pairs.neighbor] - positions[pairs.centre] + pairs.shift @ cell
        vectors = vectors @ deformation
        values = self.descriptors(vectors, pairs.centre, types[pairs.neighbor], len(atoms))
        energy = self.network(values, types)
        force, virial = torch.autograd.grad(energy, (positions, strain))
        return energy.item(), -force, virial / atoms.get_volume()

    def cutoff(self, r: torch.Tensor, radius: float) -> torch.Tensor:
        """Cosine cutoff of distances below the radius."""
        return 0.5 * (1.0 + torch.cos(torch.pi * r / radius))

    def descriptors(
        self, vectors: torch.Tensor, centre: torch.Tensor, species: torch.Tensor, n_atoms: int
    ) -> torch.Tensor:
        """Symmetry functions, shape (n_atoms, n_functions)."""
        n = len(self.functions.elements)
        r = vectors.norm(dim=1)
        eta, shift = self.radial.T
        terms = torch.exp(-eta * (r[:, None] - shift) ** 2)
        terms = terms * self.cutoff(r, self.functions.radial_cutoff)[:, None]
        radial = torch.zeros(n_atoms * n, len(eta), dtype=r.dtype)
        radial = radial.index_add(0, centre * n + species, terms).reshape(n_atoms, -1)
        return torch.cat([radial, self._angular(vectors, r, centre, species, n_atoms)], dim=1)

    def _angular(
        self,
        vectors: torch.Tensor,
        r: torch.Tensor,
        centre: torch.Tensor,
        species: torch.Tensor,
        n_atoms: int,
    ) -> torch.Tensor:
        radius = self.functions.angular_cutoff
        close = r < radius
        vectors, r, centre, species = vectors[close], r[close], centre[close], species[close]
        j, k = self._pairs_of_neighbors(centre, n_atoms)
        apart = (vectors[j] - vectors[k]).norm(dim=1)
        keep = apart < radius
        j, k, apart = j[keep], k[keep], apart[keep]
        cosine = (vectors[j] * vectors[k]).sum(dim=1) / (r[j] * r[k])
        squares = r[j] ** 2 + r[k] ** 2 + apart**2
        fc = self.cutoff(r, radius)
        envelope = fc[j] * fc[k] * self.cutoff(apart, radius)
        eta, zeta, sign = self.angular.T
        angle = (1.0 + sign * cosine[:, None]).clamp(min=0.0) ** zeta
        terms = 2.0 ** (1.0 - zeta) * angle * torch.exp(-eta * squares[:, None])
        n = len(self.functions.elements)
        low, high = torch.minimum(species[j], species[k]), torch.maximum(species[j], species[k])
        block = low * n - low * (low - 1) // 2 + high - low
        n_blocks = n * (n + 1) // 2
        values = torch.zeros(n_atoms * n_blocks, len(eta), dtype=r.dtype)
        values = values.index_add(0, centre[j] * n_blocks + block, terms * envelope[:, None])
        return values.reshape(n_atoms, -1)

    @staticmethod
    def _pairs_of_neighbors(
        centre: torch.Tensor, n_atoms: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices j < k of all neighbour pairs that share a centre."""
        counts = torch.bincount(centre, minlength=n_atoms)
        starts = counts.cumsum(0) - counts
        width = int(counts.max())
        a, b = torch.triu_indices(width, width, 1)
        present = b[None, :] < counts[:, None]
        return (starts[:, None] + a)[present], (starts[:, None] + b)[present]

    def network(self, values: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Total energy in eV."""
        energy = self.references[types].sum()
        for e in range(len(self.functions.elements)):
            x = (values[types == e] - self.shift[e]) / self.scale[e] @ self.projection[e]
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                x = x @ weight[e] + bias[e]
                if layer < len(self.weights) - 1:
                    x = torch.tanh(x)
            energy = energy + x.sum()
        return energy
