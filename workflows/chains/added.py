"""Workflows that are added to a campaign which has run: their ids and their marks."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from jobflow import Flow, Job
from monty.json import MontyEncoder

from workflows.jobs.idempotency import NAMESPACE
from workflows.jobs.tags import fireworks_spec
from workflows.stages.table import STAGES


def key_of(parts: Sequence[Any]) -> str:
    """
    Tell a workflow from others by an id that follows from all that it is.

    Parameters
    ----------
    parts : sequence
        What it is made of; each can be written as JSON by monty.
    """
    text = json.dumps(list(parts), cls=MontyEncoder, sort_keys=True)
    return str(uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest()))


def added_flow(work: Job, key: str, campaign: str, formula: str, name: str) -> Flow:
    """
    Make the task graph of one job that spawns the others.

    Parameters
    ----------
    work : Job
        Gets the key as its id.
    key : str
        See :func:`key_of`.
    campaign, formula : str
        Of the campaign that it is added to.
    name : str
        What it does, for people.
    """
    work.set_uuid(key)
    flow = Flow([work], output=work.output, name=f"{formula} {name}")
    flow.update_metadata({"campaign": campaign, "formula": formula}, dynamic=True)
    # jobflow adds jobs of its own that pass on the outputs of spawned jobs
    flow.update_config(
        {"manager_config": fireworks_spec(STAGES["judge"])},
        name_filter="store_inputs",
        attributes=["manager_config"],
        dynamic=True,
    )
    return flow
