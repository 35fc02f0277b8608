"""How far an energy is trusted that may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from monty.json import MSONable

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = "beyond what the potential knows"
"""Why a structure is left out whose energy cannot be trusted."""


@dataclass(frozen=True)
class Trust(MSONable):
    """
    What an uncertainty does to the standing of a structure.

    A search goes where energies are low, and so into the holes of a potential, where they are low
    because nothing like it was in the training set. An ensemble disagrees there. An energy without
    an uncertainty, of one network or of a method that computes, is trusted as it is.

    Parameters
    ----------
    caution : float
        How many times the uncertainty counts against a structure.
    max_uncertainty : float or None
        Uncertainty in eV/atom beyond which a structure is unknown; none: no structure is.
    """

    caution: float = field(
        default=1.0,
        metadata={
            "range": (0.0, 100.0),
            "unit": "",
            "help": "times the uncertainty of its energy counts against a structure",
        },
    )
    max_uncertainty: float | None = field(
        default=0.1,
        metadata={
            "range": (1e-4, 100.0),
            "unit": "eV/atom",
            "help": "a structure that is more uncertain is neither parent nor result, but kept "
            "aside; none: no limit",
        },
    )

    def worst(
        self, energies: NDArray[np.float64], uncertainties: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Energies (n,) in eV/atom with what their uncertainties (n,) count, if they have any."""
        return energies + self.caution * np.nan_to_num(uncertainties)

    def is_unknown(self, uncertainties: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether structures of such uncertainties (n,) in eV/atom are beyond what is known."""
        if self.max_uncertainty is None:
            return np.zeros(np.shape(uncertainties), dtype=bool)
        return np.asarray(uncertainties, dtype=float) > self.max_uncertainty


UNCONDITIONAL = Trust(caution=0.0, max_uncertainty=None)
"""Energies are what they are, and uncertainties do not matter."""
