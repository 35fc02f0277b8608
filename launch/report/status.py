"""Where a campaign is: stages, figures and failures, read from its database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from launch.database.failures import Failure, failures, stage_of
from launch.database.states import ENDED, HELD, UNDER_WAY
from launch.report.status_reading import StatusReader
from launch.shell import command_line
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from rich.console import Console
    from rich.table import Table

UNITS = {
    "K": "{:.0f} K",
    "kbar": "{:.1f} kbar",
    "eV": "{:.4f} eV",
    "eV_atom": "{:.4f} eV/atom",
    "meV_atom": "{:.1f} meV/atom",
    "eV_A": "{:.2f} eV/Å",
    "A3": "{:.1f} Å³",
    "A3_atom": "{:.2f} Å³/atom",
    "cm2_s": "{:.2g} cm²/s",
}
SYMBOLS = {"temperature": "T", "pressure": "p", "energy": "E", "force": "F", "volume": "V"}


class StageStatus(BaseModel):
    """One stage of the campaign."""

    name: str
    state: str = Field(description="waiting, running, completed or failed")
    counts: dict[str, int] = Field(description="Fireworks by state")
    done: float = Field(description="Fireworks done, running ones counted by their progress")
    total: int = Field(description="Fireworks known so far")
    started: datetime | None
    elapsed: float = Field(description="time in which jobs of this stage ran, s")
    job: str | None = Field(default=None, description="the job that reported last")
    figures: dict[str, float | str] = Field(default_factory=dict)


class CampaignHeading(BaseModel):
    """Which campaign it is."""

    campaign: str
    formula: str
    engine: str
    protocol: str
    folder: str
    command: list[str] = Field(
        default_factory=list, description="what was typed behind devitrify run"
    )


class CampaignStatus(CampaignHeading):
    """The state of a campaign at one moment."""

    state: str = Field(description="not started, running, stopped, completed or failed")
    stages: list[StageStatus]
    failures: list[Failure]
    started: datetime | None
    elapsed: float = Field(description="time in which any job ran, s")


def collect(
    heading: CampaignHeading,
    pad: LaunchPad,
    *,
    running: bool,
    reader: StatusReader | None = None,
) -> CampaignStatus:
    """
    Read the state of a campaign.

    Parameters
    ----------
    heading : CampaignHeading
        Which one it is.
    pad : LaunchPad
        Its launchpad.
    running : bool
        Whether a process runs it now.
    reader : StatusReader or None
        Of the same launchpad, used before: reads less. None: all is read.
    """
    reader = reader or StatusReader()
    fireworks, launches = reader.fireworks(pad), reader.launches(pad)
    progress = {document["uuid"]: document for document in pad.db.progress.find({})}
    periods = _periods(launches, running)
    by_stage: dict[str, list[dict[str, Any]]] = {}
    for firework in fireworks:
        by_stage.setdefault(stage_of(firework), []).append(firework)
    stages = [
        _stage_status(name, by_stage[name], periods, progress.values())
        for name in sorted(by_stage, key=_position)
    ]
    every = [period for found in periods.values() for period in found]
    return CampaignStatus(
        **heading.model_dump(),
        state=_campaign_state(pad, fireworks, running),
        stages=stages,
        failures=failures(pad),
        started=min((start for start, _ in every), default=None),
        elapsed=union_seconds(every),
    )


def union_seconds(periods: Iterable[tuple[datetime, datetime]]) -> float:
    """Return the length of the union of periods, in seconds."""
    total = 0.0
    last: datetime | None = None
    for start, end in sorted(periods):
        begin = start if last is None else max(start, last)
        total += max(0.0, (end - begin).total_seconds())
        last = end if last is None else max(last, end)
    return total


def _position(stage: str) -> tuple[int, str]:
    return (STAGES[stage].position if stage in STAGES else len(STAGES), stage)


def _periods(
    launches: Iterable[dict[str, Any]], running: bool
) -> dict[int, list[tuple[datetime, datetime]]]:
    """Return when each Firework ran; a launch that died without an end counts for nothing."""
    now = datetime.now(UTC)
    found: dict[int, list[tuple[datetime, datetime]]] = {}
    for launch in launches:
        start, end = _time(launch.get("time_start")), _time(launch.get("time_end"))
        if end is None and running and launch["state"] == "RUNNING":
            end = now
        if start is not None and end is not None:
            found.setdefault(launch["fw_id"], []).append((start, end))
    return found


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stage_status(
    name: str,
    fireworks: list[dict[str, Any]],
    periods: dict[int, list[tuple[datetime, datetime]]],
    progress: Iterable[dict[str, Any]],
) -> StageStatus:
    counts = Counter(firework["state"] for firework in fireworks)
    reports = sorted((d for d in progress if d["stage"] == name), key=lambda d: d["time"])
    # A job that is not finished: its latest report is younger than what it will end with.
    partial = [d["done"] / d["total"] for d in reports if 0 < d["done"] < d["total"]]
    running = counts["RUNNING"]
    ran = [period for firework in fireworks for period in periods.get(firework["fw_id"], [])]
    return StageStatus(
        name=name,
        state=_stage_state(counts),
        counts=dict(counts),
        done=counts["COMPLETED"] + sum(partial[-running:] if running else []),
        total=len(fireworks),
        started=min((start for start, _ in ran), default=None),
        elapsed=union_seconds(ran),
        job=reports[-1]["job"] if reports else None,
        figures=reports[-1]["figures"] if reports else {},
    )


def _stage_state(counts: Counter[str]) -> str:
    if any(counts[state] for state in HELD):
        return "running"
    left_out = counts["FIZZLED"]
    if counts["COMPLETED"] and counts["COMPLETED"] + left_out == counts.total():
        return "completed"
    if left_out:
        return "failed"
    return "running" if counts["COMPLETED"] else "waiting"


def _campaign_state(pad: LaunchPad, fireworks: list[dict[str, Any]], running: bool) -> str:
    if not fireworks:
        return "running" if running else "not started"
    states = {document["state"] for document in pad.workflows.find({}, {"state": 1})}
    if states == {"COMPLETED"}:
        return "completed"
    if running:
        return "running"
    can_go_on = any(firework["state"] in UNDER_WAY for firework in fireworks)
    return "stopped" if can_go_on else "failed"


def format_figures(figures: dict[str, float | str]) -> str:
    """
    Return the figures of a stage as one short text.

    Examples
    --------
    >>> format_figures({"temperature_K": 1480.0, "pressure_kbar": -3.0})
    'T 1480 K  p -3.0 kbar'
    >>> format_figures({"validation_meV_atom": 8.1, "validation_eV_A": 0.17})
    'validation 8.1 meV/atom  0.17 eV/Å'
    """
    parts: list[str] = []
    previous = None
    for name, value in figures.items():
        label, text = _figure(name, value)
        parts.append(text if label in ("", previous) else f"{label} {text}")
        previous = label
    return "  ".join(parts)


def _figure(name: str, value: float | str) -> tuple[str, str]:
    """Return the label of a figure and its value with the unit."""
    if isinstance(value, str):
        return name.replace("_", " "), value
    if name.endswith("_per_s"):
        return "", f"{value:.1f} {name.removesuffix('_per_s').replace('_', ' ')}/s"
    # The longest unit first: _eV_atom before _eV.
    for suffix in sorted(UNITS, key=len, reverse=True):
        if name.endswith(f"_{suffix}"):
            label = name.removesuffix(f"_{suffix}")
            return SYMBOLS.get(label, label.replace("_", " ")), UNITS[suffix].format(value)
    return name.replace("_", " "), f"{value:.4g}"


def format_duration(seconds: float) -> str:
    """Return a duration as ``h:mm:ss`` or ``m:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def status_table(status: CampaignStatus) -> Table:
    """Return the status of a campaign as a rich table."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    title = f"{status.formula}  {status.engine}  {status.protocol}  {status.state}"
    table = Table(title=f"{title}  {format_duration(status.elapsed)}", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("", width=16)
    table.add_column("jobs", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("figures", overflow="fold")
    colours = {"completed": "green", "running": "yellow", "failed": "red", "waiting": "dim"}
    for stage in status.stages:
        finished = sum(stage.counts.get(state, 0) for state in ENDED)
        table.add_row(
            stage.name,
            f"[{colours[stage.state]}]{stage.state}[/]",
            ProgressBar(total=stage.total, completed=stage.done, width=16),
            f"{finished}/{stage.total}",
            format_duration(stage.elapsed) if stage.elapsed else "",
            format_figures(stage.figures),
        )
    return table


def print_status(status: CampaignStatus, console: Console | None = None) -> None:
    """Print the status of a campaign: a table, then each failure with its reason."""
    from rich.console import Console
    from rich.markup import escape

    console = console or Console()
    console.print(status_table(status))
    for failure in status.failures:
        console.print(
            f"[red]failed[/] {escape(failure.stage)}: {escape(failure.name)} "
            f"(Firework {failure.fw_id}): {escape(failure.reason)}"
        )
    if status.state in ("stopped", "failed"):
        # campaigns of earlier versions do not tell
        known = status.command or [
            *(status.formula, "--protocol", status.protocol, "--engine", status.engine)
        ]
        folder = Path(status.folder)
        command = command_line("devitrify", "run", *known, "--folder", folder)
        console.print(f"Resume with: {command}", markup=False, soft_wrap=True)
