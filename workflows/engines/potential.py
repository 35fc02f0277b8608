"""The trained potential as an engine that knows where its knowledge ends."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols
from ase.neighborlist import primitive_neighbor_list

from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import StepCost
from workflows.jobs.outputs import output_of

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from nnp.calculator import NeuralNetworkCalculator
    from nnp.potential import Potential

#: Wall seconds of a step of 100 atoms by one network of the default size on one thread; measured
#: with 96 atoms: 0.0019 s (about the 18 µs an atom of ``python -m tests.benchmarks.kernels``).
NETWORK_SECONDS = 0.002
ONE_NETWORK = StepCost(NETWORK_SECONDS)


@dataclass(frozen=True)
class PotentialEngine(AseEngine):
    """
    Molecular dynamics by a neural network potential of the same campaign.

    A run ends, and keeps the frames before, where the energy becomes more uncertain than a limit,
    where two atoms come much closer than they ever did in training, or where it explodes.

    Parameters
    ----------
    potential : str
        Job that trained the potential, whose output is a ``TrainingDocument``: the potential
        itself is too large for the documents of the many jobs that use it.
    max_uncertainty : float
        eV/atom, of the energy; a single network has no uncertainty.
    closest : float
        Shortest distance allowed, relative to the shortest one of each pair in training.
    cost : StepCost
        For estimates; that of one network unless given.
    """

    name: str = "NNP"
    cost: StepCost = ONE_NETWORK
    potential: str = ""
    max_uncertainty: float = 0.1
    closest: float = 0.8

    def build(self) -> NeuralNetworkCalculator:
        """
        Build the calculator, within a job that has access to the job store.

        Only the potential is kept for the next job: a neighbour list of the job before, which is as
        good but in another order, would make the last digits depend on which worker ran what.

        Raises
        ------
        ValueError
            If the job store has no output of the job.
        """
        from nnp.calculator import NeuralNetworkCalculator

        return NeuralNetworkCalculator(_load(self.potential))

    def stop_reason(self, atoms: Atoms) -> str | None:
        """
        Say why molecular dynamics must not go on from here, if it must not.

        Parameters
        ----------
        atoms : Atoms
            With this engine's calculator, evaluated.
        """
        uncertainty = float(atoms.calc.results["uncertainty"])
        if not uncertainty <= self.max_uncertainty:
            return f"the energy is uncertain by {1e3 * uncertainty:.0f} meV/atom"
        potential = atoms.calc.potential
        limits = self.closest * _shortest(potential.record, len(potential.elements))
        types = potential.functions.types(atoms.numbers)
        i, j, d = primitive_neighbor_list(
            "ijd", atoms.pbc, atoms.cell.array, atoms.positions, float(limits.max())
        )
        close = np.flatnonzero(d < limits[types[i], types[j]])
        if len(close):
            worst = close[np.argmin(d[close])]
            pair = "-".join(chemical_symbols[atoms.numbers[k[worst]]] for k in (i, j))
            return f"a distance {pair} of {d[worst]:.2f} Å is shorter than any in training"
        return None

    @property
    def keeps_partial_runs(self) -> bool:
        """Whether a run that explodes ends there, with its good frames, instead of failing."""
        return True


def _shortest(record: dict, n_elements: int) -> NDArray[np.float64]:
    """Shortest distances in training (Å) by pair of elements; zero for pairs that never met."""
    known = record.get("shortest_distances") or [[None] * n_elements] * n_elements
    return np.array([[entry or 0.0 for entry in row] for row in known])


@functools.lru_cache(maxsize=2)
def _load(uuid: str) -> Potential:
    potential: Potential = output_of(uuid).potential
    return potential
