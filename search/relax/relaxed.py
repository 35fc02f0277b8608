"""A structure after its relaxation, and the ways in which one may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.relax.trust import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

CONVERGED = "converged"
"""Status of a structure under all limits there are, the tight ones among them."""
LOOSE = "converged loosely"
"""Status of a structure under the limits of the search, not under the tight ones."""
OUT_OF_STEPS = "not converged"
GIVEN_UP = f"aborted: {UNKNOWN}"
"""Status of a structure that left what the potential knows, as it was then."""
USABLE = (CONVERGED, LOOSE, OUT_OF_STEPS)


@dataclass
class Relaxed:
    """
    A structure after relaxation.

    Attributes
    ----------
    atoms : ase.Atoms
        Final geometry, wrapped into its cell.
    energy : float
        eV; NaN if never defined. What was minimised: under a pressure, the enthalpy.
    status : str
        "converged", "converged loosely", "not converged", or "aborted: " and why.
    steps : int
        Energy evaluations used.
    max_force : float
        Largest force on an atom, eV/Å.
    max_stress : float
        Largest stress component, kbar.
    atomic_energies : (n,) array or None
        eV, where the model of the energy has them.
    uncertainty : float or None
        Error to expect of the energy, eV/atom, where the model of the energy says so.
    """

    atoms: Atoms
    energy: float
    status: str
    steps: int = 0
    max_force: float = float("nan")
    max_stress: float = float("nan")
    atomic_energies: NDArray[np.float64] | None = None
    uncertainty: float | None = None

    @property
    def converged(self) -> bool:
        """Whether forces and stress fell below the limits of the search."""
        return self.status in (CONVERGED, LOOSE)

    @property
    def usable(self) -> bool:
        """Whether the energy means something: relaxed to the end, or out of steps on the way."""
        return self.status in USABLE
