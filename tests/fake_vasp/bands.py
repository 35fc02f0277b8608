"""Bands of an imaginary insulator, so that parsers of electronic structure have something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.job import Job

#: eV: bottom and top of the valence band, of the conduction band, and what k changes.
_VALENCE, _CONDUCTION, _DISPERSION = (-8.0, 2.0), (5.0, 9.0), 0.3


def bands_of(job: Job) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies (eV) and occupations of all k-points and bands, shapes (k, b)."""
    n_occupied = int(np.ceil(job.settings.nelect / 2))
    n_empty = max(job.settings.nbands - n_occupied, 1)
    energies = np.concatenate(
        [np.linspace(*_VALENCE, n_occupied), np.linspace(*_CONDUCTION, n_empty)]
    )
    occupations = np.repeat([1.0, 0.0], [n_occupied, n_empty])
    shift = _DISPERSION * np.cos(2 * np.pi * job.mesh.points.sum(axis=1))
    all_energies = energies + shift[:, None] * (1 - 2 * occupations)
    return all_energies, np.broadcast_to(occupations, all_energies.shape)


def density_of_states(
    energies: NDArray, weights: NDArray, n_points: int
) -> tuple[float, NDArray[np.float64]]:
    """
    Histogram the bands.

    Parameters
    ----------
    energies, weights : NDArray
        Bands in eV, shape (k, b), and weights of the k-points, shape (k,).
    n_points : int
        Points of the grid.

    Returns
    -------
    tuple
        The Fermi level in eV, and energy (eV), density (1/eV) and integral of it, shape (n, 3).
    """
    edges = np.linspace(_VALENCE[0] - 2, _CONDUCTION[1] + 2, n_points + 1)
    repeated = np.repeat(2 * weights, energies.shape[1])
    counts, _ = np.histogram(energies.ravel(), bins=edges, weights=repeated)
    centres = (edges[1:] + edges[:-1]) / 2
    table = np.stack([centres, counts / np.diff(edges), np.cumsum(counts)], axis=1)
    return (_VALENCE[1] + _CONDUCTION[0]) / 2, table
