"""The loss on energies, forces and stresses, and its gradient by the networks' parameters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames
from nnp.kernels.lanes import LANES
from nnp.kernels.workspace import multiple
from nnp.metrics import Errors
from nnp.training import feed_forward
from nnp.training.batches import MULTIPLICITY, Batch, Batches, Chunk, Piece
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.jacobian import moment_columns
from nnp.training.jacobian_products import jacobian_vector_products, vector_jacobian_products
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

    @property
    def factors(self) -> NDArray[np.float64]:
        """Of the mean squares of energies in eV/atom, forces in eV/Å, stresses in eV/Å³."""
        units = [1e-3 * self.energy_unit, self.force_unit, self.stress_unit / KBAR]
        return np.array([self.energy, self.force, self.stress]) / np.square(units)


class Loss:
    """
    Loss of networks of given layer widths on a data set.

    Networks are given as rows of parameters, and evaluated side by side: what is read of the
    Jacobian serves all of them. Each gets the same numbers whichever others are there.

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
    frame_weights : ndarray or None
        How often each frame counts, shape (n_frames,); once unless given.
    """

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
        frame_weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.weights, self.dtype = weights, dtype
        self.n_elements, _, n_inputs = preprocessing.projection.shape
        self.sizes = (n_inputs, *hidden, 1)
        transform = environments.functions.transform
        columns = moment_columns(environments.model)
        self.n_columns = multiple(int(columns[-1]) + 1, LANES)
        # From moments to inputs, with the rows that the products with the Jacobian want.
        self.matrices: NDArray = np.zeros((self.n_elements, self.n_columns, n_inputs), dtype)
        for e, projection in enumerate(preprocessing.projection):
            scaled = projection / preprocessing.scale[e][:, None]
            self.matrices[e, columns] = transform.T @ scaled
        inputs: NDArray = np.zeros((len(environments.types), n_inputs), dtype)
        for e, values in enumerate(environments.values):
            scaled = (values - preprocessing.shift[e]) / preprocessing.scale[e]
            inputs[environments.types == e] = scaled @ preprocessing.projection[e]
        if frame_weights is None:
            frame_weights = np.ones(len(frames))
        self.data = Batches(frames, environments, inputs, reference_energies, frame_weights)
        self._mask = feed_forward.weight_mask(self.sizes, self.n_elements)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def batch(self, structures: NDArray[np.int64]) -> Batch:
        """Make some frames ready for evaluations."""
        return self.data.batch(structures)

    def __call__(
        self, parameters: NDArray[np.float64], batch: Batch
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Errors]]:
        """
        Loss, gradient and errors of each network.

        Parameters
        ----------
        parameters : ndarray
            Shape (n_networks, n_parameters).
        batch : Batch
            Of :meth:`batch`.

        Returns
        -------
        tuple
            Losses (n_networks,), gradients (n_networks, n_parameters), and a list of errors.
        """
        sums, gradients = self._sum(parameters, batch, with_gradient=True)
        means = np.divide(
            sums[1], batch.weighted, where=batch.weighted > 0, out=np.zeros_like(sums[1])
        )
        decay = self.weights.l2 * self._mask * parameters
        penalty = 0.5 * np.array([d @ p for d, p in zip(decay, parameters, strict=True)])
        values = (means * self.weights.factors).sum(axis=1) + penalty
        return values, gradients + decay, _errors(sums[0], batch)

    def errors(self, parameters: NDArray[np.float64], batch: Batch) -> list[Errors]:
        """Errors alone."""
        return _errors(self._sum(parameters, batch, with_gradient=False)[0][0], batch)

    def _sum(
        self, parameters: NDArray[np.float64], batch: Batch, with_gradient: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Add up squares, bare and weighted, and gradients, by chunks in a fixed order."""
        rounded: NDArray = np.ascontiguousarray(parameters, dtype=self.dtype)
        networks = feed_forward.unflatten(rounded, self.sizes, self.n_elements)
        # From moments to the first hidden neurons in one matrix.
        folded = [m @ net[0][0] for m, net in zip(self.matrices, networks, strict=True)]
        work = Work(networks, folded, self.weights.factors / np.maximum(batch.weighted, 1.0))
        run = self._pool.map if self._pool is not None else map
        parts = list(run(lambda chunk: self._chunk(work, chunk, with_gradient), batch.chunks))
        sums = np.sum([part[0] for part in parts], axis=0)
        gradients = np.zeros(parameters.shape)
        if with_gradient:
            for part in parts:
                gradients += part[1]
            views = feed_forward.unflatten(gradients, self.sizes, self.n_elements)
            for e, matrix in enumerate(self.matrices):
                by_moments = np.sum([part[2][e] for part in parts], axis=0)
                views[e][0][0][...] += matrix.T @ by_moments
        return sums, gradients

    def _chunk(
        self, work: Work, chunk: Chunk, with_gradient: bool
    ) -> tuple[NDArray[np.float64], NDArray, list[NDArray]]:
        """Squares, gradients, and the parts of them that are still by moments, of one chunk."""
        n_networks = len(work.networks[0][0][0])
        spans = [slice(a, b) for a, b in zip(chunk.bounds[:-1], chunk.bounds[1:], strict=True)]
        states = []
        atomic = np.empty((n_networks, len(chunk.order)))
        by_moments = np.empty((n_networks, len(chunk.order), self.n_columns), np.float32)
        for net, matrix, span in zip(work.networks, work.folded, spans, strict=True):
            state = feed_forward.forward(net, chunk.inputs[span])
            states.append(state)
            atomic[:, span] = state.energies
            np.matmul(state.first_gradient, matrix.swapaxes(1, 2), out=by_moments[:, span])
        pieces = self.data.pieces(chunk)
        forces, virials = _forces_and_virials(pieces, chunk, by_moments)
        energies = np.array(
            [np.bincount(chunk.frame, row, minlength=len(chunk.counts)) for row in atomic]
        )
        de = (energies - chunk.energies) / chunk.counts
        df = forces - chunk.forces
        ds = (virials * chunk.per_volume[:, None] - chunk.stresses) * (chunk.per_volume > 0)[
            :, None
        ]
        sums = _squares(chunk, de, df, ds)
        if not with_gradient:
            return sums, np.zeros(0), []
        by_energy, by_force, by_stress = 2.0 * work.factors
        by_energy = by_energy * chunk.weights * de / chunk.counts
        displacements = -by_force * chunk.weights[chunk.frame, None] * df
        strains = by_stress * (chunk.weights * chunk.per_volume)[:, None] * ds
        tangents = _moment_tangents(pieces, chunk, displacements, strains, self.n_columns)
        gradients: NDArray = np.empty((n_networks, len(self._mask)), self.dtype)
        views = feed_forward.unflatten(gradients, self.sizes, self.n_elements)
        rest = []
        for e, span in enumerate(spans):
            own = tangents[:, span]
            # rows in a row, else sums depend on how many networks there are
            weights: NDArray = np.ascontiguousarray(by_energy[:, chunk.frame[span]], self.dtype)
            factor = feed_forward.parameter_gradient(
                work.networks[e], states[e], own @ work.folded[e], weights, views[e]
            )
            rest.append(own.swapaxes(1, 2) @ factor)
        return sums, gradients, rest


@dataclass(frozen=True, eq=False)
class Work:
    """
    What all chunks of one evaluation share.

    Parameters
    ----------
    networks : list of Layers
        For each element.
    folded : list of ndarray
        From moments to the first hidden neurons, each (n_networks, n_columns, width).
    factors : ndarray
        Of the weighted sums of squares in the loss, shape (3,).
    """

    networks: list[feed_forward.Layers]
    folded: list[NDArray]
    factors: NDArray[np.float64]


def _squares(
    chunk: Chunk, de: NDArray[np.float64], df: NDArray[np.float64], ds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sums of squares, bare and weighted, shape (2, n_networks, 3)."""
    n = len(chunk.counts)
    found = np.empty((len(de), 3, n))
    for row, e, f, s in zip(found, de, df, ds, strict=True):
        row[0] = e**2
        row[1] = np.bincount(chunk.frame, (f**2).sum(axis=1), minlength=n)
        row[2] = (s**2 * MULTIPLICITY).sum(axis=1)
    return np.array([found.sum(axis=2), (found * chunk.weights).sum(axis=2)])


def _errors(sums: NDArray[np.float64], batch: Batch) -> list[Errors]:
    """Root-mean-square errors of each network in the usual units."""
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(sums / np.where(batch.numbers > 0, batch.numbers, np.nan))
    return [Errors(1e3 * float(e), float(f), KBAR * float(s)) for e, f, s in roots]


def _forces_and_virials(
    pieces: list[Piece], chunk: Chunk, gradients: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forces (n_networks, n_atoms, 3) and virials (n_networks, n, 6)."""
    n_networks, n_atoms = gradients.shape[:2]
    groups = -(-n_networks // LANES)
    forces = np.zeros((groups, n_atoms, 3 * LANES), np.float32)
    virials = np.zeros((groups, len(chunk.counts), 6 * LANES))
    for piece in pieces:
        part = np.zeros((groups, len(piece.positions), 6 * LANES))
        vector_jacobian_products(
            piece.jacobian, piece.structures, piece.rows, gradients, forces, part
        )
        virials[:, piece.positions] = part
    return _from_lanes(forces, n_networks), _from_lanes(virials, n_networks)


def _moment_tangents(
    pieces: list[Piece],
    chunk: Chunk,
    displacements: NDArray[np.float64],
    strains: NDArray[np.float64],
    n_columns: int,
) -> NDArray[np.float32]:
    """Changes of the moments, shape (n_networks, n_atoms, n_columns)."""
    out = np.empty((len(displacements), len(chunk.order), n_columns), np.float32)
    moves, stretches = _to_lanes(displacements), _to_lanes(strains)
    for piece in pieces:
        part = np.ascontiguousarray(stretches[:, piece.positions])
        jacobian_vector_products(piece.jacobian, piece.structures, piece.rows, moves, part, out)
    return out


def _from_lanes(lanes: NDArray, n_networks: int) -> NDArray:
    """From (n_groups, n, k * LANES) to (n_networks, n, k)."""
    groups, n, size = lanes.shape
    apart = lanes.reshape(groups, n, size // LANES, LANES).transpose(0, 3, 1, 2)
    return apart.reshape(groups * LANES, n, size // LANES)[:n_networks]


def _to_lanes(values: NDArray) -> NDArray[np.float32]:
    """Undo :func:`_from_lanes`, in single precision; lanes without a network are zero."""
    n_networks, n, k = values.shape
    groups = -(-n_networks // LANES)
    lanes = np.zeros((groups, n, k, LANES), np.float32)
    for m in range(n_networks):
        lanes[m // LANES, :, :, m % LANES] = values[m]
    return lanes.reshape(groups, n, k * LANES)
