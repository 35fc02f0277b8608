"""Fireworks that failed, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from fireworks import LaunchPad

OTHER_STAGE = "other"


class Failure(BaseModel):
    """A job that was left after its retries."""

    fw_id: int
    name: str
    stage: str
    reason: str = Field(description="last line of the traceback")
    launch: int | None = Field(description="FireWorks launch id")
    folder: str | None = Field(description="folder in which it ran")


def failures(pad: LaunchPad, campaign: str | None = None) -> list[Failure]:
    """
    Return the failed Fireworks with the reason of each.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    campaign : str or None
        Only of this one; none: of all that is in the launchpad.
    """
    wanted: dict[str, Any] = {"state": "FIZZLED"}
    if campaign is not None:
        wanted["spec.campaign"] = campaign
    fields = dict.fromkeys(
        ("fw_id", "name", "launches", "spec.stage", "spec._exception_details._stacktrace"), 1
    )
    failed = list(pad.fireworks.find(wanted, fields))
    last = {"launch_id": {"$in": [f["launches"][-1] for f in failed if f["launches"]]}}
    ends = {"launch_id": 1, "launch_dir": 1, "action.stored_data._exception._stacktrace": 1}
    launches = {launch["launch_id"]: launch for launch in pad.launches.find(last, ends)}
    return [
        _failure(firework, launches.get(next(reversed(firework["launches"]), None)))
        for firework in failed
    ]


def _failure(firework: dict[str, Any], launch: dict[str, Any] | None) -> Failure:
    """Describe a failed Firework by its last launch, if it has one."""
    stored = ((launch or {}).get("action") or {}).get("stored_data") or {}
    details = firework["spec"].get("_exception_details")
    told = details.get("_stacktrace") if isinstance(details, dict) else None
    trace = (stored.get("_exception") or {}).get("_stacktrace") or told or ""
    return Failure(
        fw_id=firework["fw_id"],
        name=firework["name"],
        stage=stage_of(firework),
        reason=last_error(trace),
        launch=launch["launch_id"] if launch else None,
        folder=launch["launch_dir"] if launch else None,
    )


def last_error(trace: str) -> str:
    r"""
    Return the line of a traceback that names the error.

    Examples
    --------
    >>> last_error('Traceback:\n  File "a.py", line 1\n    x\nValueError: no\n')
    'ValueError: no'
    """
    lines = [line for line in trace.splitlines() if line.strip()]
    frames = [i for i, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[frames[-1] + 1 :] if frames else lines[-1:]
    return next((line for line in after if not line.startswith(" ")), "no reason recorded")


def stage_of(firework: dict[str, Any]) -> str:
    """Return the stage that a Firework belongs to."""
    return str(firework.get("spec", {}).get("stage", OTHER_STAGE))
