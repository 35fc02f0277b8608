"""Frames made ready for the loss: everything that does not depend on the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames
from nnp.training.dataset import Environments
from nnp.training.jacobian import Jacobian

#: Frames evaluated at once in one thread.
CHUNK = 16
#: The six components xx, yy, zz, yz, xz, xy of a symmetric tensor, and how often each occurs.
FIRST, SECOND = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])
MULTIPLICITY = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


class Piece(NamedTuple):
    """
    Frames of a chunk whose derivatives are in the same Jacobian.

    Attributes
    ----------
    positions : ndarray of int
        Which of the chunk's frames, shape (n,).
    jacobian : Jacobian
        dM/dr of them and perhaps others.
    structures : ndarray of int
        Which structures of the Jacobian they are, shape (n,).
    rows : ndarray of int
        Rows of their atoms in the chunk's arrays.
    """

    positions: NDArray[np.int64]
    jacobian: Jacobian
    structures: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Chunk:
    """
    Some frames; their atoms are ordered by element, so that each element's are contiguous.

    Parameters
    ----------
    structures : ndarray of int
        The frames, shape (n,).
    counts : ndarray of int
        Atoms in each, shape (n,).
    bounds : ndarray of int
        Where each element's rows start, and the end, shape (n_elements + 1,).
    order : ndarray of int
        Atom of the data set in each row, shape (n_atoms,).
    frame : ndarray of int
        Which of the frames each row belongs to, shape (n_atoms,).
    rows : ndarray of int
        Row of each atom, frame by frame, shape (n_atoms,).
    inputs : ndarray
        Of the networks, shape (n_atoms, n_inputs).
    energies : ndarray
        Reference energies in eV, less those of the elements, shape (n,).
    forces : ndarray
        In eV/Å, shape (n_atoms, 3).
    stresses : ndarray
        In eV/Å³, zero where unknown, shape (n, 6).
    per_volume : ndarray
        1 / volume in Å⁻³, zero where there is no stress, shape (n,).
    weights : ndarray
        How often each frame counts, shape (n,).
    pieces : list of Piece or None
        None if derivatives are recomputed whenever they are needed.
    """

    structures: NDArray[np.int64]
    counts: NDArray[np.int64]
    bounds: NDArray[np.int64]
    order: NDArray[np.int64]
    frame: NDArray[np.int64]
    rows: NDArray[np.int64]
    inputs: NDArray
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    per_volume: NDArray[np.float64]
    weights: NDArray[np.float64]
    pieces: list[Piece] | None


@dataclass(frozen=True, eq=False)
class Batch:
    """
    Frames whose loss is wanted together.

    Parameters
    ----------
    chunks : list of Chunk
        The frames.
    numbers : ndarray
        Numbers of energies, force components and stress components, shape (3,).
    weighted : ndarray
        The same, each frame counted as often as its weight says, shape (3,).
    """

    chunks: list[Chunk]
    numbers: NDArray[np.float64]
    weighted: NDArray[np.float64]


class Batches:
    """
    What makes batches of a data set.

    Parameters
    ----------
    frames : Frames
        All frames; energies, forces and stresses are the targets.
    environments : Environments
        Of the same frames.
    inputs : ndarray
        Of the networks for every atom, shape (n_atoms, n_inputs).
    reference_energies : ndarray
        By element in eV, taken off the energies.
    weights : ndarray
        How often each frame counts, shape (n_frames,).
    """

    def __init__(
        self,
        frames: Frames,
        environments: Environments,
        inputs: NDArray,
        reference_energies: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self.environments, self.inputs, self.weights = environments, inputs, weights
        self.counts, self.forces = frames.counts, frames.forces
        frame = np.repeat(np.arange(len(frames)), frames.counts)
        reference = np.bincount(
            frame, reference_energies[environments.types], minlength=len(frames)
        )
        self.energies = frames.energies - reference
        self.has_stress: NDArray[np.bool_] = np.asarray(
            np.isfinite(frames.stresses).all(axis=(1, 2))
        )
        symmetric = 0.5 * (frames.stresses + frames.stresses.swapaxes(1, 2))[:, FIRST, SECOND]
        self.stresses = np.where(self.has_stress[:, None], symmetric, 0.0)
        self.per_volume = np.where(self.has_stress, 1.0 / frames.volumes, 0.0)

    def batch(self, structures: NDArray[np.int64]) -> Batch:
        """Make a batch of some frames."""
        chunks = [structures[k : k + CHUNK] for k in range(0, len(structures), CHUNK)]
        sizes = np.array(
            [
                np.ones(len(structures)),
                3 * self.counts[structures],
                9 * self.has_stress[structures],
            ],
            dtype=float,
        )
        return Batch(
            [self._chunk(chunk) for chunk in chunks],
            sizes.sum(axis=1),
            sizes @ self.weights[structures],
        )

    def pieces(self, chunk: Chunk) -> list[Piece]:
        """Derivatives of a chunk, recomputed if they are not kept."""
        return chunk.pieces or self._pieces(chunk.structures, chunk.counts, chunk.rows)

    def _chunk(self, structures: NDArray[np.int64]) -> Chunk:
        atoms = self.environments.atoms(structures)
        counts, types = self.counts[structures], self.environments.types[atoms]
        by_element = np.argsort(types, kind="stable")
        rows = np.empty_like(by_element)
        rows[by_element] = np.arange(len(by_element))
        order = atoms[by_element]
        n_elements = len(self.environments.functions.elements)
        kept = self.environments.keeps(structures)
        return Chunk(
            structures=structures,
            counts=counts,
            bounds=np.searchsorted(types[by_element], np.arange(n_elements + 1)),
            order=order,
            frame=np.repeat(np.arange(len(structures)), counts)[by_element],
            rows=rows,
            inputs=self.inputs[order],
            energies=self.energies[structures],
            forces=self.forces[order],
            stresses=self.stresses[structures],
            per_volume=self.per_volume[structures],
            weights=self.weights[structures],
            pieces=self._pieces(structures, counts, rows) if kept else None,
        )

    def _pieces(
        self,
        structures: NDArray[np.int64],
        counts: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> list[Piece]:
        starts = np.cumsum(counts) - counts
        pieces = []
        for positions, jacobian, inside in self.environments.jacobians(structures):
            own = [rows[starts[k] : starts[k] + counts[k]] for k in positions]
            pieces.append(Piece(positions, jacobian, inside, np.concatenate(own)))
        return pieces
