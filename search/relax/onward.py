"""
Relaxing on to the tight limits what a search ended at its own.

A search spends its steps where they pay: only structures near the best known go on to the tight
limits. What was relaxed before a best one was known, or lies farther above it and is reported all
the same, is relaxed on afterwards. Energies under the limits of a search alone are some meV/atom
too high, by chance, and copies of one crystal pass for several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from search.relax.relaxed import LOOSE, OUT_OF_STEPS, Relaxed
from search.relax.relaxer import Relaxer
from search.relax.trust import UNCONDITIONAL, Trust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.geometry import DistanceLimits
    from search.relax.energy import BatchEnergy


def relax_on(
    relaxer: Relaxer,
    relaxed: Sequence[Relaxed],
    energy: BatchEnergy,
    *,
    threads: int = 1,
    distances: DistanceLimits | None = None,
) -> list[Relaxed]:
    """
    Relax structures from where they are to the tight limits, with as many steps again.

    Parameters
    ----------
    relaxer : Relaxer
        Whose tight limits and steps count.
    relaxed : sequence of Relaxed
        Usable ones.
    energy : BatchEnergy
        Gives energies, forces and stresses.
    threads : int
        Passed on to `energy`.
    distances : DistanceLimits or None
        Structures with shorter bonds are given up.

    Returns
    -------
    list of Relaxed
        With the steps of both; what was given up, or led uphill, is as it was.
    """
    limits = replace(
        relaxer.limits,
        max_force=min(relaxer.tight_force, relaxer.limits.max_force),
        max_stress=min(relaxer.tight_stress, relaxer.limits.max_stress),
    )
    onward = replace(relaxer, limits=limits, energy_window=None, tight_window=None)
    ends = onward.relax([r.atoms for r in relaxed], energy, threads=threads, distances=distances)
    return [_better(relaxer, *pair) for pair in zip(relaxed, ends, strict=True)]


def relax_on_nearest(
    relaxer: Relaxer,
    relaxed: Sequence[Relaxed],
    energy: BatchEnergy,
    best: NDArray[np.float64],
    *,
    threads: int = 1,
    distances: DistanceLimits | None = None,
    trust: Trust | None = None,
) -> list[Relaxed]:
    """
    Relax those on to the tight limits that turned out to be near the best.

    Parameters
    ----------
    relaxer : Relaxer
        Whose window, limits and steps count.
    relaxed : sequence of Relaxed
        As it left them without knowing a best one.
    energy : BatchEnergy
        That they were relaxed on.
    best : (n,) array
        Energy per atom (eV) at which each would equal the best of them.
    threads : int
        Over structures.
    distances : DistanceLimits or None
        Shortest bonds that are let pass.
    trust : Trust or None
        What uncertain energies count for; those of unknown structures for nothing.

    Returns
    -------
    list of Relaxed
        All of them, in the same order.
    """
    if relaxer.tight_window is None:
        return list(relaxed)
    trust = trust or UNCONDITIONAL
    energies = np.array([one.energy / len(one.atoms) for one in relaxed])
    uncertainties = np.array([one.uncertainty for one in relaxed], dtype=float)
    worth = trust.worst(energies, uncertainties) < best + relaxer.tight_window
    worth &= ~trust.is_unknown(uncertainties)
    near = [i for i, one in enumerate(relaxed) if one.status == LOOSE and worth[i]]
    chosen = [relaxed[i] for i in near]
    ends = relax_on(relaxer, chosen, energy, threads=threads, distances=distances)
    found = dict(zip(near, ends, strict=True))
    return [found.get(i, one) for i, one in enumerate(relaxed)]


def _better(relaxer: Relaxer, before: Relaxed, after: Relaxed) -> Relaxed:
    """Return what a structure became; the state before if that was better."""
    limits, steps = relaxer.limits, before.steps + after.steps
    unfinished = after.status == OUT_OF_STEPS
    if not after.usable or (unfinished and not after.energy <= before.energy):
        return replace(before, steps=steps)
    loose = after.max_force < limits.max_force and after.max_stress < limits.max_stress
    return replace(after, status=LOOSE if unfinished and loose else after.status, steps=steps)
