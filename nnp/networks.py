"""The networks of a potential, as they take moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.kernels.functions import cutoff_polynomial
from nnp.kernels.repulsion import Repulsion
from nnp.kernels.workspace import Model, padded, rows

#: Atoms whose hidden layers are in memory at a time.
CHUNK = 16_384


class Networks(NamedTuple):
    """
    Networks with everything linear before them folded into their first layers.

    Between layers are hyperbolic tangents.

    Attributes
    ----------
    origin : ndarray
        Moments that are taken off first, shape (n_elements, n_moments).
    weights, biases : list of ndarray
        By layer, shapes (n_elements, n_members, n_in, n_out) and (n_elements, n_members, n_out).
    """

    origin: NDArray[np.float64]
    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]

    def energies(
        self, moments: NDArray[np.float64], types: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """
        Atomic energies by each network, in eV, without the repulsive core.

        Parameters
        ----------
        moments : ndarray
            Shape (n_atoms, n_moments).
        types : ndarray of int
            Element index of every atom.

        Returns
        -------
        ndarray
            Shape (n_atoms, n_members).
        """
        found = np.zeros((len(types), self.weights[0].shape[1]))
        for low in range(0, len(types), CHUNK):
            part = slice(low, low + CHUNK)
            for e in range(len(self.origin)):
                own = low + np.flatnonzero(types[part] == e)
                found[own] = self._of_element(e, moments[own] - self.origin[e]).T
        return found

    def _of_element(self, e: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energies of atoms of one element, shape (n_members, n_atoms)."""
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.tanh(x @ weights[e] + biases[e][:, None])
        return np.asarray((x @ self.weights[-1][e] + self.biases[-1][e][:, None])[:, :, 0])


def kernel_model(
    functions: SymmetryFunctions,
    networks: Networks,
    repulsion: Repulsion | None,
    dtype: np.dtype[Any],
) -> Model:
    """
    Give a potential as arrays for the kernels.

    Parameters
    ----------
    functions : SymmetryFunctions
        Whose moments the networks take.
    networks : Networks
    repulsion : Repulsion or None
        Core below the shortest distances.
    dtype : dtype
        Precision of the networks.
    """
    basis, weights = functions.basis, networks.weights
    n_elements, n_members = weights[0].shape[:2]
    flat = [
        part.reshape(n_elements, n_members, -1)
        for w, b in zip(weights, networks.biases, strict=True)
        for part in _padded(np.swapaxes(w, 2, 3), b)
    ]
    return Model(
        radial_cutoff=basis.radial_cutoff,
        angular_cutoff=basis.angular_cutoff,
        radial_eta=basis.radial_eta.astype(dtype),
        radial_shift=basis.radial_shift.astype(dtype),
        angular_eta=basis.angular_eta.astype(dtype),
        degree=basis.degree,
        general=basis.general,
        pair_block=basis.pair_block,
        cutoff_q=cutoff_polynomial(dtype),
        sizes=np.array([w.shape[2] for w in weights] + [1], dtype=np.int64),
        weights=np.ascontiguousarray(np.concatenate(flat, axis=2), dtype=dtype),
        origin=np.ascontiguousarray(networks.origin, dtype=dtype),
        repulsion=(repulsion or Repulsion.none(functions.elements)).table,
    )


def _padded(
    weights: NDArray[np.float64], biases: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One layer with zeros where the kernels expect full vectors."""
    n_out, n_in = weights.shape[2:]
    more = rows(n_out) - n_out
    keep = ((0, 0), (0, 0))
    return (
        np.pad(weights, (*keep, (0, more), (0, padded(n_in) - n_in))),
        np.pad(biases, (*keep, (0, more))),
    )
