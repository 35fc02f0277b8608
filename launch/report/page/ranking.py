"""The table of a page: ranked structures, what the search has found so far, and known phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launch.own_files import file_name
from launch.report.files import ORIGINS
from launch.report.page.content import Column, Row
from launch.report.page.crystals import Crystal, whole_crystal
from launch.report.page.neighbors import surroundings_of
from search.relax.pressure import GPA
from workflows.conversion import to_atoms, to_structure
from workflows.stages.ranking import potential_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from launch.report.known import PhaseFound
    from workflows.documents.prediction import CandidateDocument, PredictionDocument
    from workflows.documents.search import SearchCandidate

#: Structures of an unfinished search that are shown.
MOST_FOUND = 100
#: Columns that a table has where its rows have them, in their order.
COLUMNS = (
    Column("rank", "rank", digits=0, hint="1 is the best"),
    Column("pressure", "pressure", "GPa", 2, "from outside; each has a ranking of its own"),
    Column("motif", "motif", digits=0, hint="structures with the same local structure share one"),
    Column("formula", "formula"),
    Column("units", "Z", digits=0, hint="formula units of the primitive cell"),
    Column("conventional_units", "Z conv.", digits=0, hint="formula units of the standard cell"),
    Column("space_group", "space group"),
    Column("within", "within", "Å", 2, "by how much atoms miss the symmetry at the most"),
    Column("above", "above best", "meV/atom", 1, "energy, or enthalpy, above the best structure"),
    Column("above_hull", "above hull", "meV/atom", 1, "above the convex hull of the compounds"),
    Column("formation", "formation", "eV/atom", 4, "energy, or enthalpy, beside that of the ends"),
    Column("reaction", "in equilibrium", hint="what it becomes"),
    Column("known", "known as", hint="known phase that is the same structure"),
    Column("above_known", "above known", "meV/atom", 1, "above the lowest known phase; below: -"),
    Column("enthalpy", "enthalpy", "eV/atom", 4, "by the reference engine"),
    Column("energy", "energy", "eV/atom", 4, "by the reference engine"),
    Column("potential", "NNP", "eV/atom", 4, "energy by the neural network potential"),
    Column("error", "± NNP", "meV/atom", 1, "error that the potential expects of its energy"),
    Column("volume", "volume", "Å³/atom", 2),
    Column("density", "density", "g/cm³", 2),
    Column("coordination", "coordination", hint="neighbours of an atom of each element"),
    Column("bonds", "shortest bonds", "Å", hint="by pair of elements"),
    Column("found_by", "found by", hint="operator of the search that made it"),
    Column("found_at", "found at", digits=0, hint="its number among the structures of the search"),
    Column("origin", "from", hint="whether a known structure type was among its ancestors"),
)


@dataclass
class Table:
    """
    Rows, and the crystals that they open.

    Parameters
    ----------
    limits : dict of (str, str) to float
        Of `bond_limits`.
    """

    limits: dict[tuple[str, str], float]
    rows: list[Row] = field(default_factory=list)
    crystals: list[Crystal] = field(default_factory=list)

    def add(
        self, structure: Structure, name: str, values: dict[str, Any], marks: Sequence[str] = ()
    ) -> None:
        """
        Add a row.

        Parameters
        ----------
        structure : pymatgen.core.Structure
        name : str
            Of files, without suffix.
        values : dict
            By the keys of columns; what is none is left out.
        marks : sequence of str
            As of `Row`.
        """
        around = surroundings_of(to_atoms(structure), self.limits)
        counted = {
            "coordination": around.coordination_in_words,
            "bonds": ", ".join(f"{pair} {d:.2f}" for pair, d in around.shortest.items()),
            "density": float(structure.density),
            "volume": float(structure.volume / len(structure)),
        }
        known = {key: value for key, value in {**counted, **values}.items() if value is not None}
        title = " ".join(str(known[key]) for key in ("name", "space_group") if key in known)
        self.rows.append(Row(known, len(self.crystals), list(marks)))
        self.crystals.append(whole_crystal(name, title, structure))

    def columns(self) -> list[Column]:
        """Columns that any of the rows has something in."""
        used = {key for row in self.rows for key in row.values}
        return [column for column in COLUMNS if column.key in used]


def add_ranking(table: Table, prediction: PredictionDocument) -> None:
    """
    Add the ranked structures of a campaign.

    Parameters
    ----------
    table : Table
    prediction : PredictionDocument
    """
    has_prototypes = any(candidate.of_prototype for candidate in prediction.candidates)
    for candidate in prediction.candidates:
        rank = candidate.rank or 0
        name = file_name(
            f"{rank:02d}", candidate.formula, f"Z{candidate.formula_units}", candidate.space_group
        )
        marks = [] if candidate.converged else ["unconverged"]
        values = _values(candidate, has_prototypes)
        if prediction.pressures:
            values["pressure"] = candidate.pressure / GPA
        table.add(candidate.structure, name, values, marks)


def _values(candidate: CandidateDocument, has_prototypes: bool) -> dict[str, Any]:
    return {
        "name": f"{candidate.rank}",
        "rank": candidate.rank,
        "motif": candidate.motif,
        "formula": candidate.formula,
        "units": candidate.formula_units,
        "conventional_units": candidate.conventional_units,
        "space_group": f"{candidate.space_group} ({candidate.space_group_number})",
        "within": candidate.symmetry_tolerance,
        "above": candidate.energy_above_best,
        **_on_hull(candidate),
        "enthalpy": candidate.enthalpy,
        "energy": candidate.energy,
        "potential": potential_of(candidate),
        "error": _milli(candidate.expected_error),
        "found_by": candidate.found_by or None,
        "found_at": candidate.found_at or None,
        "origin": ORIGINS[candidate.of_prototype] if has_prototypes else None,
    }


def _on_hull(candidate: CandidateDocument) -> dict[str, Any]:
    """Where a crystal of a system lies; nothing of a formula."""
    if candidate.above_hull is None:
        return {"known": candidate.known}
    return {
        "above_hull": candidate.above_hull,
        "formation": candidate.formation_energy,
        "reaction": candidate.reaction or "stable",
        "known": candidate.known,
    }


def add_known_of_system(table: Table, prediction: PredictionDocument) -> None:
    """
    Add the known phases of a system, which are on its hull or above it.

    Parameters
    ----------
    table : Table
        With the ranking.
    prediction : PredictionDocument
    """
    for one in prediction.known:
        values = {**_values(one, has_prototypes=False), "name": one.known, "found_by": None}
        if prediction.pressures:
            values["pressure"] = one.pressure / GPA
        marks = ["known"] if one.converged else ["known", "unconverged"]
        table.add(one.structure, file_name("known", one.known or ""), values, marks)


def add_known(table: Table, found: Sequence[PhaseFound]) -> None:
    """
    Add known phases, and say which ranked structures they are and how far these are above them.

    Parameters
    ----------
    table : Table
        With the ranking.
    found : sequence of PhaseFound
        The lowest first.
    """
    if not found:
        return
    lowest = found[0].above_best
    names = {one.rank: one.phase.label for one in reversed(found) if one.rank is not None}
    own_pressure = found[0].phase.crystal.pressure / GPA
    for row in table.rows:
        if row.values.get("pressure", own_pressure) != own_pressure:
            continue
        if "above" in row.values:
            row.values["above_known"] = row.values["above"] - lowest
        if row.values.get("rank") in names:
            row.values["known"] = names[row.values["rank"]]
    for one in found:
        crystal = one.phase.crystal
        values = {
            "name": one.phase.label,
            "known": one.phase.label,
            "formula": crystal.formula,
            "units": crystal.formula_units,
            "conventional_units": crystal.conventional_units,
            "space_group": f"{crystal.space_group} ({crystal.space_group_number})",
            "above": one.above_best,
            "above_known": one.above_best - lowest,
            "enthalpy": crystal.enthalpy,
            "energy": crystal.energy,
        }
        marks = ["known"] if crystal.converged else ["known", "unconverged"]
        table.add(crystal.structure, file_name("known", one.phase.label), values, marks)


def add_found(table: Table, found: Sequence[SearchCandidate], formula: str) -> None:
    """
    Add what a search has found so far, by the energies of the search.

    Parameters
    ----------
    table : Table
    found : sequence of SearchCandidate
        Best first.
    formula : str
        Or name of a system.
    """
    from search.composition_parsing import is_system as names_system
    from search.symmetry import find_space_group, primitive_cell

    is_system = names_system(formula)
    lowest = min((one.enthalpy for one in found[:MOST_FOUND]), default=0.0)
    for rank, one in enumerate(found[:MOST_FOUND], start=1):
        group = find_space_group(to_atoms(one.structure))
        own = one.structure.composition.reduced_formula if is_system else formula
        whose = "potential" if one.energy_of == "potential" else "energy"
        values = {
            "name": f"{rank}",
            "rank": rank,
            "formula": own,
            "units": one.formula_units,
            "space_group": f"{group.symbol} ({group.number})",
            "above": None if is_system else 1000 * (one.enthalpy - lowest),
            "above_hull": _milli(one.above_hull),
            "enthalpy": one.enthalpy if one.pressure else None,
            whose: one.energy,
            "error": _milli(one.uncertainty),
            "found_by": one.found_by,
            "found_at": one.found_at,
            "origin": ORIGINS[True] if one.of_prototype else None,
        }
        name = file_name(f"{rank:02d}", own, f"Z{one.formula_units}", group.symbol)
        structure = to_structure(primitive_cell(to_atoms(one.structure)))
        table.add(structure, name, values, [] if one.converged else ["unconverged"])


def elements_of(structures: Iterable[Structure]) -> set[str]:
    """Elements of structures."""
    return {element.symbol for structure in structures for element in structure.elements}


def _milli(value: float | None) -> float | None:
    return None if value is None else 1000 * value
