"""
What becomes of a campaign's Fireworks when it is asked for with other settings.

The campaign is built anew and each of its jobs looked for among those that are there: by what it
does, whatever its name, and else by its name. A job is what it does and what it is given, so one
whose predecessor is another is another too. A Firework that the flow has from its beginning goes
together with all that were spawned from it: that is its unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launch.database.failures import stage_of
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from fireworks import Workflow

#: States of Fireworks of which there is no result yet, and that nobody runs.
NOT_BEGUN = ("WAITING", "READY", "PAUSED", "DEFUSED", "FIZZLED")


@dataclass
class Present:
    """
    The Fireworks of a campaign as they are.

    Attributes
    ----------
    documents : dict of int to dict
        Of FireWorks, by their ids.
    links : dict of int to list of int
        Children of each.
    first : list of int
        Those that the flow has from its beginning; all others were spawned.
    is_complete : bool
        Whether the campaign has come to its end.
    """

    documents: dict[int, dict[str, Any]]
    links: dict[int, list[int]]
    first: list[int]
    is_complete: bool

    def unit(self, fw_id: int) -> list[int]:
        """Return a first Firework and all that were spawned from it."""
        return [fw_id, *self._spawned[fw_id]]

    def parents(self, fw_id: int) -> set[int]:
        """Return the first Fireworks whose units a first one waits for."""
        return self._parents[fw_id]

    def is_untouched(self, fw_id: int) -> bool:
        """Whether it was never launched: what has run may have left something on the disk."""
        document = self.documents[fw_id]
        launched = document.get("launches") or document.get("archived_launches")
        return self.has_no_result(fw_id) and not launched

    def has_no_result(self, fw_id: int) -> bool:
        """Whether it has not ended, so that nothing was made of it."""
        return self.documents[fw_id]["state"] in NOT_BEGUN

    def is_finished(self, fw_id: int) -> bool:
        """Whether nothing of its unit is left to do; a job may have failed for good meanwhile."""
        unit = set(self.unit(fw_id))
        ends = [member for member in unit if not unit & set(self.links.get(member, []))]
        return all(self.documents[member]["state"] == "COMPLETED" for member in (fw_id, *ends))

    @cached_property
    def _spawned(self) -> dict[int, list[int]]:
        first = set(self.first)
        found: dict[int, list[int]] = {}
        for root in self.first:
            seen: dict[int, None] = {}
            ahead = list(self.links.get(root, []))
            while ahead:
                member = ahead.pop(0)
                if member not in first and member not in seen:
                    seen[member] = None
                    ahead += self.links.get(member, [])
            found[root] = list(seen)
        return found

    @cached_property
    def _parents(self) -> dict[int, set[int]]:
        first = set(self.first)
        found: dict[int, set[int]] = {fw_id: set() for fw_id in self.first}
        for root in self.first:
            for member in self.unit(root):
                for child in first & set(self.links.get(member, [])):
                    found[child].add(root)
        return found


@dataclass
class Plan:
    """
    What is to be done with the Fireworks of a campaign.

    Attributes
    ----------
    wanted : dict of int to dict
        Fireworks of the campaign with the other settings, by the ids they have before they are
        added, as documents with the uuids of those that stay.
    links : dict of int to list of int
        Children of each of them.
    kept : dict of int to int
        Present Fireworks that stay as they are, by the wanted ones.
    changed : dict of int to int
        Present ones that were never launched and become what is wanted, by the wanted ones.
    goes_on : dict of int to int
        Those whose unit goes on with other numbers, by the wanted ones.
    replaced : dict of int to int
        Those in whose place a new one comes, by the wanted ones.
    dropped : list of int
        Present ones that nothing wanted is like.
    """

    wanted: dict[int, dict[str, Any]]
    links: dict[int, list[int]]
    kept: dict[int, int] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)
    goes_on: dict[int, int] = field(default_factory=dict)
    replaced: dict[int, int] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    own: set[int] = field(default_factory=set)

    @property
    def staying(self) -> dict[int, int]:
        """Present Fireworks that keep their ids, by the wanted ones."""
        return {**self.kept, **self.changed, **self.goes_on}

    @property
    def new(self) -> list[int]:
        """Wanted Fireworks that are to be added."""
        return [fw_id for fw_id in self.wanted if fw_id not in self.staying]

    def archived(self, present: Present) -> list[int]:
        """
        Present Fireworks that are not those of the campaign any more, with all they spawned.

        What nothing wanted is like stays if it is finished and rests on nothing that goes.
        """
        gone = set(self.replaced.values())
        before = -1
        while len(gone) > before:  # of what is dropped, one may rest on another
            before = len(gone)
            gone |= {
                fw_id
                for fw_id in self.dropped
                if not present.is_finished(fw_id) or present.parents(fw_id) & gone
            }
        return [
            member for fw_id in present.first if fw_id in gone for member in present.unit(fw_id)
        ]

    def too_late(self, present: Present) -> list[str]:
        """
        Names of what has a result that would be lost.

        Of stages that are dear, anything; of a campaign that is complete, what has other numbers
        itself: then it is more likely that an option was forgotten.
        """
        late = []
        for fw_id in self.replaced.values():
            document = present.documents[fw_id]
            stage = STAGES.get(stage_of(document))
            is_dear = stage is None or not stage.is_repeatable
            is_own = present.is_complete and fw_id in self.own
            if not present.has_no_result(fw_id) and (is_dear or is_own):
                late.append(str(document["name"]))
        return late


def make_plan(present: Present, wanted: Workflow) -> Plan:
    """
    Find out what stays, what changes and what is new.

    Parameters
    ----------
    present : Present
        The campaign as it is.
    wanted : Workflow
        The same with other settings, not added.
    """
    # FireWorks counts down what is not added, and jobflow makes parents first
    order = sorted(wanted.id_fw, reverse=True)
    documents = {fw_id: plain(wanted.id_fw[fw_id].to_db_dict()) for fw_id in order}
    links = {fw_id: list(wanted.links[fw_id]) for fw_id in order}
    parents = {fw_id: set(wanted.links.parent_links.get(fw_id, [])) for fw_id in order}
    plan = Plan(documents, links)
    left = dict.fromkeys(sorted(present.first, reverse=True))
    alike = {job_text(present.documents[fw_id]): fw_id for fw_id in left}
    named = {_name(present.documents[fw_id]): fw_id for fw_id in left}
    names: dict[str, str] = {}
    for fw_id in order:
        document = documents[fw_id] = _renamed(documents[fw_id], names)
        found = alike.get(job_text(document))
        if found not in left:
            found = named.get(_name(document))
        if found is None or found not in left:
            continue
        del left[found]
        there = present.documents[found]
        if not _place(plan, present, fw_id, found, parents[fw_id]):
            continue
        names[_job(document)["uuid"]] = _job(there)["uuid"]
        names |= dict(zip(_job(document)["hosts"], _job(there)["hosts"], strict=False))
        documents[fw_id] = _renamed(document, names)
    plan.dropped = [fw_id for fw_id in sorted(present.first, reverse=True) if fw_id in left]
    return plan


def _place(plan: Plan, present: Present, fw_id: int, found: int, parents: set[int]) -> bool:
    """Say what becomes of a Firework that is the counterpart of a wanted one; whether it stays."""
    there, here = present.documents[found], plan.wanted[fw_id]
    untouched = present.is_untouched(found)
    if job_text(there) == job_text(here) and (_name(there) == _name(here) or not untouched):
        plan.kept[fw_id] = found
    elif untouched:
        plan.changed[fw_id] = found
    elif _can_go_on(there, here) and not present.is_finished(found):
        plan.goes_on[fw_id] = found
    else:
        plan.replaced[fw_id] = found
        if {plan.staying.get(parent) for parent in parents} == present.parents(found):
            plan.own.add(found)
        return False
    return True


def _can_go_on(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether two jobs differ only in numbers that may change while the stage runs."""
    if there["state"] != "COMPLETED":  # it has started nothing that could go on
        return False
    fields = _changeable(_bound(here))
    return bool(fields) and job_text(there, fields) == job_text(here, fields)


def with_numbers_of(document: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give a job of a stage the Maker of another job of it.

    Parameters
    ----------
    document : dict
        A Firework; one whose job is of another Maker is returned as it is.
    wanted : mapping
        The Firework with the Maker.
    """
    maker = _bound(wanted)
    made: dict[str, Any] = plain(document)
    for task in made["spec"]["_tasks"]:
        function = task.get("job", {}).get("function", {})
        bound = function.get("@bound") if isinstance(function, dict) else None
        if bound is not None and bound["@class"] == maker["@class"]:
            function["@bound"] = maker
    return made


def job_text(firework: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """
    Spell out what a Firework does, whatever it is called and to whatever flow it belongs.

    Parameters
    ----------
    firework : mapping
        Its document.
    without : sequence of str
        Paths of numbers of its Maker that are left out.
    """
    job = plain(_job(firework))
    for name in ("name", "uuid", "hosts"):
        job.pop(name, None)
    # when it comes is no part of what it does: stages that are new shift the priorities of others
    ((job.get("config") or {}).get("manager_config") or {}).pop("_priority", None)
    maker = _bound({"spec": {"_tasks": [{"job": job}]}})
    for path in ("name", *without):  # jobflow calls the Maker as the job
        *branches, last = path.split(".")
        part = maker
        for branch in branches:
            part = part.get(branch) or {}
        part.pop(last, None)
    return json.dumps(job, sort_keys=True)


def plain(value: Any) -> Any:
    """Return a copy in plain types."""
    return json.loads(_spelt(value))


def uuids(firework: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the jobs of a Firework."""
    for task in firework["spec"]["_tasks"]:
        if "job" in task:
            yield task["job"]["uuid"]


def _renamed(document: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Put present uuids in the place of new ones: in a text nothing else is like them."""
    text = _spelt(document)
    for new, old in names.items():
        text = text.replace(new, old)
    made: dict[str, Any] = json.loads(text)
    return made


def _changeable(maker: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of the numbers of a Maker that may change while its stage runs."""
    if "@module" not in maker:
        return ()
    kind = getattr(import_module(maker["@module"]), maker["@class"])
    found: tuple[str, ...] = getattr(kind, "CHANGEABLE", ())
    return found


def _bound(firework: Mapping[str, Any]) -> dict[str, Any]:
    """Maker to which the function of a job belongs; empty if it is of none."""
    function = _job(firework)["function"]
    maker: dict[str, Any] | None = function.get("@bound") if isinstance(function, dict) else None
    return maker or {}


def _job(firework: Mapping[str, Any]) -> dict[str, Any]:
    job: dict[str, Any] = firework["spec"]["_tasks"][0]["job"]
    return job


def _name(firework: Mapping[str, Any]) -> tuple[str, str]:
    return stage_of(dict(firework)), str(firework["name"])


def _spelt(value: Any) -> str:
    from monty.json import MontyEncoder

    return json.dumps(value, cls=MontyEncoder, sort_keys=True)
