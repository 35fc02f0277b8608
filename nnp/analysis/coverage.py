"""
Whether structures lie where the training set has been, in the space of symmetry functions.

Two measures for each atom: how many of its symmetry functions leave the range of the training
set, and how far its nearest training environment of the same element is along the principal
components, in units of what is usual between training environments. The first two components can
be plotted element by element, as in Fig. 3 of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.storage.arrays import decode_array, encode_array
from nnp.storage.documents import decoded
from nnp.training.dataset import moments_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ARRAYS = ("lowest", "highest", "means", "axes", "spacing")

#: An atom further from the training set than this multiple of the usual spacing is outside.
FAR = 3.0


@dataclass(frozen=True, eq=False)
class CoverageReport:
    """
    How well structures are covered.

    Parameters
    ----------
    outside : ndarray
        Fraction of each atom's symmetry functions out of the training range, shape (n_atoms,).
    distance : ndarray
        To the nearest training environment in units of the usual spacing, shape (n_atoms,).
    components : ndarray
        Principal components of each atom, shape (n_atoms, n_components).
    types : ndarray of int
        Element of each atom, shape (n_atoms,).
    counts : ndarray of int
        Atoms in each structure.
    """

    outside: NDArray[np.float64]
    distance: NDArray[np.float64]
    components: NDArray[np.float64]
    types: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def far(self) -> NDArray[np.bool_]:
        """Which atoms are outside the training set."""
        return self.distance > FAR

    @property
    def largest_distance(self) -> NDArray[np.float64]:
        """Of the worst atom of each structure, shape (n_structures,)."""
        starts = np.cumsum(self.counts) - self.counts
        return np.maximum.reduceat(self.distance, starts)

    def components_by_element(self, n_elements: int) -> list[NDArray[np.float64]]:
        """Principal components of the atoms of each element, each (n_atoms, n_components)."""
        return [self.components[self.types == e] for e in range(n_elements)]

    def covered(self, n_elements: int) -> list[float]:
        """Fraction of atoms of each element within the training set; NaN if there are none."""
        return [
            float(np.mean(~self.far[self.types == e])) if (self.types == e).any() else float("nan")
            for e in range(n_elements)
        ]


@dataclass(frozen=True, eq=False)
class Coverage(MSONable):
    """
    The region of symmetry-function space a training set spans.

    Parameters
    ----------
    functions : SymmetryFunctions
        Symmetry functions.
    lowest, highest : ndarray
        Their ranges by element, shape (n_elements, n_functions).
    means, axes : ndarray
        Centre and scaled principal axes by element, shapes (n_elements, n_functions) and
        (n_elements, n_functions, n_components).
    samples : tuple of ndarray
        Principal components of training environments, one (n, n_components) array an element.
    spacing : ndarray
        Usual distance from a training environment to the nearest sample, shape (n_elements,).

    Examples
    --------
    >>> coverage = Coverage.fit(potential.functions, frames)  # doctest: +SKIP
    >>> coverage.assess(candidates).covered(3)  # doctest: +SKIP
    """

    functions: SymmetryFunctions
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    means: NDArray[np.float64]
    axes: NDArray[np.float64]
    samples: tuple[NDArray[np.float64], ...]
    spacing: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        functions: SymmetryFunctions,
        frames: Frames,
        n_components: int = 8,
        n_samples: int = 1500,
        seed: int = 0,
    ) -> Coverage:
        """
        Describe the environments of a training set.

        Parameters
        ----------
        functions : SymmetryFunctions
            Usually ``potential.functions``.
        frames : Frames
            The training set.
        n_components : int
            Principal components kept.
        n_samples : int
            Environments kept of each element, drawn at random.
        seed : int
            Of the draw.
        """
        generator = np.random.default_rng(seed)
        values, types = symmetry_function_values(functions, frames)
        n, f = len(functions.elements), functions.n_functions
        n_components = min(n_components, f)
        lowest, highest, means = np.zeros((n, f)), np.zeros((n, f)), np.zeros((n, f))
        axes, spacing = np.zeros((n, f, n_components)), np.ones(n)
        samples = []
        for e in range(n):
            own = values[types == e]
            if len(own) < 2:
                samples.append(np.zeros((0, n_components)))
                continue
            lowest[e], highest[e], means[e] = own.min(axis=0), own.max(axis=0), own.mean(axis=0)
            axes[e] = _principal_axes(own, n_components)
            order = generator.permutation(len(own))
            points = (own - means[e]) @ axes[e]
            kept, others = points[order[:n_samples]], points[order[n_samples:]]
            samples.append(kept)
            spacing[e] = _usual_spacing(kept, others[:n_samples])
        return cls(functions, lowest, highest, means, axes, tuple(samples), spacing)

    def assess(self, frames: Frames) -> CoverageReport:
        """
        Compare structures with the training set.

        Parameters
        ----------
        frames : Frames
            Structures; energies and forces may be missing.
        """
        values, types = symmetry_function_values(self.functions, frames)
        outside, distance = np.zeros(len(types)), np.zeros(len(types))
        components = np.zeros((len(types), self.axes.shape[2]))
        # A range is left only by more than rounding.
        margin = 1e-9 * np.maximum(1.0, np.abs(self.highest))
        for e in range(len(self.functions.elements)):
            rows = types == e
            own = values[rows]
            below, above = own < self.lowest[e] - margin[e], own > self.highest[e] + margin[e]
            outside[rows] = (below | above).mean(axis=1)
            components[rows] = (own - self.means[e]) @ self.axes[e]
            distance[rows] = _nearest(self.samples[e], components[rows]) / self.spacing[e]
        return CoverageReport(outside, distance, components, types, frames.counts)

    def plot(self, structures: Mapping[str, Frames] | None = None) -> Figure:
        """
        First two principal components of every element with projected densities.

        Parameters
        ----------
        structures : mapping or None
            Sets to show on top of the training set, by label.
        """
        from nnp.analysis.coverage_plot import plot_coverage

        components = {
            label: self.assess(frames).components_by_element(len(self.functions.elements))
            for label, frames in (structures or {}).items()
        }
        return plot_coverage(self.functions.elements, self.samples, components)

    def as_dict(self) -> dict[str, Any]:
        """Document with compressed arrays."""
        return {
            "@module": type(self).__module__,
            "@class": "Coverage",
            "functions": self.functions.as_dict(),
            "samples": [encode_array(points.astype(np.float32)) for points in self.samples],
            **{name: encode_array(getattr(self, name)) for name in _ARRAYS},
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Coverage:
        """Undo :meth:`as_dict`."""
        return cls(
            functions=decoded(SymmetryFunctions, d["functions"]),
            samples=tuple(decode_array(points).astype(np.float64) for points in d["samples"]),
            **{name: decode_array(d[name]) for name in _ARRAYS},
        )


def symmetry_function_values(
    functions: SymmetryFunctions, frames: Frames
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Symmetry functions (n_atoms, n_functions) and element index (n_atoms,) of every atom."""
    moments = moments_of(functions, frames)
    return moments @ functions.transform.T, functions.types(frames.numbers)


def _principal_axes(values: NDArray[np.float64], n_components: int) -> NDArray[np.float64]:
    """Leading axes of the values scaled by their ranges, shape (n_functions, n_components)."""
    spans = np.ptp(values, axis=0)
    spans = np.where(spans > 1e-10, spans, 1.0)
    scaled = (values - values.mean(axis=0)) / spans
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1]
    return axes[:, :n_components] / spans[:, None]


def _nearest(samples: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point to the nearest sample; infinite without samples."""
    from scipy.spatial import cKDTree

    if not len(samples):
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(samples).query(points)[0])


def _usual_spacing(kept: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """95th percentile of the distance from environments not kept to the nearest kept one."""
    from scipy.spatial import cKDTree

    if len(others) >= 10:
        distances = cKDTree(kept).query(others)[0]
    else:
        distances = cKDTree(kept).query(kept, k=2)[0][:, 1]
    return max(float(np.quantile(distances, 0.95)), 1e-9)
