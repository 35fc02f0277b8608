"""Soft mutation: children along the directions in which a crystal gives way most easily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from search.create.operators import TRIES, NoChildError, keeping_symmetry, plain_sorted
from search.geometry import DistanceLimits, image_shifts, nearest, shifted_square

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.symmetry_operations import Symmetry

SOFTNESS = 0.37
"""Å over which a bond weakens by e, as bond valences do."""
TRANSVERSE = 0.1
"""Stiffness of a bond against bending, as a fraction of that against stretching."""
REACH = 4.5
"""Longest bond, Å."""


@numba.njit(cache=True)
def bond_hessian(
    cell: NDArray[np.float64], positions: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Second derivatives (3n, 3n) of a crystal of springs between all near atoms.

    A bond of length d between atoms with covalent radii a and b has the stiffness
    exp(-(d - a - b) / 0.37 Å), so that the nearest neighbours count most, whatever they are.
    """
    n = len(positions)
    hessian = np.zeros((3 * n, 3 * n))
    inverse: NDArray[Any] = np.linalg.inv(cell)
    shifts = image_shifts(cell, REACH)
    base, delta = np.empty(3), np.empty(3)
    for i in range(n):
        for j in range(i + 1, n):
            nearest(positions[i], positions[j], cell, inverse, base)
            for shift in shifts:
                square = shifted_square(base, shift)
                if square > REACH * REACH or square < 1e-6:
                    continue
                delta[:] = base + shift
                excess = np.sqrt(square) - radii[i] - radii[j]
                stiffness = np.exp(-excess / SOFTNESS)
                for k in range(3):
                    for m in range(3):
                        part = (1.0 - TRANSVERSE) * delta[k] * delta[m] / square
                        if k == m:
                            part += TRANSVERSE
                        part *= stiffness
                        hessian[3 * i + k, 3 * i + m] += part
                        hessian[3 * j + k, 3 * j + m] += part
                        hessian[3 * i + k, 3 * j + m] -= part
                        hessian[3 * j + k, 3 * i + m] -= part
    return hessian


def _symmetric(
    modes: NDArray[np.float64], cell: NDArray[np.float64], symmetry: Symmetry
) -> NDArray[np.float64]:
    """Those of the modes (m, n, 3), softest first, that keep a symmetry, made exactly so."""
    kept = np.array([symmetry.average(cell, mode) for mode in modes])
    # of degenerate modes only some combinations do
    return kept[(kept**2).sum(axis=(1, 2)) > 0.3]


def soft_mutation(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, largest: float = 2.2
) -> Atoms:
    """
    Displace the atoms along one of the softest modes of a bond model.

    Modes weigh less the stiffer they are; only those count that keep the symmetry drawn by
    `keeping_symmetry`. The atom that moves most moves up to `largest` (Å).
    After A. R. Lyakhov, A. R. Oganov and M. Valle, Comput. Phys. Commun. 181, 1623 (2010).
    """
    from ase.data import covalent_radii

    if len(parent) < 2:
        raise NoChildError("one atom has no soft mode")
    parent, symmetry = keeping_symmetry(parent, rng)
    hessian = bond_hessian(np.array(parent.cell), parent.positions, covalent_radii[parent.numbers])
    modes = np.linalg.eigh(hessian)[1].T[3:].reshape(-1, len(parent), 3)  # three translations
    if symmetry is not None:
        modes = _symmetric(modes, np.array(parent.cell), symmetry)
    if not len(modes):
        raise NoChildError("no mode keeps the symmetry")
    for _ in range(TRIES):
        mode = modes[min(int(rng.exponential(len(modes) / 8)), len(modes) - 1)]
        farthest = np.linalg.norm(mode, axis=1).max()
        child = parent.copy()
        child.positions += rng.choice([-1, 1]) * rng.uniform(0.4, 1.0) * largest / farthest * mode
        if limits.push_apart(child):
            return plain_sorted(child)
    raise NoChildError("atoms displaced along soft modes are too near")
