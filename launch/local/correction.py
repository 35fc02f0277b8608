"""
Other settings for a campaign that has begun.

What is finished stays, what has not begun becomes what is wanted now, what is new is added, and
what is no longer wanted leaves the launchpad for the collection :data:`ARCHIVE`. The workflow's
document is written once and last of all that counts: a kill before it leaves the campaign as it
was, one after it is tidied up when the campaign is resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch.database.connections import OUTPUTS
from launch.database.failures import stage_of
from launch.errors import CampaignError
from launch.local.addition import OWN_WORKFLOW
from launch.local.correction_plan import Plan, Present, make_plan, uuids, with_numbers_of
from launch.report.rankings import forget_ranking
from workflows.jobs.outputs import FORMER_CAMPAIGN
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow

#: Collection of the Fireworks that were taken out of the campaign.
ARCHIVE = "archived_fireworks"
#: Where a workflow keeps the Fireworks that were not spawned, if it has been corrected.
FIRST = "first_fireworks"


@dataclass
class Correction:
    """
    A campaign's Fireworks, and what becomes of them with other settings.

    Attributes
    ----------
    pad : LaunchPad
        Of the campaign alone.
    workflow : dict
        Its document.
    present : Present
        Fireworks that are there.
    plan : Plan
        What becomes of them.
    """

    pad: LaunchPad
    workflow: dict[str, Any]
    present: Present
    plan: Plan

    def require_no_loss(self) -> None:
        """
        Raise a CampaignError if results would be lost that are dear, or that are complete.

        Raises
        ------
        CampaignError
            It names what has begun.
        """
        late = self.plan.too_late(self.present)
        if late:
            others = f" and {len(late) - 5} more" if len(late) > 5 else ""
            raise CampaignError(f"It has begun already: {', '.join(late[:5])}{others}.")

    def apply(self) -> list[int]:
        """
        Change the launchpad.

        Returns
        -------
        list of int
            The Fireworks that the campaign now has from its beginning.
        """
        archived = self.plan.archived(self.present)
        self._archive(archived)
        ids = self._ids()
        workflow = self._rewired(ids, set(archived))
        self._write(ids, workflow["fw_states"])
        self.pad.workflows.replace_one({"_id": self.workflow["_id"]}, workflow)
        tidy_up(self.pad, self.workflow["metadata"].get("campaign"))
        return list(workflow["metadata"][FIRST])

    def sentence(self) -> str:
        """Say in one sentence what is kept, what is done again, and what else becomes of jobs."""
        plan, documents = self.plan, self.present.documents
        archived = set(plan.archived(self.present))
        finished = [
            documents[fw_id]
            for fw_id, document in documents.items()
            if document["state"] == "COMPLETED" and fw_id not in archived
        ]
        again = [documents[i] for i in plan.replaced.values() if not self.present.is_untouched(i)]
        added = [plan.wanted[i] for i in plan.new if i not in plan.replaced]
        left_out = [documents[i] for i in plan.dropped if i in archived]
        others = {
            "done again": _stages(again),
            "going on": _stages(documents[i] for i in plan.goes_on.values()),
            "not begun yet": _stages(documents[i] for i in plan.changed.values()),
            "added": _counted(added),
            "left out": _counted(left_out),
        }
        listed = "".join(f"; {name}: {what}" for name, what in others.items() if what)
        return f"With the other settings are kept: {_counted(finished) or 'no job'}{listed}."

    def _archive(self, archived: Sequence[int]) -> None:
        """Copy Fireworks that go; they are taken away when the workflow has no more of them."""
        for fw_id in archived:
            document = {**self.present.documents[fw_id], "state": "ARCHIVED"}
            document.pop("_id", None)
            self.pad.db[ARCHIVE].replace_one({"fw_id": fw_id}, document, upsert=True)

    def _ids(self) -> dict[int, int]:
        """Ids of all wanted Fireworks: those of their counterparts, or new ones."""
        new = sorted(self.plan.new)
        first = self.pad.get_new_fw_id(quantity=len(new)) if new else 0
        return {**self.plan.staying, **dict(zip(new, range(first, first + len(new)), strict=True))}

    def _rewired(self, ids: dict[int, int], archived: set[int]) -> dict[str, Any]:
        """Document of the workflow with other nodes, links and states."""
        present, plan = self.present, self.plan
        staying = [fw_id for fw_id in plan.dropped if fw_id not in archived]
        children = {ids[i]: [ids[child] for child in below] for i, below in plan.links.items()}
        children |= {fw_id: [] for fw_id in staying}
        for fw_id in staying:
            for parent in present.parents(fw_id):
                children[parent].append(fw_id)
        links: dict[int, list[int]] = {}
        for fw_id, below in children.items():
            unit = present.unit(fw_id) if fw_id in present.documents else [fw_id]
            inside = set(unit)
            for member in unit:
                spawned = [i for i in present.links.get(member, []) if i in inside]
                # who waits for a job waits for the last of those it is replaced by
                last = member == fw_id or not spawned
                links[member] = spawned + (below if last else [])
        states = self._states(ids, links)
        return self._document(links, states, sorted(children))

    def _states(self, ids: dict[int, int], links: dict[int, list[int]]) -> dict[int, str]:
        """States of all Fireworks: what waits, or could begin, goes by its parents."""
        documents = self.present.documents
        states = {i: documents[i]["state"] for i in links if i in documents}
        wanted = {ids[i]: self.plan.wanted[i] for i in (*self.plan.new, *self.plan.changed)}
        waiting = [i for i in links if states.get(i, "WAITING") in ("WAITING", "READY")]
        waiting += [i for i in wanted if states.get(i) == "FIZZLED"]
        parents: dict[int, list[int]] = {fw_id: [] for fw_id in links}
        for fw_id, below in links.items():
            for child in below:
                parents[child].append(fw_id)
        for fw_id in waiting:
            spec = (wanted.get(fw_id) or documents[fw_id])["spec"]
            enough = ("COMPLETED", *(["FIZZLED"] if spec.get("_allow_fizzled_parents") else []))
            ready = all(states.get(parent) in enough for parent in parents[fw_id])
            states[fw_id] = "READY" if ready else "WAITING"
        return states

    def _document(
        self, links: dict[int, list[int]], states: dict[int, str], first: list[int]
    ) -> dict[str, Any]:
        """Spell out a workflow as FireWorks does."""
        from fireworks import Firework, Workflow

        fireworks = [Firework([], fw_id=fw_id, state=states[fw_id]) for fw_id in links]
        for firework in fireworks:
            known = self.present.documents.get(firework.fw_id)
            firework.spec = known["spec"] if known else {}  # it looks for what may have failed
        made = Workflow(
            fireworks,
            links,
            self.workflow["name"],
            {**self.workflow["metadata"], FIRST: first},
            self.workflow["created_on"],
            fw_states=states,
        ).to_db_dict()
        return {**self.workflow, **made}

    def _write(self, ids: dict[int, int], states: dict[str, str]) -> None:
        """Insert what is new, and give others their new numbers."""
        plan = self.plan
        for fw_id in plan.new:
            document = {**plan.wanted[fw_id], "fw_id": ids[fw_id], "state": states[str(ids[fw_id])]}
            self.pad.fireworks.insert_one(document)
        for fw_id, there in plan.changed.items():
            wanted = plan.wanted[fw_id]
            numbers = {"spec": wanted["spec"], "name": wanted["name"]}
            self.pad.fireworks.update_one({"fw_id": there}, {"$set": numbers})
        for fw_id, document in self.present.documents.items():
            state = states.get(str(fw_id), document["state"])
            if state != document["state"]:
                self.pad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": state}})
        for fw_id, there in plan.goes_on.items():
            for member in self.present.unit(there):
                document = self.present.documents[member]
                if member == there or self.present.has_no_result(member):
                    made = with_numbers_of(document, plan.wanted[fw_id])
                    tasks = {"spec._tasks": made["spec"]["_tasks"]}
                    self.pad.fireworks.update_one({"fw_id": member}, {"$set": tasks})


def plan_correction(pad: LaunchPad, fw_ids: Sequence[int], wanted: Workflow) -> Correction:
    """
    Find out what becomes of a campaign with other settings; nothing is changed.

    Parameters
    ----------
    pad : LaunchPad
        Of the campaign alone; nobody runs anything of it.
    fw_ids : sequence of int
        Fireworks that were first added.
    wanted : Workflow
        The same campaign with other settings, not added.
    """
    workflow = pad.workflows.find_one(OWN_WORKFLOW)
    nodes = workflow["nodes"]
    documents = {fw["fw_id"]: fw for fw in pad.fireworks.find({"fw_id": {"$in": nodes}})}
    present = Present(
        documents=documents,
        links={int(fw_id): list(below) for fw_id, below in workflow["links"].items()},
        first=[i for i in workflow["metadata"].get(FIRST, fw_ids) if i in documents],
        is_complete=workflow["state"] == "COMPLETED",
    )
    return Correction(pad, workflow, present, make_plan(present, wanted))


def tidy_up(pad: LaunchPad, campaign: str | None) -> None:
    """
    Take away what a correction has left out, and let its outputs be of no campaign.

    Parameters
    ----------
    pad : LaunchPad
        Of the campaign.
    campaign : str or None
        Its name.
    """
    workflow = pad.workflows.find_one(OWN_WORKFLOW, {"nodes": 1})
    pad.db[ARCHIVE].delete_many({"fw_id": {"$in": workflow["nodes"]}})  # of a correction cut short
    former = [uuid for firework in pad.db[ARCHIVE].find({}) for uuid in uuids(firework)]
    if not former:
        return
    archived = [fw["fw_id"] for fw in pad.db[ARCHIVE].find({}, {"fw_id": 1})]
    pad.fireworks.delete_many({"fw_id": {"$in": archived}})
    pad.db.progress.delete_many({"uuid": {"$in": former}})
    if campaign is not None:
        forget_ranking(pad.db, campaign)
    pad.db[OUTPUTS].update_many(
        {"uuid": {"$in": former}, "metadata.campaign": campaign},
        {"$set": {FORMER_CAMPAIGN: campaign}, "$unset": {"metadata.campaign": ""}},
    )


def _counted(fireworks: Sequence[dict[str, Any]]) -> str:
    """Say how many Fireworks there are, and of which stages; nothing if there are none."""
    if not fireworks:
        return ""
    number = "1 job" if len(fireworks) == 1 else f"{len(fireworks)} jobs"
    return f"{number} ({_stages(fireworks)})"


def _stages(fireworks: Iterable[dict[str, Any]]) -> str:
    """Name the stages of Fireworks, in their order."""
    found = {stage_of(firework) for firework in fireworks}
    known = [stage.name for stage in STAGES.values() if stage.name in found]
    return ", ".join([*known, *sorted(found - set(known))])
