"""What ``devitrify search`` shows and leaves behind: progress, table, CIFs, summary and plots."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from search.run.driver import SearchFigures
    from search.state.archive import Individual
    from search.state.evolution import Evolution


class Watcher:
    """Prints each generation, and remembers what every one took.

    Parameters
    ----------
    structures
        Budget of all islands.
    islands
        How many there are.
    path
        Where the entries are kept for a later run.
    """

    def __init__(self, structures: int, islands: int, path: Path) -> None:
        self.structures, self.islands, self.path = structures, islands, path
        self.entries: list[dict[str, float]] = json.loads(path.read_text()) if path.exists() else []

    def __call__(self, island: int, figures: SearchFigures) -> None:
        """Take in one generation of one island."""
        from nnp.storage.files import write_atomically

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
        write_atomically(self.path, json.dumps(self.entries))
        done = int(sum(latest(self.entries, "structures").values()))
        where = f"island {island + 1}  " if self.islands > 1 else ""
        typer.echo(
            f"{where}generation {figures.generation:4d}  {done:6d}/{self.structures} "
            f"structures  best {figures.best_energy:.4f} eV/atom  {figures.distinct} distinct  "
            f"{figures.structures_per_second:.1f}/s"
        )


def latest(entries: list[dict[str, float]], what: str) -> dict[int, float]:
    """Last figure of each island."""
    return {int(entry["island"]): entry[what] for entry in entries}


@dataclass
class Found:
    """
    Results of all islands together.

    Parameters
    ----------
    formula
        Of the compound.
    islands
        The searches as they ended.
    entries
        A line for each generation of each island, as `Watcher` kept them.
    best
        Distinct structures reported.
    """

    formula: str
    islands: list[Evolution]
    entries: list[dict[str, float]]
    best: int
    members: list[Individual] = field(init=False)

    def __post_init__(self) -> None:
        """Collect the best and find their space groups."""
        from search.run.islands import merge_archives
        from search.state.archive import space_group_number

        self.members = merge_archives(self.islands)[: self.best]
        for member in self.members:
            if member.space_group is None:
                member.space_group = space_group_number(member.structure)

    @property
    def structures(self) -> int:
        """Structures relaxed on all islands."""
        return sum(island.structures for island in self.islands)

    def table(self) -> Table:
        """Tabulate the best distinct structures."""
        from rich.table import Table

        rows = self.members
        found = Table(title=f"{self.formula}: the {len(rows)} best of {self.structures}")
        for heading in ("rank", "Z", "space group", "eV/atom", "above best\nmeV/atom",
                        "volume\nÅ³/atom", "operator", "structure"):  # fmt: skip
            found.add_column(heading, justify="right")
        for rank, member in enumerate(rows, start=1):
            found.add_row(
                str(rank), str(member.formula_units), str(member.space_group),
                f"{member.energy:.5f}", f"{1000 * (member.energy - rows[0].energy):.1f}",
                f"{member.volume:.2f}", member.operator, str(member.id + 1),
            )  # fmt: skip
        return found

    def write(self, folder: Path) -> None:
        """Write CIFs, the summary and the plots."""
        from ase.io import write

        from launch.report.plots import plot_landscape
        from nnp.storage.files import write_atomically

        for old in folder.glob("*.cif"):
            old.unlink()
        for rank, member in enumerate(self.members, start=1):
            name = f"{rank:02d}_{self.formula}_Z{member.formula_units}_{member.space_group}.cif"
            write(folder / name, member.structure)
        write_atomically(folder / "summary.json", json.dumps(self.summary(), indent=1) + "\n")
        lowest = min(self.islands, key=lambda i: np.nan_to_num(i.best_energy, nan=np.inf))
        for name, figure in (
            ("landscape.png", plot_landscape(lowest)),
            ("operators.png", plot_operators(self.islands)),
        ):
            figure.savefig(folder / name, dpi=150, bbox_inches="tight")

    def summary(self) -> dict[str, Any]:
        """Every new best with what it took, throughput, operators, and discards by reason."""
        seconds = sum(latest(self.entries, "cpu_seconds").values())
        discarded: Counter[str] = Counter()
        for island in self.islands:
            discarded.update(island.discards)
        return {
            "structures": self.structures,
            "islands": len(self.islands),
            "generations": max(island.generation for island in self.islands),
            "new_bests": self._new_bests(),
            "cpu_seconds": seconds,
            "structures_per_cpu_second": self.structures / seconds if seconds else None,
            "operators": [_operator_history(island) for island in self.islands],
            "discarded": dict(discarded),
        }

    def _new_bests(self) -> list[dict[str, Any]]:
        """Structures lower than all before them, on whatever island."""
        records = []
        for number, island in enumerate(self.islands):
            energies = island.individuals.energies
            for count, energy in island.best_history:
                # structures are counted without guests from other islands, ids with them
                individual = island.individuals[int(np.flatnonzero(energies == energy)[0])]
                generation = individual.generation + 1
                records.append(
                    {
                        "island": number + 1,
                        "generation": generation,
                        **self._spent(number, generation, int(count)),
                        "energy": float(energy),
                        "operator": individual.operator,
                        "space_group": individual.space_group,
                    }
                )
        records.sort(key=lambda record: (record["structures"], -record["energy"]))
        lower, best = [], float("inf")
        for record in records:
            if record["energy"] < best:
                best = record["energy"]
                lower.append(record)
        return lower

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


def _operator_history(island: Evolution) -> dict[str, dict[str, list[float]]]:
    """Share, children and successes of each operator, generation after generation."""
    table = island.share_records.table().astype(float)
    return {
        name: {
            "share": [round(share, 4) for share in table[:, 0, i].tolist()],
            "children": [int(n) for n in table[:, 1, i]],
            "successes": [int(n) for n in table[:, 2, i]],
        }
        for i, name in enumerate(island.share_records.operators)
    }


def plot_operators(islands: list[Evolution]) -> Figure:
    """Shares of the operators by generation, and the part of their children that were successes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = islands[0].share_records.operators
    length = min(len(island.share_records) for island in islands)
    tables = np.array([island.share_records.table()[:length] for island in islands], dtype=float)
    shares = tables[:, :, 0].mean(axis=0)
    axes[0].stackplot(range(1, length + 1), shares.T, labels=names)
    axes[0].legend(fontsize=7, loc="lower left")
    axes[0].set(xlabel="generation", ylabel="share of the operators")
    made, successes = tables[:, :, 1].sum(axis=(0, 1)), tables[:, :, 2].sum(axis=(0, 1))
    axes[1].barh(names, 100 * successes / np.maximum(made, 1))
    for i, (n, good) in enumerate(zip(made, successes, strict=True)):
        axes[1].annotate(f" {good:.0f} of {n:.0f}", (0, i), fontsize=7, va="center")
    axes[1].set(xlabel="children that entered the low-energy part (%)")
    return figure
