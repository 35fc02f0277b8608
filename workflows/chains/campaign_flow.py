"""The task graph of a campaign, and those that are added to one which has run."""

from __future__ import annotations

from jobflow import Flow, Job

from workflows.jobs.stage import Stage
from workflows.jobs.tags import fireworks_spec
from workflows.stages.table import STAGES


def added_flow(work: Job, key: str, campaign: str, formula: str, name: str) -> Flow:
    """
    Make the task graph of one job that spawns the others.

    Parameters
    ----------
    work : Job
        Gets the key as its id.
    key : str
        Tells it from others.
    campaign, formula : str
        Of the campaign that it is added to.
    name : str
        What it does, for people.
    """
    work.set_uuid(key)
    flow = Flow([work], output=work.output, name=f"{formula} {name}")
    return of_campaign(flow, campaign, formula, STAGES["judge"])


def of_campaign(flow: Flow, campaign: str, formula: str, first: Stage) -> Flow:
    """
    Mark all jobs of a task graph, and all that they will spawn, with their campaign.

    Parameters
    ----------
    flow : Flow
        Is changed.
    campaign, formula : str
        Its name, and what it looks for.
    first : Stage
        With which the flow begins.
    """
    flow.update_metadata({"campaign": campaign, "formula": formula}, dynamic=True)
    # jobflow adds jobs of its own that pass on the outputs of spawned jobs
    flow.update_config(
        {"manager_config": fireworks_spec(first)},
        name_filter="store_inputs",
        attributes=["manager_config"],
        dynamic=True,
    )
    return flow
