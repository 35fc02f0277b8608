"""Melts at more than one pressure: what they share, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workflows.chains.labelling_rounds import MeltQuenchRuns
from workflows.composition import Target
from workflows.jobs.tags import derive_seed
from workflows.stages.dynamics import DynamicsMaker


def at_melt(dynamics: DynamicsMaker, target: Target, pressure: float) -> DynamicsMaker:
    """
    Dynamics of the melt at a pressure; the seed differs where there are several.

    Parameters
    ----------
    dynamics : DynamicsMaker
        Of all melts.
    target : Target
        What is looked for.
    pressure : float
        kbar.
    """
    if pressure == target.melt_pressures[0]:
        return dynamics
    return replace(dynamics, seed=derive_seed(dynamics.seed, "pressure", pressure))


def joined(runs: Sequence[MeltQuenchRuns]) -> MeltQuenchRuns:
    """Join the runs of several melts, whose frames make one training set."""
    return MeltQuenchRuns(
        jobs=[work for run in runs for work in run.jobs],
        structures=[structure for run in runs for structure in run.structures],
        segments=[part for run in runs for part in run.segments],
        search_runs=[part for run in runs for part in run.search_runs],
    )
