"""The table of the benchmark, and what it comes to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.campaigns import Times
from tests.benchmarks.phases import LOOSE, STRICT, KnownPhase, Phase
from tests.benchmarks.solve_found import Found
from tests.benchmarks.solve_judgement import RANKS, Verdict

HEADINGS = (
    "name", "category", "atoms", "seed", "wall s", "CPU s", "reference evaluations",
    "structures relaxed", "(a) meV/atom", "(b) rank",
    f"(c) as given, {LOOSE:g} / {STRICT:g} Å", f"(c) as relaxed, {LOOSE:g} / {STRICT:g} Å",
    "remarks",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """
    One campaign and one known phase.

    Attributes
    ----------
    phase : Phase
    seed : int
    times : Times
    known : KnownPhase or None
        None if the engine could not relax it.
    found : Found or None
        None if the campaign failed.
    verdict : Verdict or None
        None if the campaign failed.
    failure : str
        Why; else empty.
    """

    phase: Phase
    seed: int
    times: Times
    known: KnownPhase | None = None
    found: Found | None = None
    verdict: Verdict | None = None
    failure: str = ""

    @property
    def held(self) -> bool:
        """Whether the engine holds the known phase."""
        return self.known is not None and self.known.held

    @property
    def remarks(self) -> str:
        """What is to be said of the engine, and why the search has missed."""
        said = [f"failed: {self.failure}"] if self.failure else []
        if self.verdict is not None and self.verdict.prefers_another:
            said.append("engine prefers another")
        if self.verdict is not None and self.verdict.reason is not None:
            said.append(self.verdict.reason.text)
        if self.known is not None and self.known.marks:
            said.append(f"not held by the engine: {', '.join(self.known.marks)}")
        return "; ".join(said)

    def cells(self) -> list[str]:
        """Entries of the table."""
        phase, found, verdict = self.phase, self.found, self.verdict
        entries = [
            phase.name, phase.category, str(len(phase.structure)), str(self.seed),
            f"{self.times.wall:.0f}", f"{self.times.cpu:.0f}",
        ]  # fmt: skip
        if found is None or verdict is None:
            entries += [""] * (len(HEADINGS) - len(entries) - 1)
        else:
            more = "" if found.complete else " and dynamics"
            entries += [
                f"{found.evaluations}{more}",
                str(found.structures),
                f"{'yes' if verdict.solved else 'no'}, {verdict.difference:+.1f}",
                "none" if verdict.rank is None else str(verdict.rank),
                *(
                    " / ".join(
                        "yes" if verdict.same_group(known, tolerance) else "no"
                        for tolerance in (LOOSE, STRICT)
                    )
                    for known in ("given", "relaxed")
                ),
            ]
        return [entry.replace("|", "\\|") for entry in (*entries, self.remarks)]

    def figures(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        phase, found, known = self.phase, self.found, self.known
        return {
            "name": phase.name,
            "category": phase.category,
            "formula": phase.formula,
            "z": phase.z,
            "atoms": len(phase.structure),
            "seed": self.seed,
            **asdict(self.times),
            "failure": self.failure,
            "reference_evaluations": None if found is None else found.evaluations,
            "all_evaluations_counted": None if found is None else found.complete,
            "structures_relaxed": None if found is None else found.structures,
            "relaxations_by_engine": None if found is None else len(found.relaxations),
            "lowest_energy": None if found is None else min(m.energy for m in found.ranking),
            "known_energy": None if known is None else known.energy,
            "held_by_engine": self.held,
            "marks": [] if known is None else list(known.marks),
            "verdict": None if self.verdict is None else self.verdict.as_dict(),
        }


#: What is counted, in the words of the summary.
CRITERIA: dict[str, Callable[[Verdict], bool]] = {
    "(a) lowest energy at or below the known phase": lambda v: v.solved,
    **{
        f"(b) known phase at rank {'1' if rank == 1 else f'1 to {rank}'}": (
            lambda v, rank=rank: v.within(rank)
        )
        for rank in RANKS
    },
    **{
        f"(c) space group of rank 1 as {known}, {tolerance:g} Å": (
            lambda v, known=known, tolerance=tolerance: v.same_group(known, tolerance)
        )
        for known in ("given", "relaxed")
        for tolerance in (LOOSE, STRICT)
    },
}


def table(rows: Sequence[Row]) -> str:
    """Tabulate as Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """
    Count successes; a campaign that failed has none.

    Parameters
    ----------
    rows : sequence of Row
        Of finished and failed campaigns.

    Returns
    -------
    dict
        Fractions of all rows, of those that the engine holds, and by seed; wall seconds; what the
        seeds of one phase gave.
    """
    seeds = sorted({row.seed for row in rows})
    walls = [row.times.wall for row in rows]
    return {
        "rows": len(rows),
        "failed": sum(row.verdict is None for row in rows),
        "all": _fractions(rows),
        "held": _fractions([row for row in rows if row.held]),
        "by_seed": {str(s): _fractions([row for row in rows if row.seed == s]) for s in seeds},
        "median_wall": statistics.median(walls) if walls else None,
        "largest_wall": max(walls, default=None),
        "spread": {name: _spread(own) for name, own in _by_phase(rows) if len(own) > 1},
    }


def _fractions(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Successes and rows, by criterion."""
    return {
        name: [sum(row.verdict is not None and good(row.verdict) for row in rows), len(rows)]
        for name, good in CRITERIA.items()
    }


def _by_phase(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for name in dict.fromkeys(row.phase.name for row in rows):
        yield name, [row for row in rows if row.phase.name == name]


def _spread(rows: Sequence[Row]) -> dict[str, Any]:
    """What the seeds of one phase gave, seed by seed; none where the campaign failed."""
    verdicts = [row.verdict for row in rows]
    return {
        "seeds": [row.seed for row in rows],
        "difference": [None if v is None else round(v.difference, 2) for v in verdicts],
        "rank": [None if v is None else v.rank for v in verdicts],
        "wall": [round(row.times.wall) for row in rows],
    }


def summary_in_words(summary: dict[str, Any]) -> str:
    """Say what `summarise` has counted, as a Markdown list."""
    if not summary["rows"]:
        return "Nothing has ended yet."
    held, by_seed = summary["held"], summary["by_seed"]
    lines = []
    for name, (good, number) in summary["all"].items():
        line = f"- {name}: {_of(good, number)}; of those that the engine holds: {_of(*held[name])}"
        if len(by_seed) > 1:
            each = ", ".join(f"seed {s}: {f[name][0]} of {f[name][1]}" for s, f in by_seed.items())
            line += f" ({each})"
        lines.append(line)
    lines.append(
        f"- wall time: median {summary['median_wall']:.0f} s, "
        f"largest {summary['largest_wall']:.0f} s"
    )
    if summary["failed"]:
        lines.append(f"- failed, and counted as misses: {summary['failed']}")
    lines += [f"- {name}: {_in_words(spread)}" for name, spread in summary["spread"].items()]
    return "\n".join(lines)


def _in_words(spread: dict[str, Any]) -> str:
    def listed(values: list[Any], form: str = "") -> str:
        return ", ".join("none" if value is None else format(value, form) for value in values)

    return (
        f"seeds {listed(spread['seeds'])}: {listed(spread['difference'], '+.1f')} meV/atom; "
        f"rank {listed(spread['rank'])}; {listed(spread['wall'])} s"
    )


def _of(good: int, number: int) -> str:
    return f"{good} of {number}" + (f" ({100 * good / number:.0f} %)" if number else "")
