"""The gate of candidates: whether a potential can tell which of its best are the lowest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray
from pymatgen.core import Structure

from nnp.analysis.ranking import order_of_distinct, ranking_errors
from nnp.evaluation import predict
from nnp.frames import Frames
from nnp.potential import Potential
from workflows.conversion import to_atoms
from workflows.documents.agreement import Agreement

#: Fewer structures than these say nothing of a rank correlation.
FEWEST_RANKED = 4


@dataclass(frozen=True)
class Gate(MSONable):
    """
    What is asked of a potential before its candidates are believed.

    Parameters
    ----------
    window : float
        Structures up to this far above the lowest count.
    max_mean_error : float
        Largest mean of the errors there.
    min_spearman : float
        Smallest rank correlation: of all structures, or of the pairs that lie further apart than
        the resolution.
    resolution : float
        Difference of energies below which two structures may be in any order; and standard
        deviation of the errors that is asked for where all structures are that near to each other.
    hopeless : float
        Root mean square error beyond which the candidates are no ranking at all.
    """

    window: float = field(
        default=50.0,
        metadata={"range": (1.0, 1000.0), "unit": "meV/atom", "help": "above the lowest, counts"},
    )
    max_mean_error: float = field(
        default=3.0,
        metadata={"range": (0.01, 1000.0), "unit": "meV/atom", "help": "of the best candidates"},
    )
    min_spearman: float = field(
        default=0.8,
        metadata={"range": (-1.0, 1.0), "unit": "", "help": "rank correlation of the best"},
    )
    resolution: float = field(
        default=1.0,
        metadata={
            "range": (0.01, 1000.0),
            "unit": "meV/atom",
            "help": "structures that are nearer to each other may be in any order",
        },
    )
    hopeless: float = field(
        default=50.0,
        metadata={
            "range": (1.0, 10_000.0),
            "unit": "meV/atom",
            "help": "root mean square error beyond which the result is not to be trusted",
        },
    )

    def measure(
        self,
        structures: Sequence[Structure],
        energies: Sequence[float],
        potential: Potential,
        work: Sequence[float] | None = None,
    ) -> Agreement:
        """
        Compare single points of the potential with energies of the engine at its own geometries.

        Parameters
        ----------
        structures : sequence of Structure
            As the engine relaxed them.
        energies : sequence of float
            Of the engine, eV/atom.
        potential : Potential
        work : sequence of float or None
            Pressure times volume of each, eV/atom, which both have and by which they are near the
            lowest or not, less the lowest enthalpy of its pressure where there are several; none:
            there is no pressure.
        """
        found, uncertainties = single_points(structures, potential)
        added = np.zeros(len(found)) if work is None else np.asarray(work, dtype=float)
        return self.compare(np.asarray(energies) + added, found + added, uncertainties)

    def compare(
        self,
        reference: Sequence[float] | NDArray[np.float64],
        predicted: Sequence[float | None] | NDArray[np.float64],
        uncertainties: NDArray[np.float64] | None = None,
    ) -> Agreement:
        """
        Compare energies per atom.

        Parameters
        ----------
        reference, predicted : array_like, shape (n,)
            eV/atom.
        uncertainties : ndarray or None
            That the potential expects of its own, eV/atom.
        """
        true, found = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
        if not len(true):
            return Agreement(window=self.window, n=0)
        (row,) = ranking_errors(true, found, windows=(self.window,))
        near = true <= np.nanmin(true) + 1e-3 * self.window
        expected = None
        if uncertainties is not None:
            expected = 1e3 * float(np.sqrt(np.mean(np.asarray(uncertainties)[near] ** 2)))
        apart = order_of_distinct(1e3 * true[near], 1e3 * found[near], self.resolution)
        return Agreement(
            window=self.window,
            n=row.n,
            mean_error=_finite(row.mean_error),
            deviation=_finite(math.sqrt(max(row.rmse**2 - row.mean_error**2, 0.0))),
            spearman=_finite(row.spearman),
            ordered=_finite(apart),
            pearson=_finite(row.pearson),
            expected_error=_finite(expected),
        )

    def passes(self, agreement: Agreement) -> bool:
        """Whether the potential resolves the structures of the window."""
        mean, deviation, rank = agreement.mean_error, agreement.deviation, agreement.spearman
        if mean is None or deviation is None or abs(mean) > self.max_mean_error:
            return False
        if agreement.n < FEWEST_RANKED or rank is None:
            return deviation <= self.max_mean_error
        if agreement.ordered is None:  # all lie closer to each other than the resolution
            return deviation <= self.resolution or rank >= self.min_spearman
        return max(rank, agreement.ordered) >= self.min_spearman

    def is_hopeless(self, agreement: Agreement) -> bool:
        """Whether the potential and the engine do not speak of the same energies at all."""
        mean, deviation = agreement.mean_error, agreement.deviation
        if mean is None or deviation is None:
            return False
        return math.hypot(mean, deviation) > self.hopeless

    def describe(self, agreement: Agreement) -> str:
        """Say in words how well they agree."""
        if agreement.mean_error is None or agreement.deviation is None:
            return "nothing is known of the potential's errors among the candidates"
        rank = "" if agreement.spearman is None else f", rank correlation {agreement.spearman:.2f}"
        if rank and agreement.ordered is not None:
            rank += f" ({agreement.ordered:.2f} of pairs over {self.resolution:g} meV/atom apart)"
        near = f" within {agreement.window:g} meV/atom" if math.isfinite(agreement.window) else ""
        return (
            f"potential minus engine {agreement.mean_error:+.1f} ± {agreement.deviation:.1f} "
            f"meV/atom{rank} over {agreement.n} structures{near}"
        )


def single_points(
    structures: Sequence[Structure], potential: Potential
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Evaluate crystals as they are.

    Parameters
    ----------
    structures : sequence of Structure
        Of any sizes.
    potential : Potential

    Returns
    -------
    tuple of ndarray, shape (n,)
        Energies and the errors to expect of them, eV/atom.
    """
    frames = Frames.from_atoms([to_atoms(structure) for structure in structures])
    found = predict(potential, frames)
    return found.energies / frames.counts, found.uncertainties


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
