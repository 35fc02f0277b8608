"""What ``devitrify search`` shows and leaves behind: progress, table, CIFs, summary and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from launch.report.files import ORIGINS
from launch.report.pressure import at_pressure
from nnp.storage.files import write_atomically
from search.relax.pressure import GPA

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from rich.table import Table

    from search.run.driver import SearchFigures
    from search.run.islands import SearchSummary
    from search.state.evolution import Evolution
    from search.state.individual import Individual, NewBest


#: Said below a table with a mark in it.
NOT_CONVERGED = "* not relaxed to the tight limits within the steps allowed"
#: Behind energies that are no plain ones, by quantity.
SAID_OF = {"enthalpy": " (enthalpy)", "formation": " (formation)"}
_FIGURES = ("island", "generation", "structures", "best_energy", "cpu_seconds")

#: What a search writes in its folder.
WRITTEN = ("*.json", "*.csv", "*.cif", "*.png", "*.pdf", "*.extxyz", "*.html")
#: A line for each generation of each island.
PROGRESS_FILE = "progress.json"
#: Structures that the potential does not know, with their energies (eV/atom).
UNKNOWN_FILE = "unknown.extxyz"


class ProgressLog:
    """
    Prints each generation, and remembers what every one took.

    Parameters
    ----------
    structures : int
        Budget of all islands.
    islands : int
        How many there are.
    path : Path
        Where the entries are kept for a later run.
    quantity : str
        What the energies are: ``"energy"``, or ``"enthalpy"`` at a pressure; of a system
        ``"formation"``.
    """

    def __init__(self, structures: int, islands: int, path: Path, quantity: str = "energy") -> None:
        self.structures, self.islands, self.path = structures, islands, path
        self.quantity = quantity
        self.entries: list[dict[str, float]] = _read_entries(path) if path.exists() else []

    def __call__(self, island: int, figures: SearchFigures) -> None:
        """Take in one generation of one island, or what was relaxed on after its last one."""
        if figures.went_on:
            self._add_time(island, figures)
        else:
            self._add_generation(island, figures)
        write_atomically(self.path, json.dumps(self.entries))
        typer.echo(self._line(island, figures))

    def _add_time(self, island: int, figures: SearchFigures) -> None:
        """Count the time of relaxing on to the last generation."""
        own = [entry for entry in self.entries if entry["island"] == island]
        for entry in own[-1:]:
            entry["cpu_seconds"] += figures.cpu_seconds
            entry["best_energy"] = figures.best_energy

    def _add_generation(self, island: int, figures: SearchFigures) -> None:
        # a generation that was lost when the search was killed is done again
        self.entries = [
            entry
            for entry in self.entries
            if entry["island"] != island or entry["generation"] < figures.generation
        ]
        own = [entry for entry in self.entries if entry["island"] == island]
        self.entries.append(
            {
                "island": island,
                "generation": figures.generation,
                "structures": figures.structures,
                "best_energy": figures.best_energy,
                "cpu_seconds": figures.cpu_seconds + (own[-1]["cpu_seconds"] if own else 0.0),
            }
        )

    def _line(self, island: int, figures: SearchFigures) -> str:
        """Say where the search stands."""
        done = int(sum(latest(self.entries, "structures").values()))
        where = f"island {island + 1}  " if self.islands > 1 else ""
        best = "none yet"
        if np.isfinite(figures.best_energy):
            best = f"{figures.best_energy:.4f} eV/atom"
            best += SAID_OF.get(self.quantity, "")
        what = f"generation {figures.generation:4d}  {done:6d}/{self.structures} structures"
        if figures.went_on:
            what = f"{figures.went_on} of the best relaxed on to the tight limits"
        return (
            f"{where}{what}  best {best}  {figures.distinct} distinct  "
            f"{figures.structures_per_second:.1f}/s"
            f"{f'  ends: {figures.ended}' if figures.ended else ''}"
        )


def _read_entries(path: Path) -> list[dict[str, float]]:
    """Read what an earlier run has kept; it is for people, and a broken one begins anew."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), int | float) for name in _FIGURES)
        for entry in entries
    ):
        typer.echo(f"{path} is broken: times before this run are not known.", err=True)
        return []
    return entries


def latest(entries: list[dict[str, float]], what: str) -> dict[int, float]:
    """Last figure of each island."""
    return {int(entry["island"]): entry[what] for entry in entries}


def read_cpu_seconds(folder: Path) -> float:
    """CPU time that the search in a folder took, s; zero if nobody knows."""
    path = folder / PROGRESS_FILE
    return sum(latest(_read_entries(path), "cpu_seconds").values()) if path.exists() else 0.0


class SearchReport:
    """
    Results of all islands together.

    Parameters
    ----------
    formula : str
        Of the compound.
    islands : list of Evolution
        The searches as they ended.
    entries : list of dict
        A line for each generation of each island, as `ProgressLog` kept them.
    n_best : int
        Distinct structures reported.
    """

    def __init__(
        self,
        formula: str,
        islands: list[Evolution],
        entries: list[dict[str, float]],
        n_best: int,
    ) -> None:
        from search.run.islands import summarise

        self.formula, self.islands, self.entries = formula, islands, entries
        self.fitness = islands[0].fitness
        self.found: SearchSummary = summarise(islands, n_best)

    @property
    def unfinished(self) -> int:
        """Structures reported that are not under the tight limits."""
        return sum(not member.converged for member in self.found.best)

    def table(self) -> Table:
        """Tabulate the best distinct structures; at a pressure, with their enthalpies."""
        from rich.table import Table

        rows = self.found.best
        has_prototypes = any(member.of_prototype for member in rows)
        uncertain = any(member.uncertainty is not None for member in rows)
        pressure = self.fitness.pressure
        table = Table(
            title=f"{self.formula}: the {len(rows)} best of {self.found.structures}"
            f"{at_pressure(pressure)}"
        )
        for heading in (
            "rank", "Z", "space group", *(["enthalpy\neV/atom"] if pressure else []),
            "energy\neV/atom" if pressure else "eV/atom", *(["±\nmeV/atom"] * uncertain),
            "above best\nmeV/atom", "volume\nÅ³/atom", "operator", *(["from"] * has_prototypes),
            "structure",
        ):  # fmt: skip
            table.add_column(heading, justify="right")
        for rank, member in enumerate(rows, start=1):
            table.add_row(
                f"{rank}{'' if member.converged else ' *'}",
                str(member.formula_units), str(member.space_group),
                *([f"{member.energy:.5f}"] if pressure else []),
                f"{self._energy(member):.5f}", *([_error(member)] * uncertain),
                f"{1000 * (member.fitness - rows[0].fitness):.1f}",
                f"{member.volume:.2f}", member.operator,
                *([ORIGINS[member.of_prototype]] * has_prototypes), str(member.id + 1),
            )  # fmt: skip
        return table

    def _energy(self, member: Individual) -> float:
        """Energy without pressure times volume, eV/atom."""
        return self.fitness.without_pressure(member.energy, member.volume)

    def write(self, folder: Path) -> None:
        """Write CIFs, the summary and the plots."""
        from ase.io import write

        from launch.report.plots import plot_landscape

        for old in folder.glob("*.cif"):
            old.unlink()
        for rank, member in enumerate(self.found.best, start=1):
            name = f"{rank:02d}_{self.formula}_Z{member.formula_units}_{member.space_group}.cif"
            write(folder / name, member.structure)
        (folder / UNKNOWN_FILE).unlink(missing_ok=True)
        if self.found.unknown:
            write(folder / UNKNOWN_FILE, [self._annotated(m) for m in self.found.unknown])
        write_atomically(folder / "summary.json", json.dumps(self.summary(), indent=1) + "\n")
        landscape, operators = plot_landscape(self.found.leader), plot_operators(self.islands)
        save_figures(folder, {"landscape": landscape, "operators": operators})

    def summary(self) -> dict[str, Any]:
        """The best, every new best with what it took, throughput, operators, and discards."""
        seconds = sum(latest(self.entries, "cpu_seconds").values())
        return {
            "structures": self.found.structures,
            "relaxed_on_to_tight_limits": self.found.went_on,
            **({"pressure_GPa": self.fitness.pressure / GPA} if self.fitness.pressure else {}),
            "best": [self._figures_of(rank, m) for rank, m in enumerate(self.found.best, start=1)],
            "unknown_structures": len(self.found.unknown),
            "ended": self.found.ended,
            "islands": len(self.islands),
            "generations": self.found.generations,
            "new_bests": self._new_bests(),
            "cpu_seconds": seconds,
            "structures_per_cpu_second": self.found.structures / seconds if seconds else None,
            "operators": [_operator_history(island) for island in self.islands],
            "discarded": self.found.discards,
        }

    def _new_bests(self) -> list[dict[str, Any]]:
        """Structures better than all before them, on whatever island."""
        found = [
            (new, self._new_best(number, new))
            for number, history in enumerate(self.found.new_bests)
            for new in history
        ]
        found.sort(key=lambda pair: (pair[1]["structures"], -pair[0].fitness))
        kept, best = [], float("inf")
        for new, entry in found:
            if new.fitness < best:
                best = new.fitness
                kept.append(entry)
        return kept

    def _new_best(self, number: int, new: NewBest) -> dict[str, Any]:
        """What made a structure that was the best of its island, and what it took."""
        individual = self.islands[number].individuals[new.id]
        generation = individual.generation + 1
        return {
            "island": number + 1,
            "generation": generation,
            **self._spent(number, generation, new.structures),
            self.fitness.quantity: new.energy,
            "operator": individual.operator,
            "space_group": individual.space_group,
        }

    def _spent(self, island: int, generation: int, count: int) -> dict[str, Any]:
        """Structures and CPU seconds of all islands when one had relaxed `count` structures."""
        structures, seconds = float(count), 0.0
        for number in range(len(self.islands)):
            upto = [
                e for e in self.entries if e["island"] == number and e["generation"] <= generation
            ]
            if not upto:
                continue
            seconds += upto[-1]["cpu_seconds"]
            if number != island:
                structures += upto[-1]["structures"]
        return {"structures": int(structures), "cpu_seconds": seconds}

    def _annotated(self, member: Individual) -> Atoms:
        """Structure with its energy and uncertainty (eV/atom)."""
        atoms = member.structure.copy()
        for name in list(atoms.arrays):
            if name not in ("numbers", "positions"):
                del atoms.arrays[name]
        atoms.info = {"energy_per_atom": self._energy(member), "uncertainty": member.uncertainty}
        return atoms

    def _figures_of(self, rank: int, member: Individual) -> dict[str, Any]:
        """Figures of a structure that is reported."""
        return {
            "rank": rank,
            "formula_units": member.formula_units,
            "space_group": member.space_group,
            **({"enthalpy": member.energy} if self.fitness.pressure else {}),
            "energy": self._energy(member),
            "volume": member.volume,
            "uncertainty": member.uncertainty,
            "converged": member.converged,
            "operator": member.operator,
            "of_prototype": member.of_prototype,
            "structure": member.id + 1,
        }


def _error(member: Individual) -> str:
    """Uncertainty in meV/atom, as the table has it."""
    return "" if member.uncertainty is None else f"{1000 * member.uncertainty:.1f}"


def _operator_history(island: Evolution) -> dict[str, dict[str, list[float]]]:
    """Share, children and successes of each operator, generation after generation."""
    table = island.share_history.table().astype(float)
    return {
        name: {
            "share": [round(share, 4) for share in table[:, 0, i].tolist()],
            "children": [int(n) for n in table[:, 1, i]],
            "successes": [int(n) for n in table[:, 2, i]],
        }
        for i, name in enumerate(island.share_history.operators)
    }


def save_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures by their names, and close them."""
    import matplotlib.pyplot as plt

    from launch.report.figures import SUFFIXES, save_figure

    for name, figure in figures.items():
        for suffix in SUFFIXES:
            save_figure(figure, folder / f"{name}{suffix}")
        plt.close(figure)


def plot_operators(islands: list[Evolution]) -> Figure:
    """Shares of the operators by generation, and the part of their children that were successes."""
    import matplotlib.pyplot as plt

    from launch.report.figures import legend_beside
    from launch.report.style import many_colours

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    names = islands[0].share_history.operators
    length = min(len(island.share_history) for island in islands)
    tables = np.array([island.share_history.table()[:length] for island in islands], dtype=float)
    shares = tables[:, :, 0].mean(axis=0)
    colours = many_colours(len(names))
    axes[0].stackplot(range(1, length + 1), shares.T, labels=names, colors=colours)
    legend_beside(axes[0], backwards=True)
    axes[0].margins(0)
    axes[0].set(xlabel="generation", ylabel="share of the operators")
    made, successes = tables[:, :, 1].sum(axis=(0, 1)), tables[:, :, 2].sum(axis=(0, 1))
    axes[1].barh(names, 100 * successes / np.maximum(made, 1))
    for i, (n, good) in enumerate(zip(made, successes, strict=True)):
        axes[1].annotate(f" {good:.0f} of {n:.0f}", (0, i), fontsize=7, va="center")
    axes[1].set(xlabel="children that entered the fit part (%)")
    return figure
