"""Judging the potential of a campaign that has one, as a workflow of its own."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass

from jobflow import Flow
from monty.json import MontyEncoder
from pymatgen.core import Structure

from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.jobs.idempotency import NAMESPACE
from workflows.jobs.tags import fireworks_spec
from workflows.stages.judge import JudgeMaker
from workflows.stages.table import STAGES


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
        parts = [
            self.campaign, list(self.trainings), self.sample, self.target, self.engine, self.seed,
            self.known, self.maker,
        ]  # fmt: skip
        text = json.dumps(parts, cls=MontyEncoder, sort_keys=True)
        return str(uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest()))

    def flow(self) -> Flow:
        """Make the task graph; the job that it begins with bears the key as its id."""
        *earlier, newest = self.trainings
        work = self.maker.make(
            newest, self.sample, self.target, self.engine, self.seed, self.known, earlier
        )
        work.set_uuid(self.key)
        flow = Flow([work], output=work.output, name=f"{self.target.formula} judgement")
        metadata = {"campaign": self.campaign, "formula": self.target.formula}
        flow.update_metadata(metadata, dynamic=True)
        # jobflow adds jobs of its own that pass on the outputs of spawned jobs
        flow.update_config(
            {"manager_config": fireworks_spec(STAGES["judge"])},
            name_filter="store_inputs",
            attributes=["manager_config"],
            dynamic=True,
        )
        return flow
