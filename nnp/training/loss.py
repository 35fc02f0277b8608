"""The loss on energies, forces and stresses, and its gradient by the network's parameters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames
from nnp.metrics import Errors
from nnp.training import feed_forward
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.jacobian_products import jacobian_vector_product, vector_jacobian_product
from nnp.units import KBAR


@dataclass(frozen=True)
class LossWeights:
    """Each term is a mean square in units of a target error, times its weight."""

    energy: float = 1.0
    force: float = 1.0
    stress: float = 1.0
    energy_unit: float = 10.0
    force_unit: float = 0.2
    stress_unit: float = 10.0
    l2: float = 1e-5


class Loss:
    """
    Loss of networks of given layer widths on a data set.

    Parameters
    ----------
    frames : Frames
        All frames; energies, forces and stresses are the targets.
    environments : Environments
        Of the same frames.
    preprocessing : Preprocessing
        From symmetry functions to inputs.
    hidden : tuple of int
        Widths of the hidden layers.
    weights : LossWeights
        Of the terms.
    reference_energies : ndarray
        By element in eV, taken off the energies.
    threads : int
        Threads over chunks of frames.
    dtype : type
        Precision of the network passes; sums are always double.
    """

    #: Frames evaluated at once in one thread.
    CHUNK = 16

    def __init__(
        self,
        frames: Frames,
        environments: Environments,
        preprocessing: Preprocessing,
        hidden: tuple[int, ...],
        weights: LossWeights,
        reference_energies: NDArray[np.float64],
        threads: int = 1,
        dtype: type = np.float32,
    ) -> None:
        self.frames, self.environments = frames, environments
        self.weights, self.threads, self.dtype = weights, threads, dtype
        self.n_elements, _, n_inputs = preprocessing.projection.shape
        self.sizes = (n_inputs, *hidden, 1)
        self.volumes = frames.volumes
        self.has_stress: NDArray[np.bool_] = np.asarray(
            np.isfinite(frames.stresses).all(axis=(1, 2))
        )
        types = environments.types
        frame = np.repeat(np.arange(len(frames)), frames.counts)
        reference = np.bincount(frame, reference_energies[types], minlength=len(frames))
        self.energies = frames.energies - reference
        transform = environments.functions.transform
        self.matrices = [
            (transform.T @ (projection / scale[:, None])).astype(dtype)
            for projection, scale in zip(preprocessing.projection, preprocessing.scale, strict=True)
        ]
        self.inputs: NDArray = np.zeros((len(types), n_inputs), dtype)
        for e, values in enumerate(environments.values):
            scaled = (values - preprocessing.shift[e]) / preprocessing.scale[e]
            self.inputs[types == e] = scaled @ preprocessing.projection[e]
        self._mask = feed_forward.weight_mask(self.sizes, self.n_elements)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __call__(
        self, parameters: NDArray[np.float64], structures: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64], Errors]:
        """Loss, gradient and errors on some frames."""
        sums, gradient = self._sum(parameters, structures, with_gradient=True)
        value, errors = self._combine(sums, structures)
        decay = self.weights.l2 * self._mask * parameters
        return value + 0.5 * float(decay @ parameters), gradient + decay, errors

    def errors(self, parameters: NDArray[np.float64], structures: NDArray[np.int64]) -> Errors:
        """Errors alone."""
        return self._combine(self._sum(parameters, structures, False)[0], structures)[1]

    def _sizes(self, structures: NDArray[np.int64]) -> tuple[int, int, int]:
        """Numbers of energies, force components and stress components."""
        counts = self.frames.counts[structures].sum()
        return len(structures), int(3 * counts), int(9 * self.has_stress[structures].sum())

    def _combine(self, sums: NDArray[np.float64], structures: NDArray) -> tuple[float, Errors]:
        n = self._sizes(structures)
        w = self.weights
        means = [s / k if k else np.nan for s, k in zip(sums, n, strict=True)]
        errors = Errors(
            1e3 * float(np.sqrt(means[0])),
            float(np.sqrt(means[1])),
            KBAR * float(np.sqrt(means[2])),
        )
        value = w.energy * (errors.energy / w.energy_unit) ** 2
        value += w.force * (errors.force / w.force_unit) ** 2
        if n[2]:
            value += w.stress * (errors.stress / w.stress_unit) ** 2
        return value, errors

    def _sum(
        self, parameters: NDArray[np.float64], structures: NDArray, with_gradient: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Add up squares and gradient, chunk by chunk in a fixed order."""
        networks = feed_forward.unflatten(
            parameters.astype(self.dtype), self.sizes, self.n_elements
        )
        n = self._sizes(structures)
        chunks = [structures[k : k + self.CHUNK] for k in range(0, len(structures), self.CHUNK)]
        run = self._pool.map if self._pool is not None else map
        parts = list(run(lambda chunk: self._chunk(networks, chunk, n, with_gradient), chunks))
        sums = np.sum([part[0] for part in parts], axis=0)
        gradient = np.zeros_like(parameters)
        for part in parts:
            if part[1] is not None:
                gradient += part[1]
        return sums, gradient

    def _chunk(
        self,
        networks: list[feed_forward.Layers],
        structures: NDArray,
        n: tuple,
        with_gradient: bool,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        atoms = self.environments.atoms(structures)
        types, inputs = self.environments.types[atoms], self.inputs[atoms]
        rows = [np.flatnonzero(types == e) for e in range(self.n_elements)]
        states = [
            feed_forward.forward(net, inputs[row]) for net, row in zip(networks, rows, strict=True)
        ]
        atomic = np.zeros(len(atoms))
        slopes = np.zeros((len(atoms), len(self.matrices[0])), np.float32)
        # From moments to the first hidden neurons in one matrix.
        folded = [m @ net[0][0] for m, net in zip(self.matrices, networks, strict=True)]
        for row, state, matrix in zip(rows, states, folded, strict=True):
            atomic[row] = state.energies
            slopes[row] = state.first_gradient @ matrix.T
        counts = self.frames.counts[structures]
        frame = np.repeat(np.arange(len(structures)), counts)
        energies = np.bincount(frame, atomic, minlength=len(structures))
        pieces = self.environments.jacobians(structures)
        forces, virials = self._forces_and_virials(pieces, counts, slopes)
        de = (energies - self.energies[structures]) / counts
        df = forces - self.frames.forces[atoms]
        ds = virials / self.volumes[structures, None, None] - self.frames.stresses[structures]
        ds[~self.has_stress[structures]] = 0.0
        sums = np.array([(de**2).sum(), (df**2).sum(), (ds**2).sum()])
        if not with_gradient:
            return sums, None
        w = self.weights
        by_energy = 2.0 * w.energy * (1e3 / w.energy_unit) ** 2 / n[0] * de / counts
        by_force = 2.0 * w.force / w.force_unit**2 / n[1] * df
        by_stress = 2.0 * w.stress * (KBAR / w.stress_unit) ** 2 / max(n[2], 1) * ds
        by_virial = by_stress / self.volumes[structures, None, None]
        tangents = self._moment_tangents(pieces, counts, -by_force, by_virial)
        gradients = []
        for e, (net, row, state) in enumerate(zip(networks, rows, states, strict=True)):
            weights = by_energy[frame[row]].astype(self.dtype)
            gradient, factor = feed_forward.parameter_gradient(
                net, state, tangents[row] @ folded[e], weights
            )
            gradient[0][0][...] += self.matrices[e].T @ (tangents[row].T @ factor)
            gradients.append(gradient)
        return sums, feed_forward.flatten(gradients).astype(np.float64)

    def _forces_and_virials(
        self, pieces: list, counts: NDArray, slopes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        forces, virials = np.zeros((int(counts.sum()), 3)), np.zeros((len(counts), 3, 3))
        for positions, matrix, inside in pieces:
            rows = _rows(counts, positions)
            part_f, part_v = np.zeros((len(rows), 3)), np.zeros((len(positions), 3, 3))
            vector_jacobian_product(matrix, inside, slopes[rows], part_f, part_v)
            forces[rows], virials[positions] = part_f, part_v
        return forces, virials

    def _moment_tangents(
        self, pieces: list, counts: NDArray, displacements: NDArray, strains: NDArray
    ) -> NDArray[np.float32]:
        out = np.zeros((int(counts.sum()), len(self.matrices[0])), np.float32)
        for positions, matrix, inside in pieces:
            rows = _rows(counts, positions)
            part = np.zeros((len(rows), out.shape[1]), np.float32)
            jacobian_vector_product(matrix, inside, displacements[rows], strains[positions], part)
            out[rows] = part
        return out


def _rows(counts: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Atoms of the frames at ``positions`` of a chunk."""
    starts = np.cumsum(counts) - counts
    return np.concatenate([np.arange(starts[k], starts[k] + counts[k]) for k in positions])
