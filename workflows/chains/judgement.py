"""Judging the potential of a campaign that has one, as a workflow of its own."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow
from pymatgen.core import Structure

from workflows.chains.campaign_flow import added_flow
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.jobs.idempotency import content_id
from workflows.stages.judge import JudgeMaker


@dataclass(frozen=True)
class Judgement:
    """
    What is judged, by what.

    Attributes
    ----------
    campaign : str
        Its name.
    trainings : tuple of str
        Jobs that trained its potentials, the oldest first; the last one is judged.
    sample : str
        Job that has the training set.
    target : Target
        Composition, and formula units of random crystals and search.
    engine : Engine
        Reference engine.
    seed : int
        Of the campaign.
    known : dict of str to Structure
        Known phases by their labels.
    maker : JudgeMaker
        The numbers.
    """

    campaign: str
    trainings: tuple[str, ...]
    sample: str
    target: Target
    engine: Engine
    seed: int
    known: dict[str, Structure]
    maker: JudgeMaker

    @property
    def key(self) -> str:
        """What tells it from another one: an id that follows from all that it is."""
        return content_id(
            self.campaign, self.trainings, self.sample, self.target, self.engine, self.seed,
            self.known, self.maker,
        )  # fmt: skip

    def flow(self) -> Flow:
        """Make the task graph; the job that it begins with bears the key as its id."""
        *earlier, newest = self.trainings
        work = self.maker.make(
            newest, self.sample, self.target, self.engine, self.seed, self.known, earlier
        )
        return added_flow(work, self.key, self.campaign, self.target.formula, "judgement")
