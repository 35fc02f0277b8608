"""What a page shows, as plain values: crystals, a table of them, charts, and what was done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from launch.report.page.crystals import Crystal

#: The method, to be cited.
METHOD = (
    "C. Hong, J. M. Choi, W. Jeong, S. Kang, S. Ju, K. Lee, J. Jung, Y. Youn and S. Han, "
    "Training machine-learning potentials for crystal structure prediction using disordered "
    "structures, Phys. Rev. B 102, 224104 (2020)"
)


@dataclass(frozen=True)
class Column:
    """
    A column of the table.

    Attributes
    ----------
    key : str
        Of the values in the rows.
    label, unit : str
        Heading.
    digits : int or None
        Behind the point; none: text.
    hint : str
        What it is, in a sentence.
    """

    key: str
    label: str
    unit: str = ""
    digits: int | None = None
    hint: str = ""


@dataclass(frozen=True)
class Row:
    """
    A row of the table.

    Attributes
    ----------
    values : dict
        Numbers and texts by the keys of the columns.
    crystal : int
        Index of its structure.
    marks : list of str
        ``"known"``, or ``"unconverged"``.
    """

    values: dict[str, Any]
    crystal: int
    marks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """
    An interactive figure.

    Attributes
    ----------
    title, sentence : str
        What it shows, and what would be bad.
    panels : list of Panel
        Side by side.
    """

    title: str
    sentence: str
    panels: list[Panel]


@dataclass(frozen=True)
class Panel:
    """
    Axes with curves and points.

    Attributes
    ----------
    x, y : str
        Labels of the axes, with units.
    traces : list of dict
        As plotly takes them; ``customdata`` are indices of structures.
    layout : dict
        More of plotly's layout.
    """

    x: str
    y: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deed:
    """
    What a stage took.

    Attributes
    ----------
    stage, state, jobs, time : str
        As people read them.
    """

    stage: str
    state: str
    jobs: str
    time: str


@dataclass(frozen=True)
class Page:
    """
    All that a page shows.

    Attributes
    ----------
    title, subtitle : str
        Which compound, and what was found of it.
    columns, rows : list
        Of the table.
    crystals : list of Crystal
        Those of the rows first, then those that only points of charts have.
    elements : dict of str to dict
        Colour and radius by element.
    bonds : list of [str, str, float]
        Largest distances of neighbours, Å.
    warnings : list of str
        What to know before anything is trusted.
    charts : list of Chart
    facts : list of [str, str]
        What was done.
    deeds : list of Deed
        Cost by stage.
    command : str
        That repeats it.
    citations : list of str
    unfinished : str
        What is still to come; empty if nothing.
    """

    title: str
    subtitle: str
    columns: list[Column]
    rows: list[Row]
    crystals: list[Crystal]
    elements: dict[str, dict[str, Any]]
    bonds: list[list[Any]]
    warnings: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    facts: list[list[str]] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    command: str = ""
    citations: list[str] = field(default_factory=list)
    unfinished: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Give all as JSON types."""
        return asdict(self)
