"""How strong the repulsive core must be to win over a network outside its data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames
from nnp.kernels.repulsion import Repulsion, pair_repulsion
from nnp.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

#: No core reaches further than this, in Å.
LARGEST_END = 3.0
#: Every pair costs at least this much in eV at the distance in Å.
SMALLEST_BARRIER, BARRIER_DISTANCE = 300.0, 0.4
#: Slope in eV/Å left over after the network's pull is compensated.
MARGIN = 2.0


def core_ends(elements: tuple[str, ...], shortest: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Where the core of each pair ends in Å: at its shortest trained distance.

    Pairs that never met take 0.8 of the sum of their covalent radii.
    """
    from ase.data import atomic_numbers, covalent_radii

    radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in elements])
    unseen = 0.8 * (radii[:, None] + radii[None, :])
    return np.where(np.isfinite(shortest), np.minimum(shortest, LARGEST_END), unseen)


def calibrated_repulsion(
    potential: Potential, frames: Frames, shortest: NDArray[np.float64], samples: int = 3
) -> Repulsion:
    """
    Core that makes every approach of two atoms go uphill.

    In a few frames the closest pair of each kind is pushed together along its line; the strength
    of the core is raised until it outweighs whatever the network does there.

    Parameters
    ----------
    potential : Potential
        Without a core.
    frames : Frames
        Training data.
    shortest : ndarray
        Shortest distance of each pair in Å, shape (n_elements, n_elements).
    samples : int
        Frames tried for each pair.
    """
    elements = potential.elements
    ends = core_ends(elements, shortest)
    unit = Repulsion.below(elements, ends, 1.0)
    strengths = np.ones_like(ends)
    structures = frames[np.unique(np.linspace(0, len(frames) - 1, samples).astype(int))].to_atoms()
    for a in range(len(elements)):
        for b in range(a, len(elements)):
            row = unit.table[a, b]
            needed = [SMALLEST_BARRIER / pair_repulsion(BARRIER_DISTANCE, row)[0]]
            for atoms in structures:
                needed.append(_needed(potential, atoms, (elements[a], elements[b]), row))
            strengths[a, b] = strengths[b, a] = max(1.0, *needed)
    return Repulsion.below(elements, ends, strengths)


def _needed(potential: Potential, atoms: Atoms, pair: tuple[str, str], row: NDArray) -> float:
    """Strength at which the closest pair of one frame repels at every distance."""
    symbols = np.array(atoms.get_chemical_symbols())
    first, second = np.flatnonzero(symbols == pair[0]), np.flatnonzero(symbols == pair[1])
    if not len(first) or not len(second) or (pair[0] == pair[1] and len(first) < 2):
        return 0.0
    vectors = atoms.get_all_distances(mic=True, vector=True)[np.ix_(first, second)]
    lengths = np.linalg.norm(vectors, axis=2)
    lengths[lengths < 1e-6] = np.inf
    i, j = np.unravel_index(lengths.argmin(), lengths.shape)
    direction = vectors[i, j] / lengths[i, j]
    # Close to its end the core is too weak to decide anything.
    distances = np.linspace(BARRIER_DISTANCE, 0.85 * row[2], 24)
    trials = []
    for r in distances:
        trial = atoms.copy()
        trial.calc = None
        trial.positions[second[j]] = atoms.positions[first[i]] + r * direction
        trials.append(trial)
    bare = replace(potential, repulsion=None)
    pulls = [forces[second[j]] @ direction for forces in bare.compute(trials).forces]
    slopes = np.array([-pair_repulsion(float(r), row)[1] for r in distances])
    return float(max((MARGIN - np.array(pulls)) / slopes))
