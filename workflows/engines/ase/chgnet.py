"""CHGNet as an ASE calculator that takes one backward pass where the stock one takes two."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import torch
from ase.calculators.calculator import Calculator, all_changes
from chgnet.model.model import BatchedGraph, CHGNet
from pymatgen.core import Structure

if TYPE_CHECKING:
    from ase import Atoms


class FastCHGNetCalculator(Calculator):
    """CHGNet 0.3.0 with its weights from the installed package.

    Energies, forces and stresses are those of ``chgnet.model.dynamics.CHGNetCalculator``. That
    class asks for the gradients by positions and by strain one after the other and keeps a graph
    for second derivatives; here both come from a single backward pass, which nearly halves the
    cost of a molecular dynamics step. Magnetic moments are not computed.

    Parameters
    ----------
    model_name : str
        Name of a weight set that the chgnet package ships.
    """

    implemented_properties = [  # noqa: RUF012 (ASE declares it for instances)
        "energy",
        "forces",
        "stress",
        "free_energy",
    ]

    def __init__(self, model_name: str = "0.3.0", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with contextlib.redirect_stdout(io.StringIO()):  # the package announces itself on stdout
            self.model = CHGNet.load(model_name=model_name, use_device="cpu", verbose=False)
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
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, ASE's sign)."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        current = self.atoms
        assert current is not None
        structure = Structure(
            current.cell.array, current.numbers, current.get_scaled_positions(wrap=False)
        )
        graph = self.model.graph_converter(structure)
        batch = BatchedGraph.from_graphs(
            [graph],
            bond_basis_expansion=self.model.bond_basis_expansion,
            angle_basis_expansion=self.model.angle_basis_expansion,
            compute_stress=True,
        )
        per_atom = self.model._compute(batch)["e"]
        scale = len(structure) if self.model.is_intensive else 1
        shift = self.model.composition_model([graph]) if self.model.composition_model else 0.0
        leaves = (*batch.atom_positions, *batch.strains)
        gradients = torch.autograd.grad(per_atom.sum() * scale, leaves)
        strain_gradient = gradients[-1].numpy()
        stress = (strain_gradient + strain_gradient.T) / (2 * current.get_volume())
        energy = float((per_atom.detach() + shift).item()) * scale
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": -gradients[0].numpy().astype(float),
            "stress": stress.astype(float)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }
