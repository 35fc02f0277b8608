"""What ``devitrify search`` of a system shows and leaves behind: the hull, and what is near it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.report.files import file_name
from launch.report.search import UNKNOWN_FILE, SearchReport, save_figures
from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from search.state.evolution import Evolution
    from search.state.individual import Individual
    from workflows.documents.prediction import CandidateDocument, PredictionDocument
    from workflows.system import SystemTarget

#: What the energies are called that people follow.
FORMATION = "formation"


def system_of(evolution: Evolution) -> SystemTarget:
    """
    Return the system that a search is of, at its pressure.

    Parameters
    ----------
    evolution : Evolution
        Of a system.
    """
    from search.composition_space import CompositionSpace
    from workflows.system import SystemTarget

    space = evolution.composition
    if not isinstance(space, CompositionSpace):
        raise ValueError("this search is of a formula")
    return SystemTarget(
        formula=space.name, formula_units=(), pressure=evolution.fitness.pressure, space=space
    )


def ranked_on_hull(
    target: SystemTarget, members: Sequence[Individual], level: str
) -> PredictionDocument:
    """
    Put structures of a search on one hull, from it upwards.

    Parameters
    ----------
    target : SystemTarget
        What was searched, at its pressure.
    members : sequence of Individual
        With their structures, distinct.
    level : str
        Whose energies they are.
    """
    from search.state.fitness import Fitness
    from workflows.documents.prediction import PredictionDocument
    from workflows.stages.system_ranking import SystemRanking

    rows = [_document(target, member, level) for member in members]
    ranking = SystemRanking(target, level, Fitness(pressure=target.pressure), symmetry_energy=0.0)
    found, known, hull = ranking.rank(rows)
    return PredictionDocument(
        formula=target.formula, engine=level, pressure=target.pressure, candidates=found,
        known=known, hulls=[hull],
    )  # fmt: skip


def _document(target: SystemTarget, member: Individual, level: str) -> CandidateDocument:
    """Describe a structure as its relaxation left it."""
    from search.relax.pressure import work_of
    from search.symmetry import TIGHT_TOLERANCE, find_space_group
    from workflows.conversion import to_structure
    from workflows.documents.prediction import CandidateDocument

    structure = to_structure(member.structure)
    symbol, number = find_space_group(member.structure, TIGHT_TOLERANCE)
    return CandidateDocument(
        formula=target.formula_of(structure),
        chemical_system=structure.chemical_system,
        formula_units=member.formula_units,
        space_group=symbol,
        space_group_number=number,
        symmetry_tolerance=TIGHT_TOLERANCE,
        pressure=target.pressure,
        energy=member.energy - work_of(target.pressure, member.volume),
        enthalpy=member.energy if target.pressure else None,
        expected_error=member.uncertainty,
        density=float(structure.density),
        volume=member.volume,
        converged=member.converged,
        found_by=member.operator,
        found_at=member.id + 1,
        engine=level,
        structure=structure,
        relaxed=structure,
    )


class SystemSearchReport(SearchReport):
    """
    Results of all islands of a search of a system together.

    Everything on the hull is reported, and above it the nearest.

    Parameters
    ----------
    islands : list of Evolution
        The searches as they ended.
    entries : list of dict
        A line for each generation of each island, as `ProgressLog` kept them.
    n_best : int
        Distinct structures reported, if there are fewer on the hull.
    level : str
        Name of the potential or of the engine.
    """

    def __init__(
        self,
        islands: list[Evolution],
        entries: list[dict[str, float]],
        n_best: int,
        level: str,
    ) -> None:
        from search.run.islands import merge_archives

        self.target = system_of(islands[0])
        on_hull = sum(member.fitness <= 0.0 for member in merge_archives(islands))
        super().__init__(self.target.formula, islands, entries, max(n_best, on_hull))
        self.prediction = ranked_on_hull(self.target, self.found.best, level)

    def table(self) -> Table:
        """Tabulate the hull, and what lies nearest above it with what it becomes."""
        from launch.report.hull import hull_table

        return hull_table(self.prediction)

    def write(self, folder: Path) -> None:
        """Write CIFs of all within the window above the hull, the tables and the plots."""
        from ase.io import write

        from launch.report.hull import USUAL_WINDOW, hull_csv, placed
        from launch.report.hull_plot import plot_hull
        from launch.report.search import plot_operators

        for old in folder.glob("*.cif"):
            old.unlink()
        for one in placed(self.prediction, USUAL_WINDOW):
            row = one.crystal
            name = file_name(f"{row.rank:02d}", row.formula, str(row.space_group_number))
            row.structure.to(str(folder / f"{name}.cif"), fmt="cif")
        (folder / UNKNOWN_FILE).unlink(missing_ok=True)
        if self.found.unknown:
            write(folder / UNKNOWN_FILE, [self._annotated(m) for m in self.found.unknown])
        write_atomically(folder / "hull.csv", hull_csv(self.prediction))
        write_atomically(folder / "summary.json", json.dumps(self.summary(), indent=1) + "\n")
        figures = {"operators": plot_operators(self.islands)}
        hull = plot_hull(self.prediction)
        save_figures(folder, figures if hull is None else {"hull": hull, **figures})

    def summary(self) -> dict[str, Any]:
        """The hull, the structures nearest to it, throughput, operators, and discards."""
        (hull,) = self.prediction.hulls
        left_out = {"relaxed", "structure", "version", "engine"}
        candidates = self.prediction.candidates
        return {
            **super().summary(),
            "system": self.target.formula,
            "on_hull": hull.stable,
            "notes": hull.notes,
            "best": [
                one.model_dump(mode="json", exclude=left_out, exclude_none=True)
                for one in candidates
            ],
        }

    def _new_bests(self) -> list[dict[str, Any]]:
        """Structures that were on the hull when they were found, whatever became of them."""
        found = [
            self._new_best(number, new)
            for number, history in enumerate(self.found.new_bests)
            for new in history
        ]
        return sorted(found, key=lambda entry: entry["structures"])
