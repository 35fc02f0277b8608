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
    last = {"launch_id": {"$in": [_last(firework) for firework in failed]}}
    ends = {"launch_id": 1, "launch_dir": 1, "action.stored_data._exception._stacktrace": 1}
    launches = {launch["launch_id"]: launch for launch in pad.launches.find(last, ends)}
    return [_failure(firework, launches.get(_last(firework))) for firework in failed]


def _failure(firework: dict[str, Any], launch: dict[str, Any] | None) -> Failure:
    """Describe a failed Firework by its last launch, if it has one."""
    trace = _trace(_at(launch, "action", "stored_data", "_exception")) or _trace(
        _at(firework, "spec", "_exception_details")
    )
    return Failure(
        fw_id=firework["fw_id"],
        name=firework["name"],
        stage=stage_of(firework),
        reason=last_error(trace),
        launch=launch["launch_id"] if launch else None,
        folder=launch["launch_dir"] if launch else None,
    )


def _last(firework: dict[str, Any]) -> Any:
    """Return the id of the last launch of a Firework; none if it has none."""
    return next(reversed(firework.get("launches") or []), None)


def _at(document: Any, *names: str) -> Any:
    """Follow names into a document that jobs, or people, may have filled with anything."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _trace(exception: Any) -> str:
    found = _at(exception, "_stacktrace")
    return found if isinstance(found, str) else ""


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
