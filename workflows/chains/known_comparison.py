"""Comparing a campaign with known phases, as a workflow of its own."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow
from pymatgen.core import Structure

from workflows.chains.campaign_flow import added_flow
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.jobs.idempotency import content_id
from workflows.stages.known_phases import KnownPhasesMaker


@dataclass(frozen=True)
class KnownComparison:
    """
    What is relaxed for a comparison, by what.

    Attributes
    ----------
    campaign : str
        Its name.
    target : Target
        What was looked for.
    engine : Engine
        Reference engine.
    known : dict of str to Structure
        Known phases by their labels.
    maker : KnownPhasesMaker
        The numbers.
    """

    campaign: str
    target: Target
    engine: Engine
    known: dict[str, Structure]
    maker: KnownPhasesMaker

    @property
    def key(self) -> str:
        """What tells it from another one: an id that follows from all that it is."""
        return content_id(self.campaign, self.target, self.engine, self.known, self.maker)

    def flow(self) -> Flow:
        """Make the task graph; the job that it begins with bears the key as its id."""
        work = self.maker.make(self.known, self.target, self.engine)
        return added_flow(work, self.key, self.campaign, self.target.formula, "known phases")
