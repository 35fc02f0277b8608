"""
Oganov-Valle fingerprints: how alike are two crystals, whatever their cells.

A. R. Oganov and M. Valle, J. Chem. Phys. 130, 104504 (2009). For each pair of elements A, B

    F_AB(R) = sum_{i in A, j in B} delta(R - R_ij) V / (4 pi R^2 N_A N_B) - 1,

smeared by a Gaussian, on bins up to a cutoff. Pairs weigh with N_A N_B. Vectors are normalised, so
that the cosine distance of two structures is (1 - u.v) / 2, between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from search.geometry import count_near, image_shifts, nearest, shifted_square

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

SMEAR_RANGE = 4.0
"""Widths after which a smeared distance no longer counts."""


@numba.njit(cache=True)
def _pair_distribution(
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    kinds: NDArray[np.int64],
    n_kinds: int,
    cutoff: float,
    bins: int,
    width: float,
) -> NDArray[np.float64]:
    """Smeared partial pair distributions g_AB(R) (n_kinds, n_kinds, bins), each pair both ways."""
    result = np.zeros((n_kinds, n_kinds, bins))
    counts = np.zeros(n_kinds)
    for i in range(len(kinds)):
        counts[kinds[i]] += 1.0
    inverse: NDArray[Any] = np.linalg.inv(cell)
    size = abs(np.linalg.det(cell))
    bin_width = cutoff / bins
    reach = cutoff + SMEAR_RANGE * width
    shifts = image_shifts(cell, reach)
    spread = int(np.ceil(SMEAR_RANGE * width / bin_width))
    delta = np.empty(3)
    for i in range(len(positions)):
        for j in range(i, len(positions)):
            a, b = kinds[i], kinds[j]
            nearest(positions[i], positions[j], cell, inverse, delta)
            # a pair of two atoms is met once, an atom and its images both ways
            times = (2.0 if i != j else 1.0) / (1.0 if a == b else 2.0)
            for m in range(1 if i == j else 0, count_near(delta, shifts, reach)):
                square = shifted_square(delta, shifts[m])
                if square >= reach * reach or square < 1e-8:
                    continue
                distance = np.sqrt(square)
                weight = times * size / (4.0 * np.pi * square * counts[a] * counts[b])
                weight /= width * np.sqrt(2.0 * np.pi)
                middle = int(distance / bin_width)
                for n in range(max(0, middle - spread), min(bins, middle + spread + 1)):
                    x = ((n + 0.5) * bin_width - distance) / width
                    result[a, b, n] += weight * np.exp(-0.5 * x * x)
    for a in range(n_kinds):
        for b in range(a):
            for n in range(bins):
                both = result[a, b, n] + result[b, a, n]
                result[a, b, n] = both
                result[b, a, n] = both
    return result


@dataclass(frozen=True)
class FingerprintOptions:
    """Grid of the fingerprint."""

    cutoff: float = field(default=8.0, metadata={"unit": "Å", "help": "longest distance"})
    bin_width: float = field(default=0.1, metadata={"unit": "Å", "help": "width of a bin"})
    smearing: float = field(
        default=0.08, metadata={"unit": "Å", "help": "standard deviation of the Gaussian"}
    )
    volume_per_atom: float | None = field(
        default=12.0,
        metadata={
            "unit": "Å³",
            "help": "structures are compared at this volume, so that the same crystal relaxed to "
            "a little pressure stays the same; none: as they are",
        },
    )


def fingerprint(
    atoms: Atoms, elements: Sequence[str], options: FingerprintOptions | None = None
) -> NDArray[np.float32]:
    """
    Normalised fingerprint vector of a crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    elements : sequence of str
        Symbols, in the order that fixes the vector's layout.
    options : FingerprintOptions or None
        Grid; standard if None.

    Returns
    -------
    (n_pairs * n_bins,) array
        Unit vector.
    """
    from ase.data import atomic_numbers

    options = options or FingerprintOptions()
    bins = round(options.cutoff / options.bin_width)
    order = np.array([atomic_numbers[symbol] for symbol in elements])
    kinds = (atoms.numbers[:, None] == order[None, :]).argmax(axis=1)
    cell = np.array(atoms.cell)
    scale = 1.0
    if options.volume_per_atom is not None:
        scale = (options.volume_per_atom * len(atoms) / abs(np.linalg.det(cell))) ** (1 / 3)
    distribution = _pair_distribution(
        scale * cell,
        scale * atoms.positions,
        kinds,
        len(order),
        options.cutoff,
        bins,
        options.smearing,
    )
    counts = np.bincount(kinds, minlength=len(order)).astype(float)
    first, second = np.triu_indices(len(order))
    weights = counts[first] * counts[second]
    vector = (distribution[first, second] - 1.0) * np.sqrt(weights / weights.sum())[:, None]
    flat = vector.ravel()
    return np.asarray(flat / np.linalg.norm(flat), dtype=np.float32)


def distances(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine distances (n,) of a fingerprint (m,) to others (n, m); 0 alike, 1 opposite."""
    return 0.5 * (1.0 - np.asarray(many @ one, dtype=float))
