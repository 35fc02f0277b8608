"""What has been kept of a compound, and how tables and numbers of its section are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.paper_facts import Facts
from tests.benchmarks.paper_numbers import JUDGED_WINDOW, PaperCompound

#: What a campaign is called in tables, by the step after which its facts were kept.
NAMES = {
    "judge-first": "potential of the melt and its glass, as in the paper",
    "judge-learnt": "after learning from the search's candidates",
    "judge-melt": "after learning from a melt-quench by the potential",
    "judge-default": "protocol `quick`, the default",
}


@dataclass(frozen=True)
class Kept:
    """
    What has been kept of a compound.

    Attributes
    ----------
    paper : PaperCompound
    facts : dict of str to dict
        By step.
    searches : dict of int to dict
        Summaries of searches by their formula units.
    times : list of dict
        Of evaluations in growing cells.
    command : str
        What makes it.
    """

    paper: PaperCompound
    facts: dict[str, Facts]
    searches: dict[int, Facts] = field(default_factory=dict)
    times: list[Facts] = field(default_factory=list)
    command: str = ""

    def first(self) -> Facts | None:
        """Facts of the campaign that is nearest to the paper's, if there is one."""
        return next((self.facts[name] for name in NAMES if name in self.facts), None)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def number(value: float | None, form: str = ".1f") -> str:
    """Spell a number, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def window_row(rows: Sequence[Facts], window: float = JUDGED_WINDOW) -> Facts:
    """Return the figures within a window, meV/atom."""
    return next(row for row in rows if row["window"] == window)
