"""What the engines with plane waves share: which cutoff and k-points a calculation gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.base import Engine
from workflows.engines.dispersion import Dispersion

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray

#: Kinds of calculations. ``melt``: dynamics, and all that is compared with them. ``crystal``: for
#: relaxing cells, with a cutoff that is safe against Pulay stress. ``compared crystal``: a crystal
#: whose energy is compared with those of the melt, hence at their cutoff. ``accurate``: what other
#: calculations are measured by.
Kind = Literal["melt", "crystal", "compared crystal", "accurate"]


def given_cutoff() -> Any:
    """Field of an engine's settings for a cutoff (eV) that the user gives; none unless given."""
    return field(
        default=None,
        metadata={
            "range": (50.0, 5000.0),
            "unit": "eV",
            "help": "none: found by the convergence test",
        },
    )


@dataclass(frozen=True)
class Cutoffs:
    """
    Cutoffs that an engine has for the elements of a structure.

    Parameters
    ----------
    given : float or None
        eV, by the user, for all but relaxations.
    recommended : float
        eV, by the potentials or data sets.
    relaxation : float
        eV, safe while the cell changes.
    """

    given: float | None
    recommended: float
    relaxation: float


def choose_plane_waves(
    kind: Kind,
    cutoffs: Cutoffs,
    found: PlaneWaves | None,
    lattice: NDArray[np.float64],
    k_spacing: float,
) -> PlaneWaves:
    """
    Choose cutoff and k-points of a calculation.

    Parameters
    ----------
    kind : str
        What it is for.
    cutoffs : Cutoffs
        Of the elements.
    found : PlaneWaves or None
        By the convergence test; of an accurate calculation what is asked for.
    lattice : ndarray, shape (3, 3)
        Lattice vectors as rows in Å.
    k_spacing : float
        Of crystals, 1/Å, 2π included.
    """
    cutoff = cutoffs.given or (found.cutoff if found else cutoffs.recommended)
    mesh = found.mesh if found else (1, 1, 1)
    if kind == "accurate" and found is not None:
        cutoff = found.cutoff  # asked for, whatever the user gave for the others
    if kind == "crystal":
        cutoff = max(cutoffs.relaxation, cutoff)
    if is_crystal(kind):
        mesh = crystal_mesh(lattice, k_spacing)
    return PlaneWaves(cutoff, mesh)


def is_crystal(kind: Kind) -> bool:
    """Whether k-points follow the cell."""
    return kind in ("crystal", "compared crystal")


def crystal_mesh(lattice: NDArray[np.float64], spacing: float) -> tuple[int, int, int]:
    """
    Divisions of the reciprocal cell for a spacing of k-points.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3)
        Lattice vectors as rows in Å.
    spacing : float
        1/Å, 2π included.
    """
    lengths = 2 * math.pi * np.linalg.norm(np.linalg.inv(lattice), axis=0)
    a, b, c = (max(1, math.ceil(length / spacing - 1e-9)) for length in lengths)
    return a, b, c


def starting_moment(symbol: str) -> float:
    """High spin for elements with d and f electrons, next to nothing for the others (µB)."""
    from pymatgen.core import Element

    return 5.0 if Element(symbol).block in ("d", "f") else 0.6


@dataclass(frozen=True)
class PlaneWaveEngine(Engine):
    """
    An engine whose accuracy is a matter of a cutoff and k-points.

    Parameters
    ----------
    plane_waves : PlaneWaves, OutputReference or None
        Cutoff and k-points of the melt, or the reference to what will find them.
    settings : Any
        Its numbers, a branch of a protocol; they have a ``cutoff`` and a ``crystal.k_spacing``.
    dispersion : Dispersion or None
        What is added to the functional.
    """

    plane_waves: PlaneWaves | OutputReference | None = None
    settings: Any = None
    dispersion: Dispersion | None = None

    @property
    def has_plane_waves(self) -> bool:
        """Whether a cutoff and k-points decide how good it is."""
        return True

    @property
    def needs_convergence(self) -> bool:
        """Whether neither the user nor a test has said which cutoff and k-points to take."""
        return self.settings.cutoff is None and self.plane_waves is None

    def crystal_k_points(self, volume: float) -> float:
        """
        K-points of a cubic cell; half of them are those of the other half, by symmetry in time.

        Parameters
        ----------
        volume : float
            Of the cell, Å³.
        """
        lattice = np.eye(3) * volume ** (1 / 3)
        return max(1.0, math.prod(crystal_mesh(lattice, self.settings.crystal.k_spacing)) / 2)

    def with_settings(self, settings: Any) -> Self:
        """Use the numbers of a protocol."""
        return replace(self, settings=settings)

    def with_plane_waves(self, plane_waves: PlaneWaves | OutputReference | None) -> Self:
        """Use a cutoff and k-points in all but crystals."""
        return replace(self, plane_waves=plane_waves)

    def known_plane_waves(self) -> PlaneWaves | None:
        """
        Cutoff and k-points of the melt; none if they are those that the elements need.

        Raises
        ------
        TypeError
            If they are a reference, which only a job can look up.
        """
        if not isinstance(self.plane_waves, PlaneWaves | None):
            raise TypeError("cutoff and k-points are still to be found")
        return self.plane_waves


def spins_in_words(engine: str, magnetic: bool) -> str:
    """
    Say what spin-polarised electrons tell of magnetism, or that there are none.

    Parameters
    ----------
    engine : str
        Its name, which is that of its branch of the settings, too.
    magnetic : bool
        Whether they are spin-polarised.
    """
    if magnetic:
        return f"{engine} began with parallel magnetic moments, and other orders may be lower"
    return (
        f"{engine} computed without spin polarisation, and energies and volumes may be off: set "
        f"{engine}.magnetic=true, in another campaign"
    )
