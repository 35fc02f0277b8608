"""SevenNet as an ASE calculator, with the weights that its package brings along."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sevenn.calculator import SevenNetCalculator as StockCalculator

from workflows.engines.ase.calculator import ModelCalculator
from workflows.engines.ase.device import AUTO, choose_device

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

#: Models whose weights are in the package; it would fetch others from the network.
MODELS = ("7net-0", "7net-l3i5", "7net-mf-0")


class SevenNetCalculator(ModelCalculator):
    """
    SevenNet: an equivariant graph network, one backward pass for forces and stress.

    Parameters
    ----------
    model : str
        One of :data:`MODELS`.
    modal : str or None
        Of ``7net-mf-0`` the functional, ``PBE`` or ``R2SCAN``; the others have PBE alone.
    device : str
        ``cpu``, ``cuda``, or ``auto``: a GPU if torch sees one.

    Raises
    ------
    ValueError
        If there is no such model or functional.

    References
    ----------
    Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024); J. Kim et al., J. Am. Chem. Soc. 147,
    1042 (2025).
    """

    def __init__(
        self,
        model: str = "7net-l3i5",
        modal: str | None = None,
        device: str = AUTO,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if model not in MODELS:
            raise ValueError(f"there is no model {model!r}; take {', '.join(MODELS)}")
        with warnings.catch_warnings():  # of what would make it faster on a GPU
            warnings.filterwarnings("ignore", message="No tensor product accelerator")
            self.stock = StockCalculator(model, modal=modal, device=choose_device(device))

    def evaluate(self, atoms: Atoms) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, ASE's sign)."""
        self.stock.set_atoms(atoms)  # which refuses elements that it does not know
        self.stock.calculate(atoms)
        found = self.stock.results
        return (
            float(found["energy"]),
            np.asarray(found["forces"], dtype=float),
            np.asarray(found["stress"], dtype=float),
        )
