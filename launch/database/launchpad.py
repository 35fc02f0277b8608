"""A FireWorks launchpad whose ids are unique on every server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from fireworks import FWAction, FWorker, LaunchPad, Workflow
from fireworks.fw_config import SORT_FWS
from pymongo import ReturnDocument

from launch.database.completed import jobs_of_workflow, leave_out
from launch.database.conditional_writes import ConditionalCollection
from launch.database.insertion import insert, new_workflows
from launch.database.ready import missed, ready_fireworks
from launch.database.tally_keeping import Before, tally_added, tally_changed
from launch.database.writing import write_workflow
from launch.errors import CampaignError
from launch.versions import CAMPAIGN_VERSION, refusal


class CampaignLaunchPad(LaunchPad):
    """
    The launchpad of a campaign.

    FireWorks takes new ids from the document as it was before an increment. SecantusDB 0.7
    increments atomically but, with several clients, may return the state before the increment of
    another: two launches then share an id, and the end of one ends the other. The state after the
    increment is right there as well as on MongoDB.

    And a Firework that has spawned others, and is run again, does not spawn them twice: the
    workflow has them already (:func:`workflows.jobs.idempotency.spawn` gives them the same ids),
    and FireWorks lets them run again after it. What a kill leaves half written is found
    (:mod:`launch.database.writing`), and not taken meanwhile.

    It keeps a tally of each campaign (:mod:`launch.database.tallies`), and takes the next Firework
    by them. What it writes is found by indexes (:mod:`launch.database.conditional_writes`).
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in ("fireworks", "launches", "workflows"):
            setattr(self, name, ConditionalCollection(self.db, name))

    def checkout_fw(
        self, fworker: FWorker, launch_dir: str, fw_id: int | None = None, **kwargs: Any
    ) -> Any:
        """
        Check a Firework out; one of a campaign of another version fails with the reason.

        Its job would be understood wrongly, or not at all.
        """
        firework, launch_id = super().checkout_fw(fworker, launch_dir, fw_id=fw_id, **kwargs)
        if firework is not None:
            reason = self._refusal(firework.fw_id)
            if reason is not None:
                for task in firework.tasks:
                    task.run_task = partial(_refuse, reason)
        return firework, launch_id

    def _refusal(self, fw_id: int) -> str | None:
        """Why a Firework is not run here; None where its workflow does not tell its version."""
        fields = {"metadata.campaign": 1, "metadata.campaign_version": 1, "metadata.begun_by": 1}
        workflow = self.workflows.find_one({"nodes": fw_id}, fields)
        metadata = (workflow or {}).get("metadata") or {}
        found = metadata.get("campaign_version", CAMPAIGN_VERSION)
        if found == CAMPAIGN_VERSION:
            return None
        return refusal(f"The campaign {metadata.get('campaign')}", found, metadata.get("begun_by"))

    def add_wf(self, wf: Workflow, reassign_all: bool = True) -> dict[int, int]:
        """Add a workflow, and count it."""
        ids: dict[int, int] = super().add_wf(wf, reassign_all)
        tally_added(self.db, [wf])
        return ids

    def bulk_add_wfs(self, wfs: Sequence[Workflow]) -> None:
        """Add many workflows in a few operations, and count them."""
        insert(self, new_workflows(self, wfs))

    def get_wf_by_fw_id_lzyfw(self, fw_id: int) -> Workflow:
        """Return a workflow that remembers its states as they are in the database."""
        workflow = super().get_wf_by_fw_id_lzyfw(fw_id)
        workflow.tallied = Before.of(workflow)
        return workflow

    def _update_wf(self, wf: Workflow, updated_ids: Any) -> None:
        write_workflow(self, wf, updated_ids)
        before = getattr(wf, "tallied", None)
        if before is not None:
            tally_changed(self.db, wf, before)

    def complete_launch(
        self, launch_id: int, action: FWAction | None = None, state: str = "COMPLETED"
    ) -> Any:
        """Record the end of a launch, without what its Firework has spawned before."""
        if action is not None and (action.detours or action.additions):
            leave_out(action, self._spawned(launch_id))
        return super().complete_launch(launch_id, action, state)

    def _get_a_fw_to_run(
        self,
        query: Mapping[str, Any] | None = None,
        fw_id: int | None = None,
        checkout: bool = True,
    ) -> Any:
        split = None if fw_id or SORT_FWS else indexable(query or {})
        if split is None:
            return super()._get_a_fw_to_run(query, fw_id, checkout)
        asked, names = split
        #: of no workflow: their insertion is under way, or was cut short
        strangers: list[int] = []

        def take(candidate: Mapping[str, Any]) -> Any:
            if candidate["spec"].get("_fworker") not in names:
                return None
            if self.workflows.find_one({"nodes": candidate["fw_id"]}, {"_id": 1}) is None:
                strangers.append(candidate["fw_id"])
                return None
            one = {"fw_id": candidate["fw_id"], **asked}
            return super(CampaignLaunchPad, self)._get_a_fw_to_run(one, None, checkout)

        known = ready_fireworks(self.db, asked)
        taken = next(filter(None, map(take, known)), None)
        while taken is None:
            n_strangers = len(strangers)
            others = {"fw_id": {"$nin": list(strangers)}} if strangers else {}
            found = missed(self.db, {**asked, **others})
            taken = next(filter(None, map(take, found)), None)
            if taken is not None or not found:
                break
            if len(strangers) == n_strangers:
                # others have taken them all, or they are for others
                return super()._get_a_fw_to_run({**(query or {}), **others}, None, checkout)
        return taken

    def _spawned(self, launch_id: int) -> set[tuple[str, int]]:
        """Jobs of the workflow of a launch, by uuid and index, if its Firework ran before."""
        before = {"launches": launch_id, "archived_launches.0": {"$exists": True}}
        firework = self.fireworks.find_one(before, {"fw_id": 1})
        if firework is None:
            return set()
        return jobs_of_workflow(self, firework["fw_id"])

    def get_new_fw_id(self, quantity: int = 1) -> int:
        """Return the first of some new Firework ids."""
        return self._increment("next_fw_id", quantity)

    def get_new_launch_id(self) -> int:
        """Return a new launch id."""
        return self._increment("next_launch_id", 1)

    def get_new_launch_ids(self, quantity: int) -> int:
        """Return the first of some new launch ids."""
        return self._increment("next_launch_id", quantity)

    def _increment(self, counter: str, quantity: int) -> int:
        after = self.fw_id_assigner.find_one_and_update(
            {}, {"$inc": {counter: quantity}}, return_document=ReturnDocument.AFTER
        )
        if after is None:
            raise CampaignError(
                "The launchpad has no counters yet: run devitrify doctor --prepare, with the "
                "--folder of its configuration, and give the command again."
            )
        return int(after[counter]) - quantity


def _refuse(reason: str, _: Mapping[str, Any]) -> NoReturn:
    """Stand in the place of a task that is not run."""
    raise CampaignError(f"{reason}.")


def indexable(query: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]] | None:
    """
    Split the query of a FireWorks worker into what indexes answer and the worker's names.

    It asks by alternatives for Fireworks of no particular worker or of its own, for which
    SecantusDB reads all documents. None if it asks for other alternatives, too.

    Returns
    -------
    tuple of dict and list
        The query without the alternatives; values that ``spec._fworker`` may have, if it has one.
    """
    alternatives = query.get("$or", [])
    names = [one["spec._fworker"] for one in alternatives if list(one) == ["spec._fworker"]]
    if len(names) != len(alternatives) or None not in names:
        return None
    return {key: value for key, value in query.items() if key != "$or"}, names
