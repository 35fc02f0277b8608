"""
What the jobs of a campaign would run, and whether that is ours.

A Firework names the function that it calls, and an engine may name any calculator and any command.
Who writes an archive could so have any program run by who imports it and goes on. Ours are jobs of
devitrify's own Makers, with engines that are known by name and run no program that the archive
names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from workflows.documents.decoding import PACKAGES, PARTS
from workflows.engines.registry import ENGINES

#: What a Firework of devitrify runs.
JOB_TASK = "{{jobflow.managers.fireworks.JobFiretask}}"
#: Classes of jobflow that jobs and outputs are made of.
JOBFLOW = {
    "jobflow.core.flow": ("Flow", "JobOrder"),
    "jobflow.core.job": ("Job", "JobConfig"),
    "jobflow.core.reference": ("OnMissing", "OutputReference"),
    "jobflow.core.schemas": ("JobStoreDocument",),
}
#: Function of jobflow by which a job stores what it is given.
STORE_INPUTS = ("jobflow.core.job", "store_inputs")
#: Engines that run programs, or whatever their settings name.
RUN_PROGRAMS = ("workflows.engines.vasp.", "workflows.engines.gpaw.", "workflows.vasp.")
#: Modules whose functions are jobs, besides the methods of Makers.
JOB_MODULES = "workflows.stages."
_CLASS = re.compile(r"[A-Z]\w*", re.ASCII)
_METHOD = re.compile(r"[A-Z]\w*\.[a-z]\w*", re.ASCII)
_FUNCTION = re.compile(r"[a-z]\w*", re.ASCII)


def foreign_programs(firework: Mapping[str, Any]) -> list[str]:
    """
    Name what a Firework would run that is not devitrify's own.

    Parameters
    ----------
    firework : mapping
        Its document.

    Returns
    -------
    list of str
        Empty if there is nothing of others.
    """
    found: dict[str, None] = {}
    for task in firework["spec"]["_tasks"]:
        if not isinstance(task, dict) or task.get("_fw_name") != JOB_TASK:
            name = task.get("_fw_name") if isinstance(task, dict) else task
            found[f"{name!s:.80}"] = None
        elif set(task) - {"_fw_name", "job", "store"} or task.get("store") is not None:
            found["a job store of its own"] = None
        else:
            found |= dict.fromkeys(_foreign(task.get("job"), in_job=True))
    return list(found)


def foreign_objects(output: Any) -> list[str]:
    """
    Name what an output document, or a blob, would make that no job of devitrify stores.

    Parameters
    ----------
    output : object
        Dictionaries, lists and plain values.

    Returns
    -------
    list of str
        Empty if there is nothing of others.
    """
    return list(dict.fromkeys(_foreign(output, in_job=False)))


def _foreign(document: Any, in_job: bool) -> Iterator[str]:
    """Yield the names of what is not ours in a job, or in what it has stored."""
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            if "@module" in part and not _is_ours(part, in_job):
                name = part.get("@callable", part.get("@class"))
                yield f"{part['@module']!s:.80}.{name!s:.80}"
            if not _is_known_calculator(part):
                yield f"{part['calculator']!s:.80}"


def _is_ours(part: Mapping[str, Any], in_job: bool) -> bool:
    module, kind, function = (part.get(key) for key in ("@module", "@class", "@callable"))
    if not isinstance(module, str):
        return False
    ours = module.startswith(PACKAGES) and (not in_job or not _runs_programs(module))
    if "@callable" not in part:
        known = (*PARTS.get(module, ()), *JOBFLOW.get(module, ()))
        return kind in known or (ours and _is(_CLASS, kind))
    if not in_job:
        return False
    if (module, function) == STORE_INPUTS:
        return True
    is_job = _is(_METHOD, function) or (module.startswith(JOB_MODULES) and _is(_FUNCTION, function))
    return ours and (is_job or _is(_CLASS, function))


def _is(pattern: re.Pattern[str], name: Any) -> bool:
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def _runs_programs(module: str) -> bool:
    return f"{module}.".startswith(RUN_PROGRAMS)


def _is_known_calculator(part: Mapping[str, Any]) -> bool:
    """Whether an engine's calculator, if it has one, is known by name with these arguments."""
    calculator = part.get("calculator")
    return calculator is None or any(
        row.calculator == calculator and dict(row.arguments) == (part.get("arguments") or {})
        for row in ENGINES.values()
    )
