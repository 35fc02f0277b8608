"""
A repulsive core: atoms closer than any the network has seen are pushed apart.

The universal potential of Ziegler, Biersack and Littmark, times a strength, switched off smoothly
at the shortest distance of the training data. It is exactly zero beyond, so the trained range is
untouched; below, it keeps relaxations of random structures from falling into the wells a network
invents where it has no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.kernels.compilation import compiled
from nnp.validation import check_pairs

#: e² / (4 pi eps0) in eV Å.
COULOMB = 14.399645478425668
#: Where the switch starts, as a fraction of where the repulsion ends.
SWITCH_START = 0.6
_COLUMNS = 5


@compiled
def pair_repulsion(r: float, row: NDArray) -> tuple[float, float]:
    """
    Energy in eV and its derivative in eV/Å of one pair at distance ``r`` in Å.

    ``row`` is (squared end, start of the switch, end, prefactor in eV Å, 1 / screening length).
    """
    start, end, prefactor, inverse = row[1], row[2], row[3], row[4]
    x = r * inverse
    e1 = 0.18175 * np.exp(-3.19980 * x)
    e2 = 0.50986 * np.exp(-0.94229 * x)
    e3 = 0.28022 * np.exp(-0.40290 * x)
    e4 = 0.02817 * np.exp(-0.20162 * x)
    screening = e1 + e2 + e3 + e4
    bend = -inverse * (3.19980 * e1 + 0.94229 * e2 + 0.40290 * e3 + 0.20162 * e4)
    value = prefactor * screening / r
    slope = prefactor * bend / r - value / r
    if r <= start:
        return value, slope
    if r >= end:
        return 0.0, 0.0
    t = (end - r) / (end - start)
    switch = t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
    dswitch = -30.0 * t * t * (1.0 - t) * (1.0 - t) / (end - start)
    return value * switch, slope * switch + value * dswitch


@dataclass(frozen=True)
class Repulsion(MSONable):
    """
    Screened nuclear repulsion below given distances.

    Parameters
    ----------
    elements : tuple of str
        Chemical symbols.
    ends : tuple of tuple of float
        Distance in Å at which the repulsion of each pair vanishes, symmetric, shape
        (n_elements, n_elements); zero for none.
    strengths : tuple of tuple of float
        Multiple of the universal potential for each pair, same shape.
    """

    elements: tuple[str, ...]
    ends: tuple[tuple[float, ...], ...]
    strengths: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for name in ("ends", "strengths"):
            rows = tuple(tuple(float(x) for x in row) for row in getattr(self, name))
            object.__setattr__(self, name, rows)
            check_pairs(f"the {name} of the repulsion", rows, len(self.elements))
        object.__setattr__(self, "elements", tuple(self.elements))

    @classmethod
    def none(cls, elements: tuple[str, ...]) -> Repulsion:
        """No repulsion at all."""
        n = len(elements)
        return cls(elements, ((0.0,) * n,) * n, ((0.0,) * n,) * n)

    @classmethod
    def below(
        cls,
        elements: tuple[str, ...],
        ends: NDArray[np.float64],
        strengths: NDArray[np.float64] | float = 1.0,
    ) -> Repulsion:
        """Repulsion that starts below the distances ``ends`` in Å, (n_elements, n_elements)."""
        full = np.broadcast_to(np.asarray(strengths, dtype=float), np.shape(ends))
        return cls(tuple(elements), tuple(map(tuple, ends)), tuple(map(tuple, full)))

    @property
    def table(self) -> NDArray[np.float64]:
        """Rows of :func:`pair_repulsion`, shape (n_elements, n_elements, 5)."""
        from ase.data import atomic_numbers

        z = np.array([atomic_numbers[symbol] for symbol in self.elements], dtype=float)
        ends = np.array(self.ends)
        table = np.zeros((len(z), len(z), _COLUMNS))
        table[..., 0] = ends**2
        table[..., 1] = SWITCH_START * ends
        table[..., 2] = ends
        table[..., 3] = COULOMB * np.outer(z, z) * np.array(self.strengths)
        table[..., 4] = (z[:, None] ** 0.23 + z[None, :] ** 0.23) / (0.8854 * 0.529177210903)
        return table

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Repulsion:
        """Undo ``as_dict``."""
        return cls(d["elements"], d["ends"], d["strengths"])
