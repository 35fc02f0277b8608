"""Insert many workflows in a few operations: their documents first, then what the server does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from launch.database.firework_documents import firework_document
from launch.database.tally_keeping import tally_added

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow


class NewWorkflows(NamedTuple):
    """Workflows with their numbers, and their documents in the order in which they go in."""

    workflows: Sequence[Workflow]
    waiting: list[dict[str, Any]]
    of_workflows: list[dict[str, Any]]
    ready: list[dict[str, Any]]


def new_workflows(pad: LaunchPad, workflows: Sequence[Workflow]) -> NewWorkflows:
    """
    Give workflows their numbers, and make their documents.

    FireWorks' own way takes the numbers in a way that is not safe on every server.

    Parameters
    ----------
    pad : LaunchPad
        Gives the numbers.
    workflows : sequence of Workflow
        Changed: what can run is READY.
    """
    first = pad.get_new_fw_id(quantity=sum(len(workflow) for workflow in workflows))
    for workflow in workflows:
        for fw_id in workflow.root_fw_ids:
            workflow.id_fw[fw_id].state = workflow.fw_states[fw_id] = "READY"
        ids = dict(zip(sorted(workflow.id_fw), range(first, first + len(workflow)), strict=True))
        first += len(workflow)
        for firework in workflow.fws:
            firework.fw_id = ids[firework.fw_id]
        workflow._reassign_ids(ids)
    roots = {fw_id for workflow in workflows for fw_id in workflow.root_fw_ids}
    made = [firework_document(firework) for workflow in workflows for firework in workflow.fws]
    return NewWorkflows(
        workflows,
        [document for document in made if document["fw_id"] not in roots],
        [workflow.to_db_dict() for workflow in workflows],
        [document for document in made if document["fw_id"] in roots],
    )


def insert(pad: LaunchPad, new: NewWorkflows) -> None:
    """Insert workflows, and count them; what is READY last: whoever takes it finds the rest."""
    if new.waiting:
        pad.fireworks.insert_many(new.waiting)
    pad.workflows.insert_many(new.of_workflows)
    pad.fireworks.insert_many(new.ready)
    tally_added(pad.db, new.workflows)
