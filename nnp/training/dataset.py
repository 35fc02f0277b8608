"""Frames turned into what training needs: network inputs, dM/dr, and reference values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.kernels.workspace import Model
from nnp.potential import Potential
from nnp.training.jacobian import Jacobian, Moments

#: Frames whose neighbours are listed at once: many would take a GB.
FRAMES_AT_ONCE = 64


@dataclass
class Preprocessing:
    """
    From symmetry functions to whitened principal components.

    Parameters
    ----------
    shift, scale : ndarray
        Middle and half range of each function, shape (n_elements, n_functions).
    projection : ndarray
        Whitened components, shape (n_elements, n_functions, n_inputs).
    lowest, highest : ndarray
        Range of each function, shape (n_elements, n_functions).
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        values: list[NDArray[np.float64]],
        n_functions: int,
        floor: float,
        whiten: bool = True,
    ) -> Preprocessing:
        """
        Fit to the symmetry functions of each element.

        Parameters
        ----------
        values : list of ndarray
            For each element (n_atoms, n_functions).
        n_functions : int
            Number of functions.
        floor : float
            Smallest variance of a component relative to the largest: components with less are
            scaled as if they had this much, so that noise is not blown up.
        whiten : bool
            Give all components unit variance.
        """
        n = len(values)
        shift, scale = np.zeros((n, n_functions)), np.ones((n, n_functions))
        lowest, highest = np.zeros((n, n_functions)), np.zeros((n, n_functions))
        projection = np.zeros((n, n_functions, n_functions))
        kept = 1
        for e, g in enumerate(values):
            if not len(g):
                continue
            lowest[e], highest[e] = g.min(axis=0), g.max(axis=0)
            half = 0.5 * (highest[e] - lowest[e])
            # A function that never varies carries nothing; dividing by its range would.
            scale[e] = np.where(half > 1e-10, half, 1.0)
            shift[e] = g.mean(axis=0)
            scaled = (g - shift[e]) / scale[e]
            variances, axes = np.linalg.eigh(scaled.T @ scaled / len(g))
            variances, axes = variances[::-1], axes[:, ::-1]
            largest = max(variances[0], 1e-12)
            count = max(1, int((variances > 1e-9 * largest).sum()))
            width = np.sqrt(np.maximum(variances[:count], floor * largest)) if whiten else 1.0
            projection[e, :, :count] = axes[:, :count] / width
            kept = max(kept, count)
        return cls(shift, scale, projection[:, :, :kept], lowest, highest)


class Environments:
    """
    Moments and Jacobian of a set of frames; the Jacobian is kept only if it fits.

    Parameters
    ----------
    frames : Frames
        The configurations.
    functions : SymmetryFunctions
        Symmetry functions.
    memory : float
        Bytes the Jacobian may take; beyond, it is recomputed whenever needed.
    """

    #: Frames whose Jacobian is made at once.
    CHUNK = 32

    def __init__(self, frames: Frames, functions: SymmetryFunctions, memory: float) -> None:
        self.functions = functions
        self.types = functions.types(frames.numbers)
        self.counts, self.cells, self.positions = frames.counts, frames.cells, frames.positions
        self.offsets = frames.offsets
        self.model = descriptor_model(functions)
        self._kept: dict[int, tuple[Jacobian, int]] = {}
        moments, used = [], 0
        for low in range(0, len(self.counts), self.CHUNK):
            chunk = np.arange(low, min(low + self.CHUNK, len(self.counts)))
            found = self._moments(chunk)
            matrix = found.jacobian()
            moments.append(found.values)
            used += matrix.nbytes
            if used <= memory:
                self._kept.update({int(s): (matrix, k) for k, s in enumerate(chunk)})
        self.moments = np.concatenate(moments) if moments else np.zeros((0, functions.n_moments))

    @cached_property
    def values(self) -> list[NDArray[np.float64]]:
        """Symmetry functions by centre element, each (n_atoms, n_functions)."""
        transform = self.functions.transform
        return [
            self.moments[self.types == e] @ transform.T for e in range(len(self.functions.elements))
        ]

    def values_of(self, structures: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """Symmetry functions by centre element in some of the frames."""
        chosen = np.zeros(len(self.types), dtype=bool)
        chosen[self.atoms(structures)] = True
        return [values[chosen[self.types == e]] for e, values in enumerate(self.values)]

    def atoms(self, structures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the atoms of some frames."""
        return np.concatenate([np.arange(self.offsets[s], self.offsets[s + 1]) for s in structures])

    def keeps(self, structures: NDArray[np.int64]) -> bool:
        """Whether the derivatives of all these frames are in memory."""
        return all(int(s) in self._kept for s in structures)

    def jacobians(
        self, structures: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], Jacobian, NDArray[np.int64]]]:
        """Pieces (positions within ``structures``, Jacobian, structures in it) that cover all."""
        pieces: dict[int, tuple[list[int], Jacobian, list[int]]] = {}
        missing = []
        for k, s in enumerate(structures):
            if int(s) in self._kept:
                matrix, inside = self._kept[int(s)]
                piece = pieces.setdefault(id(matrix), ([], matrix, []))
                piece[0].append(k)
                piece[2].append(inside)
            else:
                missing.append(k)
        found = [(np.array(k), matrix, np.array(s)) for k, matrix, s in pieces.values()]
        if missing:
            rows = np.array(missing)
            matrix = self._moments(np.asarray(structures)[rows]).jacobian()
            found.append((rows, matrix, np.arange(len(rows))))
        return found

    def _moments(self, structures: NDArray[np.int64]) -> Moments:
        atoms = self.atoms(structures)
        return Moments(
            self.model,
            self.types[atoms],
            self.counts[structures],
            self.cells[structures],
            self.positions[atoms],
        )


def moments_of(
    functions: SymmetryFunctions, frames: Frames, threads: int = 1
) -> NDArray[np.float64]:
    """
    Moments of every atom, of which symmetry functions are linear combinations.

    Parameters
    ----------
    functions : SymmetryFunctions
        Symmetry functions of all elements that occur.
    frames : Frames
        Configurations with finite positions and cells.
    threads : int
        Threads over frames; the result does not depend on their number.

    Returns
    -------
    ndarray
        Shape (n_atoms, n_moments).
    """
    types, model = functions.types(frames.numbers), descriptor_model(functions)
    found = np.zeros((len(types), functions.n_moments))

    def fill(low: int) -> None:
        high = min(low + FRAMES_AT_ONCE, len(frames))
        atoms = slice(frames.offsets[low], frames.offsets[high])
        found[atoms] = Moments(
            model,
            types[atoms],
            frames.counts[low:high],
            frames.cells[low:high],
            frames.positions[atoms],
        ).values

    parts = range(0, len(frames), FRAMES_AT_ONCE)
    if threads == 1:
        for low in parts:
            fill(low)
        return found
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, parts))
    return found


def descriptor_model(functions: SymmetryFunctions) -> Model:
    """Kernel parameters with a network of no meaning, when only moments are wanted."""
    n, f = len(functions.elements), functions.n_functions
    return Potential(
        functions=functions,
        shift=np.zeros((n, f)),
        scale=np.ones((n, f)),
        projection=np.zeros((n, f, 1)),
        weights=(np.zeros((n, 1, 1, 1)),),
        biases=(np.zeros((n, 1, 1)),),
        reference_energies=np.zeros(n),
    ).model()
