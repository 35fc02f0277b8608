"""Comparing a campaign with known phases, as a workflow of its own."""

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
from workflows.stages.known_phases import KnownPhasesMaker
from workflows.stages.table import STAGES


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
        parts = [self.campaign, self.target, self.engine, self.known, self.maker]
        text = json.dumps(parts, cls=MontyEncoder, sort_keys=True)
        return str(uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest()))

    def flow(self) -> Flow:
        """Make the task graph; the job that it begins with bears the key as its id."""
        work = self.maker.make(self.known, self.target, self.engine)
        work.set_uuid(self.key)
        flow = Flow([work], output=work.output, name=f"{self.target.formula} known phases")
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
