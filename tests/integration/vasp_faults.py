"""What faults of VASP cost: segments of dynamics, each with a fault of its own, by FireWorks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobflow import Flow, Job
from jobflow.managers.fireworks import flow_to_workflow

from launch.commands.shared.workflow_file import write_workflow
from tests.integration.launchpad import LaunchpadFolder
from tests.workflows.vasp.stages import rock_salt
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.base import DynamicsTask, SegmentSettings
from workflows.engines.vasp.engine import VaspEngine
from workflows.engines.vasp.settings import Supervision, VaspSettings
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES

#: Steps of a segment, and of the step at which the fault strikes.
STEPS, STRUCK = 30, 9

#: What is waited for is short here: the stand-in takes milliseconds for a step.
SUPERVISION = Supervision(
    polling=0.1, monitor=0.2, hang_timeout=8.0, buffer=0.0, restarts=2, unconverged_in_a_row=3
)
#: Seconds of a job in which VASP is slow.
WALLTIME = 6.0

SOUND = "sound"


@dataclass(frozen=True)
class Case:
    """
    A segment of dynamics that a fault strikes.

    Attributes
    ----------
    fault : str
        One of the stand-in's.
    lasting : bool
        In every run of VASP, and no change of settings cures it; else in the first one only.
    """

    fault: str
    lasting: bool

    @property
    def name(self) -> str:
        """Of its Firework."""
        return f"{self.fault} {'lasting' if self.lasting else 'once'}"

    @property
    def incar(self) -> tuple[str, ...]:
        """The tag that asks for the fault."""
        when = "cure none" if self.lasting else "call 1"
        return (f"FAKE_VASP_FAULTS={self.fault} run md step {STRUCK} {when}",)


def flow(cases: list[Case]) -> Flow:
    """A sound segment, and one for each case that continues it."""
    sound = _segment(SOUND, rock_salt(), SUPERVISION, ())
    struck = [
        _segment(
            case.name,
            sound.output.structure,
            replace(SUPERVISION, walltime=WALLTIME) if case.fault == "slow" else SUPERVISION,
            case.incar,
        )
        for case in cases
    ]
    return Flow([sound, *struck], name="faults")


def _segment(name: str, start: Any, supervision: Supervision, incar: tuple[str, ...]) -> Job:
    settings = VaspSettings(supervision=supervision, max_electronic_steps=20, incar=incar)
    dynamics = VaspEngine(settings=settings).molecular_dynamics(
        SegmentSettings(STEPS, time_step=2.0, sample_stride=5, thermostat_time=100.0)
    )
    work = dynamics.make(start, DynamicsTask("liquid", 900.0, 900.0, seed=1))
    work.name = name
    return tag(work, STAGES["liquid"], REFERENCE_QUEUE)


@dataclass(frozen=True)
class Result:
    """
    How a segment ended.

    Attributes
    ----------
    states : tuple of str
        Of its Fireworks: of the first one, and of those that continued it.
    launches : int
        Of all of them.
    computed : int
        Ionic steps that VASP computed, in all launches.
    reason : str
        What the last launch said that failed; empty if none did.
    document : SegmentDocument or None
        Its output, if it has one.
    """

    states: tuple[str, ...]
    launches: int
    computed: int
    reason: str
    document: SegmentDocument | None

    @property
    def completed(self) -> bool:
        """Whether all of it is done."""
        return set(self.states) == {"COMPLETED"}

    @property
    def recomputed(self) -> int:
        """Ionic steps computed in vain or twice, once it is completed."""
        return self.computed - STEPS


class FaultRuns:
    """
    Segments with faults in one launchpad.

    Parameters
    ----------
    launchpad : LaunchpadFolder
        Running and empty.
    """

    def __init__(self, launchpad: LaunchpadFolder) -> None:
        self.launchpad = launchpad
        self.steps = launchpad.folder / "steps"

    def run(self, cases: list[Case]) -> dict[str, Result]:
        """Add the workflow by ``lpad add`` and run it by ``rlaunch rapidfire``."""
        file = self.launchpad.folder / "wf.json"
        write_workflow(flow_to_workflow(flow(cases)), file)
        self.launchpad.type("lpad", "add", str(file))
        return self._launch()

    def mend(self) -> dict[str, Result]:
        """Take the faults away and run again what failed."""
        self.launchpad.rerun_failed()
        return self._launch(FAKE_VASP_FAULTS="none")

    def _launch(self, **variables: str) -> dict[str, Result]:
        # without FAKE_VASP_STATE every folder counts its own runs of VASP
        environment = {**variables, "FAKE_VASP_STEPS": str(self.steps), "FAKE_VASP_STATE": None}
        self.launchpad.variables = environment
        self.launchpad.type("rlaunch", "rapidfire", "--nlaunches", "0", timeout=None)
        return self.results()

    def results(self) -> dict[str, Result]:
        """How all segments stand, by name."""
        computed = Counter(self.steps.read_text().split())
        fireworks = sorted(self.launchpad.fireworks(), key=lambda firework: firework["created_on"])
        launches = {launch["launch_id"]: launch for launch in self.launchpad.find("launches", {})}
        by_name: dict[str, list[dict[str, Any]]] = {}
        for firework in fireworks:
            by_name.setdefault(firework["name"], []).append(firework)
        return {
            name: self._result(own, launches, computed)
            for name, own in by_name.items()
        }  # fmt: skip

    def _result(
        self,
        fireworks: list[dict[str, Any]],
        launches: dict[int, dict[str, Any]],
        computed: Counter[str],
    ) -> Result:
        ran = [
            launches[number]
            for firework in fireworks
            for number in (*firework["archived_launches"], *firework["launches"])
        ]
        folders = {str(Path(launch["launch_dir"]).resolve()) for launch in ran}
        failed = [launch for launch in ran if launch["state"] == "FIZZLED"]
        states = tuple(firework["state"] for firework in fireworks)
        task = self.launchpad.find("fireworks", {"fw_id": fireworks[0]["fw_id"]})[0]["spec"]
        uuid = task["_tasks"][0]["job"]["uuid"]
        return Result(
            states=states,
            launches=len(ran),
            computed=sum(computed[folder] for folder in folders),
            reason=_reason(failed[-1]) if failed else "",
            document=self.launchpad.output(uuid) if set(states) == {"COMPLETED"} else None,
        )


def _reason(launch: dict[str, Any]) -> str:
    """Last line of the traceback that a launch left, without the name of the error."""
    stored = (launch.get("action") or {}).get("stored_data", {})
    lines = stored.get("_exception", {}).get("_stacktrace", "").strip().splitlines()
    return lines[-1].partition(": ")[2] if lines else ""
