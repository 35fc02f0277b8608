"""CHGNet as an ASE calculator that takes one backward pass where the stock one takes two."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import torch
from ase.calculators.calculator import all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from chgnet.model.model import BatchedGraph, CHGNet
from pymatgen.core import Structure

from workflows.engines.ase.calculator import ModelCalculator
from workflows.engines.ase.device import AUTO, choose_device

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray


class FastCHGNetCalculator(ModelCalculator):
    """
    CHGNet 0.3.0 with its weights from the installed package.

    Energies, forces and stresses are those of ``chgnet.model.dynamics.CHGNetCalculator``. That
    class asks for the gradients by positions and by strain one after the other and keeps a graph
    for second derivatives; here both come from a single backward pass, which nearly halves the
    cost of a molecular dynamics step. Magnetic moments are magnitudes, without a sign.

    Parameters
    ----------
    model_name : str
        Name of a weight set that the chgnet package ships.
    device : str
        ``cpu``, ``cuda``, or ``auto``: a GPU if torch sees one.
    """

    implemented_properties = [*ModelCalculator.implemented_properties, "magmoms"]  # noqa: RUF012

    def __init__(self, model_name: str = "0.3.0", device: str = AUTO, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device = choose_device(device)
        with contextlib.redirect_stdout(io.StringIO()):  # the package announces itself on stdout
            self.model = CHGNet.load(model_name=model_name, use_device=self.device, verbose=False)
        self.model.eval()
        self.model.graph_converter.set_isolated_atom_response("ignore")
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what all models do, and magnetic moments (μB)."""
        super().calculate(atoms, properties, system_changes)
        self.results["magmoms"] = self._moments

    def evaluate(self, atoms: Atoms) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, ASE's sign)."""
        structure = Structure(
            atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(wrap=False)
        )
        graph = self.model.graph_converter(structure).to(self.device)
        batch = BatchedGraph.from_graphs(
            [graph],
            bond_basis_expansion=self.model.bond_basis_expansion,
            angle_basis_expansion=self.model.angle_basis_expansion,
            compute_stress=True,
        )
        computed = self.model._compute(batch, compute_magmom=True)
        per_atom = computed["e"]
        self._moments = computed["m"][0].detach().cpu().numpy().astype(float)
        scale = len(structure) if self.model.is_intensive else 1
        shift = self.model.composition_model([graph]) if self.model.composition_model else 0.0
        leaves = (*batch.atom_positions, *batch.strains)
        gradients = torch.autograd.grad(per_atom.sum() * scale, leaves)
        strain_gradient = gradients[-1].cpu().numpy()
        stress = (strain_gradient + strain_gradient.T) / (2 * atoms.get_volume())
        energy = float((per_atom.detach() + shift).item()) * scale
        forces = -gradients[0].cpu().numpy().astype(float)
        return energy, forces, full_3x3_to_voigt_6_stress(stress.astype(float))
