"""Documents of many campaigns: those of one that has finished, copied with other ids."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pymongo
from pymongo.database import Database

from launch.database.tallies import Member, Tally, run_of, stamp
from launch.local.campaign import Campaign
from launch.report import rankings

#: Elements of copies; names as long as the template's own keep documents of the same length.
FORMULAS = ("Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al", "Pb")
UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
#: Campaigns inserted at once.
BATCH = 10
#: Copies that get blobs too: a page needs them, a status does not.
WITH_BLOBS = 3
#: One campaign of so many is not finished.
FINISHED_OF = 3

#: What copies have.
WHOLE, BODILESS, LIGHT = "whole", "bodiless", "light"
#: Light copies are in so many states at most.
LIGHT_STATES = 12
#: Collections of which nobody reads who looks at all campaigns.
NOT_COUNTED = ("progress", "outputs_blobs.files", "outputs_blobs.chunks")

Documents = dict[str, list[dict[str, Any]]]


class Template:
    """
    Documents of a finished campaign, to be copied.

    Parameters
    ----------
    folder : Path
        Of the campaign.
    """

    def __init__(self, folder: Path) -> None:
        campaign = Campaign.open(folder)
        self.name = campaign.id
        names = ("fireworks", "launches", "workflows", "outputs", "progress",
                 "outputs_blobs.files", "outputs_blobs.chunks")  # fmt: skip
        with campaign.database() as server, pymongo.MongoClient(server.uri) as client:
            database = client[campaign.document.database]
            found = {name: list(database[name].find({})) for name in names}
        (self.workflow,) = found["workflows"]
        self.documents = {
            name: [bson.encode(document) for document in documents]
            for name, documents in found.items()
        }
        self.bodiless = {
            name: [bson.encode(without_body(name, document)) for document in documents]
            for name, documents in found.items()
            if name not in NOT_COUNTED
        }
        self.rankings = [
            bson.encode(document)
            for document in found["outputs"]
            if (document.get("output") or {}).get("@class") == rankings.DOCUMENT
        ]
        self._tallies: dict[int, Tally] = {}
        self.numbers = [firework["fw_id"] for firework in found["fireworks"]]
        ends = {launch["fw_id"]: launch["launch_id"] for launch in found["launches"]}
        self.order = sorted(ends, key=lambda fw_id: ends[fw_id])
        self.tasks = {
            task["job"]["uuid"]: firework["fw_id"]
            for firework in found["fireworks"]
            for task in firework["spec"]["_tasks"]
        }
        self.most_ids = max(max(ends), max(ends.values()))
        self._pattern = re.compile(self.name.encode() + rb"|" + UUID)

    def copy(self, number: int, done: int, content: str = WHOLE) -> Documents:
        """
        Copy the campaign, with so many of its Fireworks done.

        Parameters
        ----------
        number : int
            Of the copy, from 1; it says what its ids are.
        done : int
            Fireworks that have completed; the next one runs or is ready, by the number.
        content : str
            What is copied: :data:`WHOLE` documents; those, :data:`BODILESS` but for Fireworks that
            are READY, and rankings; or :data:`LIGHT`, of the latter only workflows, rankings, and
            what is READY.
        """
        completed = set(self.order[:done])
        states = self._states(completed)
        shift = number * self.most_ids
        head = self.name.rpartition("-")[0]
        name = f"{head}-{number:08x}".encode()

        def other(match: re.Match[bytes]) -> bytes:
            text = match.group()
            if text == self.name.encode():
                return name
            first = (int(text[:8], 16) + 2654435761 * number) & 0xFFFFFFFF
            return b"%08x" % first + text[8:]

        copied: Documents = {
            name: [bson.decode(self._pattern.sub(other, raw)) for raw in raws]
            for name, raws in self._chosen(number, states, content).items()
        }
        formula = FORMULAS[number % len(FORMULAS)]
        age = timedelta(hours=number % 24)
        self._workflow(copied["workflows"][0], states, shift, formula, datetime.now(UTC) - age)
        for firework in copied["fireworks"]:
            fw_id = firework["fw_id"]
            firework["state"] = states[fw_id]
            firework["spec"]["formula"] = formula
            firework["fw_id"] = fw_id + shift
            kept = fw_id in completed
            for field in ("launches", "archived_launches"):
                firework[field] = [one + shift for one in firework.get(field, []) if kept]
        started = [one for one in copied.get("launches", []) if one["fw_id"] in completed]
        if "launches" in copied:
            copied["launches"] = started
        for launch in started:
            launch["fw_id"] += shift
            launch["launch_id"] += shift
        done_jobs = {self._other_uuid(uuid, number) for uuid, i in self.tasks.items()
                     if i in completed}  # fmt: skip
        for name_ in copied.keys() & {"outputs", "progress"}:
            copied[name_] = [one for one in copied[name_] if one["uuid"] in done_jobs]
        for output in copied["outputs"]:
            output["metadata"]["formula"] = formula
            if (output.get("output") or {}).get("@class") == "PredictionDocument":
                for candidate in output["output"]["candidates"]:
                    candidate["formula"] = formula
        self._fresh_ids(copied)
        return copied

    def _chosen(
        self, number: int, states: Mapping[int, str], content: str
    ) -> dict[str, list[bytes]]:
        """Documents that a copy is made of."""
        if content == WHOLE:
            blobs = number <= WITH_BLOBS
            return {name: raws for name, raws in self.documents.items()
                    if blobs or not name.startswith("outputs_blobs")}  # fmt: skip
        chosen = dict(self.bodiless)
        pairs = zip(self.documents["fireworks"], self.bodiless["fireworks"], strict=True)
        chosen["fireworks"] = [
            whole if states[fw_id] == "READY" else bodiless
            for fw_id, (whole, bodiless) in zip(self.numbers, pairs, strict=True)
            if content == BODILESS or states[fw_id] == "READY"
        ]
        if content == LIGHT:
            chosen["outputs"] = self.rankings
            del chosen["launches"]
        return chosen

    def tally(self, done: int) -> Tally:
        """Count a copy of which so much is done; the tally needs another name."""
        if done not in self._tallies:
            self._tallies[done] = tally_of(self.copy(0, done, BODILESS))
        return self._tallies[done]

    def _other_uuid(self, uuid: str, number: int) -> str:
        first = (int(uuid[:8], 16) + 2654435761 * number) & 0xFFFFFFFF
        return f"{first:08x}{uuid[8:]}"

    def _states(self, completed: set[int]) -> dict[int, str]:
        parents = defaultdict(list)
        for parent, children in self.workflow["links"].items():
            for child in children:
                parents[child].append(int(parent))
        return {
            fw_id: "COMPLETED" if fw_id in completed
            else "READY" if all(p in completed for p in parents[fw_id]) else "WAITING"
            for fw_id in self.workflow["nodes"]
        }  # fmt: skip

    def _workflow(
        self, document: dict[str, Any], states: dict[int, str], shift: int, formula: str,
        updated: datetime,
    ) -> None:  # fmt: skip
        document["nodes"] = [node + shift for node in document["nodes"]]
        for name in ("links", "parent_links"):
            document[name] = {
                str(int(one) + shift): [other + shift for other in others]
                for one, others in document[name].items()
            }
        document["fw_states"] = {str(one + shift): state for one, state in states.items()}
        all_done = set(states.values()) == {"COMPLETED"}
        document["state"] = "COMPLETED" if all_done else "RUNNING"
        document["metadata"]["formula"] = formula
        document["updated_on"] = updated

    def _fresh_ids(self, copied: Documents) -> None:
        files = {}
        for document in copied.get("outputs_blobs.files", []):
            files[document["_id"]] = document["_id"] = bson.ObjectId()
        old = list(self.documents["outputs_blobs.files"])
        before = {
            bson.decode(raw)["_id"]: new for raw, new in zip(old, files.values(), strict=False)
        }
        for chunk in copied.get("outputs_blobs.chunks", []):
            chunk["files_id"] = before[chunk["files_id"]]
        for name, documents in copied.items():
            if name in ("outputs_blobs.files", "progress"):
                continue
            for document in documents:
                document["_id"] = bson.ObjectId()
        for document in copied.get("progress", []):
            document["_id"] = document["uuid"]


def insert(
    database: Database[dict[str, Any]], template: Template, numbers: range, seed: int = 0,
    content: str = WHOLE,
) -> None:  # fmt: skip
    """
    Insert copies of a campaign.

    Parameters
    ----------
    database : Database
        Of a launchpad and job store.
    template : Template
        What is copied.
    numbers : range
        Of the copies.
    seed : int
        Of how far each is.
    content : str
        As for :meth:`Template.copy`. Unless it is whole, tallies and rankings are inserted too.
    """
    drawn = random.Random(seed)
    todo = list(numbers)
    total = len(template.order)
    states = range(0, total, 1 if content == WHOLE else max(1, total // LIGHT_STATES))
    while todo:
        batch, todo = todo[:BATCH], todo[BATCH:]
        gathered: Documents = defaultdict(list)
        for number in batch:
            done = drawn.choice(states) if number % FINISHED_OF == 0 else total
            copied = template.copy(number, done, content)
            if content != WHOLE:
                _count(copied, template.tally(done))
            if content == LIGHT:
                del copied["outputs"]
            for name, documents in copied.items():
                gathered[name] += documents
        # workflows last: by their number the next run knows where to go on
        for name in sorted(gathered, key=lambda name: name == "workflows"):
            if gathered[name]:
                database[name].insert_many(gathered[name])


def _count(copied: Documents, like: Tally) -> None:
    """Add the tally and the ranking of a copy."""
    (workflow,) = copied["workflows"]
    metadata = workflow["metadata"]
    stamps = [stamp(workflow["updated_on"], workflow["state"])]
    tally = replace(like, campaign=metadata["campaign"], formula=metadata["formula"], stamps=stamps)
    copied["tallies"] = [tally.document()]
    copied["rankings"] = [
        rankings._row(tally.campaign, output, rankings.rankings_completed(tally))
        for output in copied["outputs"]
        if (output.get("output") or {}).get("@class") == rankings.DOCUMENT
    ]


def without_body(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a document what no index, no tally and no ranking has."""
    if name == "fireworks":
        return {**document, "spec": {**document["spec"], "_tasks": []}}
    if name == "launches":
        return {**document, "action": None}
    kind = (document.get("output") or {}).get("@class") if name == "outputs" else None
    if name == "outputs" and kind != rankings.DOCUMENT:
        return {**document, "output": {"@class": kind}}
    return dict(document)


def tally_of(copied: Documents) -> Tally:
    """Count a copy."""
    (workflow,) = copied["workflows"]
    tally = Tally(workflow["metadata"]["campaign"], workflow["metadata"]["formula"])
    tally.stamps = [stamp(workflow["updated_on"], workflow["state"])]
    runs = defaultdict(list)
    for launch in copied.get("launches", []):
        run = run_of(launch)
        if run is not None:
            runs[launch["fw_id"]].append(run)
    for firework in copied["fireworks"]:
        member = Member.of(firework["fw_id"], firework["spec"], runs[firework["fw_id"]])
        tally.add(member, firework["state"])
    return tally
