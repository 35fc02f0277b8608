"""
What a cluster's configuration says about jobs: where checkpoints go, what a job asks for.

The folder that ``devitrify init`` writes holds ``devitrify.yaml``; the environment variable
``DEVITRIFY_CONFIG`` names the folder, on the login node as well as inside the jobs; else it is
``devitrify`` among the user's configuration. Without its file the defaults below apply and
checkpoints stay beside the jobs' folders.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflows.yaml_files import MappingFileError, read_mapping

#: Names the configuration folder.
CONFIG_VARIABLE = "DEVITRIFY_CONFIG"
SITE_FILE = "devitrify.yaml"

WALLTIME = re.compile(r"(?:(\d{1,4})-)?(\d{1,6}):([0-5]\d):([0-5]\d)", re.ASCII)
LONGEST_JOB = 366 * 24 * 3600  # s
LONGEST_STEP = 1_000_000  # s, of molecular dynamics
MOST_NODES = 100_000


class SiteError(ValueError):
    """The site's configuration cannot be read."""


@dataclass(frozen=True)
class Resources:
    """
    What one job asks of its queue.

    Attributes
    ----------
    walltime : str
        ``hours:minutes:seconds``, or ``days-hours:minutes:seconds``.
    nodes : int
    """

    walltime: str = "04:00:00"
    nodes: int = 1

    def __post_init__(self) -> None:
        walltime_seconds(self.walltime)
        if type(self.nodes) is not int or not 1 <= self.nodes <= MOST_NODES:
            raise SiteError(
                f"nodes must be a whole number from 1 to {MOST_NODES:,}, not {self.nodes!r}"
            )

    @property
    def node_hours(self) -> float:
        """Node-hours if the job uses all of its time."""
        return self.nodes * walltime_seconds(self.walltime) / 3600


def walltime_seconds(text: str) -> int:
    """
    Seconds of a walltime as SLURM writes it.

    Examples
    --------
    >>> walltime_seconds("1-02:00:30")
    93630
    """
    found = WALLTIME.fullmatch(str(text))  # it may come from a file
    if found is None:
        raise SiteError(f"the walltime {text!r} is not hours:minutes:seconds, e.g. '04:00:00'")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = ((24 * days + hours) * 60 + minutes) * 60 + seconds
    if not 0 < total <= LONGEST_JOB:
        raise SiteError(f"the walltime {text!r} is not above zero and at most a year")
    return total


#: What a job asks of each queue, unless its stage or the site says otherwise.
QUEUE_RESOURCES = {"dft": Resources("12:00:00"), "nnp": Resources("01:00:00")}


@dataclass(frozen=True)
class SiteSettings:
    """
    The content of ``devitrify.yaml``.

    Attributes
    ----------
    checkpoints : Path or None
        Folder that all nodes see, in which jobs keep their state; none: beside their folders.
    resources : dict
        What the site says of resources, by queue and stage; ``default`` stands for all stages of
        the queue that do not ask for something else by themselves.
    seconds_per_step : dict
        Wall seconds of a step of dynamics of 100 atoms on one node, by engine; for estimates.
    """

    checkpoints: Path | None = None
    resources: dict[str, dict[str, Resources]] = field(default_factory=dict)
    seconds_per_step: dict[str, float] = field(default_factory=dict)

    def resources_of(self, stage: str, queue: str, own: Resources | None = None) -> Resources:
        """
        What a job of a stage asks of a queue.

        Parameters
        ----------
        stage : str
            Its name.
        queue : str
            One of :data:`QUEUE_RESOURCES`.
        own : Resources or None
            What the stage asks for where the site does not name it; none: what all jobs ask.
        """
        by_stage = self.resources.get(queue, {})
        usual = by_stage.get("default") or QUEUE_RESOURCES[queue]
        return by_stage.get(stage) or own or usual

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SiteSettings:
        """
        Read settings from plain types; what is missing keeps its default.

        Raises
        ------
        SiteError
            If there is an unknown key or a value that does not fit.
        """
        unknown = sorted(set(document) - {"checkpoints", "resources", "seconds_per_step"})
        if unknown:
            raise SiteError(f"unknown setting {unknown[0]!r}")
        resources: dict[str, dict[str, Resources]] = {}
        for queue, stages in _mapping(document.get("resources"), "resources").items():
            for stage, values in _mapping(stages, f"resources.{queue}").items():
                try:
                    resources.setdefault(queue, {})[stage] = Resources(**_quoted(values))
                except TypeError:
                    raise SiteError(
                        f"resources.{queue}.{stage} takes walltime and nodes, not {values!r}"
                    ) from None
        return cls(
            checkpoints=_folder(document.get("checkpoints")),
            resources=resources,
            seconds_per_step=_seconds(document),
        )


def _mapping(found: object, name: str) -> dict[str, Any]:
    """Return what maps names to values, which an entry of a file may not do."""
    if not found:
        return {}
    if not isinstance(found, dict):
        raise SiteError(f"{name} maps names to values, which {found!r} does not")
    return found


def _folder(typed: object) -> Path | None:
    """Return the folder of the checkpoints, with the user's own written out."""
    if not typed:
        return None
    try:
        if not isinstance(typed, str):
            raise TypeError(typed)
        return Path(os.path.expandvars(typed)).expanduser()
    except (TypeError, RuntimeError):  # of a user who is not known here
        raise SiteError(f"checkpoints is a folder, not {typed!r}") from None


def _seconds(document: dict[str, Any]) -> dict[str, float]:
    seconds = _mapping(document.get("seconds_per_step"), "seconds_per_step")
    for name, value in seconds.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= LONGEST_STEP:
            raise SiteError(
                f"seconds_per_step.{name} is a number of seconds above 0 and at most "
                f"{LONGEST_STEP:,}, not {value!r}"
            )
    return {name: float(value) for name, value in seconds.items()}


def _quoted(values: dict[str, Any]) -> dict[str, Any]:
    """Undo what YAML does to a walltime without quotes: 12:00:00 is 43200 to it."""
    if isinstance(values, dict) and type(values.get("walltime")) is int:
        minutes, seconds = divmod(values["walltime"], 60)
        hours, minutes = divmod(minutes, 60)
        return {**values, "walltime": f"{hours:02d}:{minutes:02d}:{seconds:02d}"}
    return values


def default_folder() -> Path:
    """The folder that ``DEVITRIFY_CONFIG`` names, or the one in the user's configuration."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser().absolute() / "devitrify"


@contextmanager
def without_site() -> Iterator[None]:
    """Let no site's settings count, as for a campaign that runs on this machine alone."""
    before = os.environ.get(CONFIG_VARIABLE)
    os.environ[CONFIG_VARIABLE] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[CONFIG_VARIABLE]
        else:
            os.environ[CONFIG_VARIABLE] = before


def site_settings() -> SiteSettings:
    """
    Settings of the site, from :func:`default_folder`; an empty ``DEVITRIFY_CONFIG`` means none.

    Raises
    ------
    SiteError
        If its file cannot be read.
    """
    if os.environ.get(CONFIG_VARIABLE) == "":
        return SiteSettings()
    return _read(default_folder() / SITE_FILE)


@functools.cache
def _read(path: Path) -> SiteSettings:
    try:
        return SiteSettings.from_dict(read_mapping(path))
    except FileNotFoundError:
        return SiteSettings()
    except (OSError, MappingFileError, SiteError) as error:
        raise SiteError(f"the site settings {path} cannot be read: {error}") from None
