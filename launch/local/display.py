"""What a running campaign shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Self

from launch.report.outlook import outlook
from launch.report.status import (
    CampaignStatus,
    StageStatus,
    format_duration,
    format_figures,
    status_table,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LINE_INTERVAL = 30.0  # s between two plain lines when no stage changes


class Display:
    """
    Shows a campaign's stages; use as a context manager and feed it with :meth:`update`.

    Parameters
    ----------
    console : Console or None
        Where to write; standard output by default.
    line_interval : float
        Seconds between two plain lines while no stage changes its state.
    watch : callable or None
        Is given each status, too.
    """

    def __init__(
        self,
        console: Console | None = None,
        line_interval: float = LINE_INTERVAL,
        watch: Callable[[CampaignStatus], None] | None = None,
    ) -> None:
        from rich.console import Console

        self.console = console or Console()
        self.line_interval = line_interval
        self.watch = watch
        self._live: Live | None = None
        self._states: dict[str, str] = {}
        self._told: list[str] = []
        self._last_line = monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, status: CampaignStatus) -> None:
        """Show the newest status."""
        if self.watch is not None:
            self.watch(status)
        if self._live is not None:
            from rich.console import Group
            from rich.text import Text

            told = Text("\n".join(outlook(status)))
            self._live.update(Group(status_table(status), told), refresh=True)
            return
        changed = False
        for stage in status.stages:
            if self._states.get(stage.name, "waiting") != stage.state:
                self._states[stage.name] = stage.state
                self._print(stage)
                changed = True
        if changed:
            self._print_outlook(status)
        if monotonic() - self._last_line >= self.line_interval:
            for stage in status.stages:
                if stage.state == "running":
                    self._print(stage)

    def _print_outlook(self, status: CampaignStatus) -> None:
        """Say what is next, unless it was said before."""
        lines = outlook(status)
        if lines and lines != self._told:
            self._told = lines
            self.console.print(" ".join(lines), markup=False, highlight=False, soft_wrap=True)

    def message(self, text: str) -> None:
        """Print one line above the table."""
        self.console.print(text, markup=False, highlight=False)

    def _print(self, stage: StageStatus) -> None:
        self._last_line = monotonic()
        parts = [
            f"{format_duration(stage.elapsed):>8}",
            f"{stage.name}: {stage.state}",
            f"{stage.done:.1f}/{stage.total} jobs",
            format_figures(stage.figures),
        ]
        line = "  ".join(part for part in parts if part)
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
