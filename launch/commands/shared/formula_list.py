"""A list of formulas, of which each becomes a campaign."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.commands.shared.options import least_and_most, words_of
from launch.errors import CampaignError, explain
from launch.versions import CAMPAIGN_VERSION, refusal

if TYPE_CHECKING:
    from fireworks import Workflow

    from launch.commands.shared.prediction import Prediction, PredictionOptions

#: Suffix of a file that holds workflows, one a line.
WORKFLOWS = ".jsonl"
#: Options that may follow a formula, by how they are typed.
OWN = {"--z": "z", "--pressure": "pressure", "--pressures": "pressures", "--seed": "seed",
       "--atoms-max": "atoms_max"}  # fmt: skip
NUMBERS: dict[str, Callable[[str], Any]] = {"pressure": float, "seed": int, "atoms_max": int}


def listed_campaigns(
    path: Path, options: PredictionOptions
) -> Iterator[tuple[str, Callable[[], Workflow]]]:
    """
    Yield the name of a campaign for each formula of a list, and what makes its workflow.

    The name follows from what is asked for: the same list names the same campaigns.

    Parameters
    ----------
    path : Path
        A formula a line, with options of its own behind it, as in ``Mg2SiO4 --z 4 --seed 3``; what
        follows a ``#`` is not read. Or what :func:`write_workflows` has written.
    options : PredictionOptions
        Of all of them.

    Raises
    ------
    CampaignError
        If the file cannot be read, or a line of it: the message says which.
    """
    if path.suffix == WORKFLOWS:
        _require_nothing_typed(path, options)
        yield from _written(path)
        return
    times: Counter[str] = Counter()
    for number, line in enumerate(_lines(path), start=1):
        words = _words(path, number, line)
        if words:
            try:
                own = _options(options, words)
                prediction = own.prediction()
            except Exception as error:
                reason = explain(error)
                if reason is None:
                    raise
                raise CampaignError(f"{path}, line {number}: {reason}") from None
            digest = _digest(prediction)
            times[digest] += 1
            name = _name(prediction, digest, times[digest])
            yield name, partial(to_workflow, prediction, name, own)
    if not times:
        raise CampaignError(f"{path} has no formula: write one a line.")


def to_workflow(prediction: Prediction, campaign: str, options: PredictionOptions) -> Workflow:
    """
    Make the FireWorks workflow of a campaign.

    Parameters
    ----------
    prediction : Prediction
        As it is asked for.
    campaign : str
        Its name.
    options : PredictionOptions
        By which it is asked for: the workflow tells them wherever it goes.
    """
    from jobflow.managers.fireworks import flow_to_workflow

    from launch.local.campaign_document import travelling_metadata

    # that no reference leads out of a flow of our own is known, and dear to look up
    graph = flow_to_workflow(prediction.flow(campaign), allow_external_references=True)
    document = prediction.describe(campaign, words_of(prediction_of(options)))
    graph.metadata = travelling_metadata(document, len(graph.fws))
    return graph


def prediction_of(options: PredictionOptions) -> PredictionOptions:
    """Return what is asked for alone, without what a command asks besides."""
    from launch.commands.shared.prediction import PredictionOptions

    names = [field.name for field in fields(PredictionOptions)]
    return PredictionOptions(**{name: getattr(options, name) for name in names})


def write_workflows(workflows: Iterable[Workflow], path: Path) -> int:
    """Write workflows to a file, one a line; return how many."""
    from nnp.storage.files import open_text_atomically

    number = 0
    with open_text_atomically(path) as file:
        for workflow in workflows:
            file.write(json.dumps(json.loads(workflow.to_format("json"))) + "\n")
            number += 1
    return number


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CampaignError(f"{path} cannot be read ({reason}).") from None


def _words(path: Path, number: int, line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise CampaignError(f"{path}, line {number}: {error}.") from None


def _options(options: PredictionOptions, words: list[str]) -> PredictionOptions:
    """Options of all, with those of one line."""
    formula, *own = words
    if len(set(own[::2])) < len(own[::2]):
        raise CampaignError("an option is given twice.")
    changes: dict[str, Any] = {"formula": formula}
    for flag, value in zip(own[::2], own[1::2], strict=False):
        if flag in OWN:
            name = OWN[flag]
            changes[name] = _value(flag, value)
    if len(own) % 2 or set(own[::2]) - set(OWN):
        raise CampaignError(
            f"behind a formula go only {', '.join(OWN)}, each with its value; all else is typed "
            "once, for all of the list."
        )
    return replace(options, **changes)


def _value(flag: str, typed: str) -> Any:
    """Value of an option behind a formula, within what a command line takes."""
    from launch.commands.shared.prediction import PredictionOptions

    name = OWN[flag]
    if name not in NUMBERS:
        return typed
    kind = NUMBERS[name]
    try:
        value = kind(typed)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise CampaignError(f"{flag} takes a {whole}number, not {typed!r}.") from None
    least, most = least_and_most(PredictionOptions, name)
    # what is no number at all is judged where pressures are read
    if value < least or value > most:
        raise CampaignError(f"{flag} takes a number from {least} to {most}, not {typed}.")
    return value


def _require_nothing_typed(path: Path, options: PredictionOptions) -> None:
    """Refuse settings of workflows that have their own."""
    _, *typed = words_of(prediction_of(options))
    flags = dict.fromkeys(word for word in typed if word.startswith("--"))
    if flags:
        raise CampaignError(
            f"{path} has workflows, whose settings are in them: leave out {', '.join(flags)}, or "
            "give a list of formulas."
        )


def _digest(prediction: Prediction) -> str:
    settings = {**prediction.settings(), "protocol": prediction.protocol}
    text = json.dumps([prediction.target.formula, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(prediction: Prediction, digest: str, time: int) -> str:
    """Name of a campaign that is asked for so many times."""
    own = digest if time == 1 else hashlib.sha256(f"{digest}/{time}".encode()).hexdigest()
    return f"{prediction.target.formula}-{own[:8]}"


def _written(path: Path) -> Iterator[tuple[str, Callable[[], Workflow]]]:
    from fireworks import Workflow

    lines = _lines(path)
    if not lines:
        raise CampaignError(f"{path} has no workflow: write it with devitrify workflow --list.")
    for number, line in enumerate(lines, start=1):
        try:
            document = json.loads(line)
            metadata = document["metadata"]
            name, version = str(metadata["campaign"]), metadata["campaign_version"]
            document["fws"], document["links"]  # what else a workflow has
        except (KeyError, TypeError, ValueError) as error:
            raise CampaignError(
                f"{path}, line {number}, is no workflow of a campaign ({type(error).__name__}): "
                "write it with devitrify workflow --list."
            ) from None
        if version != CAMPAIGN_VERSION:
            reason = refusal(f"The campaign {name}", version, metadata.get("begun_by"))
            raise CampaignError(f"{path}, line {number}: {reason}.")
        yield name, partial(Workflow.from_dict, document)
