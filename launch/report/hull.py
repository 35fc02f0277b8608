"""Tables of the convex hull of a system, and what is drawn of it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from launch.report.pressure import at_pressure

if TYPE_CHECKING:
    from rich.table import Table

    from workflows.documents.hull import HullDocument
    from workflows.documents.prediction import CandidateDocument, PredictionDocument

#: meV/atom above the hull up to which structures are written, unless told otherwise.
USUAL_WINDOW = 50.0
#: meV/atom up to which a structure is on the hull.
ON_HULL = 1e-3
#: Rows of the table at the most.
MOST_ROWS = 60
#: meV/atom above the hull that colours of a triangle end at.
HIGHEST = 100.0


@dataclass(frozen=True)
class Placed:
    """
    A crystal over its composition.

    Attributes
    ----------
    crystal : CandidateDocument
    is_known : bool
        Whether the user gave it.
    """

    crystal: CandidateDocument
    is_known: bool

    @property
    def above(self) -> float:
        """Above the hull, meV/atom; infinite where the hull does not reach."""
        above = self.crystal.above_hull
        return float("inf") if above is None else above

    @property
    def is_stable(self) -> bool:
        """Whether it is on the hull."""
        return self.above < ON_HULL

    @property
    def name(self) -> str:
        """Formula and space group, and the label of a known phase."""
        label = f", {self.crystal.known}" if self.is_known else ""
        return f"{self.crystal.formula} {self.crystal.space_group}{label}"


def placed(prediction: PredictionDocument, window: float | None = None) -> list[Placed]:
    """
    List what was found and what is known, from the hull upwards.

    Parameters
    ----------
    prediction : PredictionDocument
        Of a system, at one pressure.
    window : float or None
        meV/atom above the hull at the most; none: all.
    """
    both = [
        *(Placed(one, is_known=False) for one in prediction.candidates),
        *(Placed(one, is_known=True) for one in prediction.known),
    ]
    both.sort(key=lambda one: one.above)  # found before known where both are as low
    return [one for one in both if window is None or one.above <= window + 1e-9]


def at_each_pressure(prediction: PredictionDocument) -> list[PredictionDocument]:
    """
    Take the ranking of a system apart by pressures; those at which nothing was found are left out.

    Parameters
    ----------
    prediction : PredictionDocument
        Of a system.
    """
    return [own for own in prediction.by_pressure() if own.hulls]


def hull_table(prediction: PredictionDocument, most: int = MOST_ROWS) -> Table:
    """
    Tabulate the hull of a system and what lies above it.

    Parameters
    ----------
    prediction : PredictionDocument
        Of a system, at one pressure.
    most : int
        Rows at the most.
    """
    from rich.markup import escape
    from rich.table import Table

    (hull,) = prediction.hulls
    quantity = "enthalpy" if hull.pressure else "energy"
    table = Table(
        title=f"{prediction.formula}: convex hull by {hull.engine} {quantity}"
        f"{at_pressure(hull.pressure)}"
    )
    has_known = bool(prediction.known)
    for heading, justify in (
        ("rank", "right"), ("formula", "left"), ("space group", "left"),
        ("formation\neV/atom", "right"), ("above hull\nmeV/atom", "right"),
        *([("above known\nmeV/atom", "right"), ("known", "left")] if has_known else []),
        ("in equilibrium", "left"),
    ):  # fmt: skip
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for one in placed(prediction)[:most]:
        row = one.crystal
        known = [_number(row.above_known, "+.1f"), escape(row.known or "")] if has_known else []
        table.add_row(
            ("" if one.is_known else str(row.rank)) + ("" if row.converged else " *"),
            row.formula,
            f"{row.space_group} ({row.space_group_number})",
            _number(row.formation_energy, ".4f"),
            _number(row.above_hull, ".1f"),
            *known,
            "stable" if one.is_stable else row.reaction or "",
        )
    told = [f"on the hull: {', '.join(hull.stable)}", *hull.notes]
    table.caption = "\n".join(f"{text}." for text in told)
    return table


def hull_csv(prediction: PredictionDocument) -> str:
    """
    Write the hulls of all pressures as comma-separated values.

    Parameters
    ----------
    prediction : PredictionDocument
        Of a system.
    """
    text = StringIO()
    rows = list(_rows(prediction))
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(prediction: PredictionDocument) -> Iterator[dict[str, Any]]:
    from search.relax.pressure import GPA

    for own in at_each_pressure(prediction):
        (hull,) = own.hulls
        for one in placed(own):
            row = one.crystal
            shares = zip(hull.blocks, hull.fractions[row.formula], strict=True)
            yield {
                "pressure_GPa": own.pressure / GPA,
                "formula": row.formula,
                **{f"atoms_of_{block}": round(share, 6) for block, share in shares},
                "space_group": row.space_group,
                "rank": "" if one.is_known else row.rank,
                "known": row.known or "",
                "given": one.is_known,
                "energy_eV_atom": row.energy,
                "enthalpy_eV_atom": row.enthalpy,
                "formation_eV_atom": row.formation_energy,
                "above_hull_meV_atom": row.above_hull,
                "above_known_meV_atom": row.above_known,
                "reaction": row.reaction or "",
                "converged": row.converged,
            }


def corners(hull: HullDocument) -> list[tuple[float, float]]:
    """
    Corners of the figure: an axis from the second block to the first, or a triangle.

    Parameters
    ----------
    hull : HullDocument
        Of two or three blocks.
    """
    if len(hull.blocks) == 2:
        return [(0.0, 0.0), (1.0, 0.0)]
    return [(0.0, 0.0), (1.0, 0.0), (0.5, 3**0.5 / 2)]


def position(hull: HullDocument, formula: str) -> tuple[float, float]:
    """
    Place of a composition in the figure, by its fractions of the atoms.

    Parameters
    ----------
    hull : HullDocument
        Of two or three blocks.
    formula : str
    """
    shares = hull.fractions[formula]
    places = corners(hull)
    return (
        sum(share * x for share, (x, _) in zip(shares, places, strict=True)),
        sum(share * y for share, (_, y) in zip(shares, places, strict=True)),
    )


def tie_lines(hull: HullDocument, stable: Sequence[Placed]) -> list[tuple[str, str]]:
    """
    Pairs of stable compounds that are in equilibrium with each other.

    Parameters
    ----------
    hull : HullDocument
    stable : sequence of Placed
        On it, one of each compound.

    Returns
    -------
    list of (str, str)
        Their formulas.
    """
    from itertools import combinations

    from pymatgen.core import Composition

    from workflows.hull import PartialPhaseDiagram, Point

    points = [
        Point(one.crystal.formula, enthalpy)
        for one in stable
        if (enthalpy := one.crystal.enthalpy or one.crystal.energy) is not None
    ]
    whole = PartialPhaseDiagram(points)
    energies = dict(points)
    found = []
    for one, other in combinations(hull.stable, 2):
        first, second = Composition(one), Composition(other)
        between = first / first.num_atoms + second / second.num_atoms
        mixture = Composition({str(element): n for element, n in between.items()})
        mean = (energies[one] + energies[other]) / 2
        level = whole.energy_of(mixture)
        if level is not None and mean - level < 1e-6:
            found.append((one, other))
    return found


def stable_ones(shown: Sequence[Placed]) -> dict[str, Placed]:
    """One crystal of each stable compound, by formula: a found one where there are both."""
    found: dict[str, Placed] = {}
    for one in shown:
        if one.is_stable:
            found.setdefault(one.crystal.formula, one)
    return found


def best_of_each(shown: Sequence[Placed]) -> list[Placed]:
    """
    The lowest crystal of each composition, those far up first, so that they are drawn below.

    Parameters
    ----------
    shown : sequence of Placed
        From the hull upwards.
    """
    best: dict[str, Placed] = {}
    for one in shown:
        best.setdefault(one.crystal.formula, one)
    return sorted(best.values(), key=lambda one: -one.above)


def has_figure(prediction: PredictionDocument) -> bool:
    """Whether a hull can be drawn: not of a formula, nor of more than three blocks."""
    hulls = prediction.hulls
    return bool(hulls and len(hulls[0].blocks) <= 3 and prediction.candidates)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
