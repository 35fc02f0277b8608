"""Campaigns that were killed go on with other settings: what is finished is not done again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launch.database.connections import launchpad
from launch.local.campaign import Campaign
from tests.integration.conftest import RUN, SHORT
from tests.integration.kills import fireworks, kill_at

Command = Callable[..., "subprocess.CompletedProcess[str]"]

#: The paths from packed atoms to the potential.
DYNAMICS = ("pack", "melt", "melting temperature", "volume", "liquid", "quench", "anneal")
#: Blocks enough to be killed between two of them.
SLOW_SEARCH = ("search.block=1", "search.evolution.generations=12")


def settings(*numbers: str) -> list[str]:
    """Return settings as they are typed."""
    return [word for number in numbers for word in ("--set", number)]


@dataclass
class Corrected:
    """
    A campaign that was killed and went on with other settings.

    Attributes
    ----------
    before, after : dict of int to dict
        Its Fireworks when it was killed, and at its end.
    printed : str
        By the command that went on.
    archived : list of dict
        Fireworks that were left out.
    outputs : list of dict
        Documents of the campaign, their results left out.
    """

    folder: Path
    before: dict[int, dict[str, Any]]
    after: dict[int, dict[str, Any]]
    printed: str
    archived: list[dict[str, Any]]
    outputs: list[dict[str, Any]]

    @property
    def said(self) -> str:
        """What was printed, as one line."""
        return " ".join(self.printed.split())

    @property
    def summary(self) -> dict[str, Any]:
        """What the report says."""
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    def require_kept(self, *stages: str) -> None:
        """Finished jobs of some stages have not been launched again."""
        finished = {
            number: work for number, work in self.before.items()
            if work["state"] == "COMPLETED" and work["name"].startswith(stages)
        }  # fmt: skip
        assert finished
        for number, work in finished.items():
            assert len(self.after[number]["launches"]) == len(work["launches"])
            assert not self.after[number]["archived_launches"]

    def count(self, kind: str) -> int:
        """Documents of a class that the campaign has."""
        return sum(
            (document.get("output") or {}).get("@class") == kind for document in self.outputs
        )


def correct(
    devitrify: Command, folder: Path, moment: str, first: list[str], then: list[str]
) -> Corrected:
    """Kill a run when a job begins, and go on with other settings."""
    command = ["run", "Cu", *RUN, *SHORT, "--folder", folder.name]
    kill_at(folder, moment, *command, *first)
    before = {work["fw_id"]: work for work in fireworks(folder)}
    resumed = devitrify(*command, *then)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    after = {work["fw_id"]: work for work in fireworks(folder)}
    assert {work["state"] for work in after.values()} == {"COMPLETED"}
    campaign = Campaign.open(folder)
    with campaign.database() as database:
        pad = launchpad(database.uri, campaign.document.database)
        archived = list(pad.db.archived_fireworks.find({}))
        wanted = {"metadata.campaign": campaign.id}
        outputs = list(pad.db.outputs.find(wanted, {"output.@class": 1, "name": 1, "uuid": 1}))
        (workflow,) = pad.workflows.find({})
        pad.connection.close()
    assert workflow["state"] == "COMPLETED"
    assert sorted(workflow["nodes"]) == sorted(after)
    return Corrected(folder, before, after, resumed.stdout, archived, outputs)


@pytest.mark.slow
def test_another_population_restarts_the_search(devitrify: Command, tmp_path: Path) -> None:
    first = settings(*SLOW_SEARCH)
    then = settings(*SLOW_SEARCH, "search.evolution.population=6")
    made = correct(devitrify, tmp_path / "copper", "search round", first, then)
    made.require_kept(*DYNAMICS, "sample", "train")
    assert "train); done again: search; not begun yet: candidates." in made.said
    # blocks that had run are left out, with what they found
    assert {"search", "search block"} <= {work["name"] for work in made.archived}
    left_out = {task["job"]["uuid"] for work in made.archived for task in work["spec"]["_tasks"]}
    assert left_out
    assert not left_out & {document["uuid"] for document in made.outputs}
    assert made.count("SearchDocument") == 1
    assert made.summary["structures_relaxed"] == 12 * 6


@pytest.mark.slow
def test_a_search_goes_on_to_other_generations(devitrify: Command, tmp_path: Path) -> None:
    first = settings(*SLOW_SEARCH)
    then = settings("search.block=1", "search.evolution.generations=5", "search.n_best=7")
    made = correct(devitrify, tmp_path / "copper", "search round", first, then)
    made.require_kept(*DYNAMICS, "sample", "train", "search")
    assert "going on: search" in made.said
    assert made.archived == []
    assert made.summary["structures_relaxed"] == 5 * 4


@pytest.mark.slow
def test_more_trajectories_and_segments(devitrify: Command, tmp_path: Path) -> None:
    """Killed in the quench: the second trajectory begins with its liquid."""
    then = settings("replicas=2", "anneal.duration=1.1", "until=search")
    made = correct(devitrify, tmp_path / "copper", "quench", [], then)
    made.require_kept("pack", "melt", "melting temperature", "volume", "liquid")
    names = [work["name"] for work in made.after.values()]
    assert sum(name.startswith("liquid replica 2") for name in names) == 2
    assert sum(name.startswith("anneal ") and "replica" not in name for name in names) == 3
    assert sum(name.startswith("anneal replica 2") for name in names) == 3
    assert "candidates" not in names
    assert [work["name"] for work in made.archived if work["name"] == "candidates"]


@pytest.mark.slow
def test_a_search_by_the_reference_engine(devitrify: Command, tmp_path: Path) -> None:
    first = settings(
        "search_level=reference", "until=search", "reference_search.evolution.population=4",
        "reference_search.evolution.generations=4",
    )  # fmt: skip
    moment = "generation 2 structure"
    then = [*first, *settings("reference_search.evolution.population=5")]
    made = correct(devitrify, tmp_path / "copper", moment, first, then)
    assert "done again: search" in made.said
    assert made.summary["structures_relaxed"] == 4 * 5
    assert made.archived
