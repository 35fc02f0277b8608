"""III.D: what a generation, an atom and the whole cost."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.paper_facts import Facts
from tests.benchmarks.paper_numbers import (
    DAYS,
    GAIN_OF_1000_GENERATIONS,
    SECONDS_PER_ATOM,
    SECONDS_PER_GENERATION,
)
from tests.benchmarks.paper_tables import Kept, number, table

#: Stages of dynamics and labels: what the paper calls the making of the training set.
MAKES_TRAINING_SET = (
    "pack", "convergence", "melt", "melting_temperature", "volume", "liquid", "quench", "anneal",
    "select", "label", "sample", "check",
)  # fmt: skip


def cost(kept: Kept, own: Facts) -> str:
    """III.D: a generation, an atom, the whole, and what 1000 generations would take."""
    paper = SECONDS_PER_GENERATION.get(kept.paper.formula)
    facts = next((f for f in kept.facts.values() if f["searches"]), own)
    nnp = [s["cpu_seconds"] / s["generations"] for s in facts["searches"] if s["generations"]]
    found = own["reference_search"]
    reference = found["seconds"] / found["generations"] if found.get("generations") else None
    potential, engine = SECONDS_PER_ATOM["potential"], SECONDS_PER_ATOM["reference"]
    rows = [
        ("generation on the potential, CPU s", str(paper[0]) if paper else "–",
         number(nnp[0] if nnp else None, ".2f")),
        ("generation by the reference, wall s of its relaxations (paper: CPU)",
         str(paper[1]) if paper else "–", number(reference)),
        *_atom_rows(kept, own, potential, engine),
        ("training set, training: wall time",
         f"{DAYS['training set']:g} days, {DAYS['training']:g} day", _parts(own)),
        ("1000 generations: times faster than by the reference, with the training set",
         f"up to {GAIN_OF_1000_GENERATIONS}", number(_gain(own, nnp, reference))),
    ]  # fmt: skip
    said = table(("", "paper", "here"), rows)
    if kept.times:
        said += "\n\n" + table(
            ("atoms", "potential, CPU s", "engine, CPU s"),
            [(str(t["atoms"]), f"{t['potential']:.4f}", f"{t['reference']:.2f}")
             for t in kept.times],
        )  # fmt: skip
    return said


def _atom_rows(
    kept: Kept, own: Facts, potential: tuple[float, float], engine: tuple[float, float]
) -> list[tuple[str, str, str]]:
    judge, times = own["judge"], kept.times
    nnp = judge["potential_seconds"] if judge else None
    by_engine = times[0]["reference"] / times[0]["atoms"] if times else None
    return [
        ("an atom and evaluation by the potential, s", f"{potential[0]:g} to {potential[1]:g}",
         number(nnp, ".1e")),
        ("an atom and evaluation by the engine, s", f"{engine[0]:g} to {engine[1]:g}",
         number(by_engine, ".1e")),
    ]  # fmt: skip


def _training_set_seconds(own: Facts) -> float:
    return sum(own["stages"].get(stage, 0.0) for stage in MAKES_TRAINING_SET)


def _parts(own: Facts) -> str:
    return (f"{_training_set_seconds(own) / 60:.0f} min, "
            f"{own['stages'].get('train', 0.0) / 60:.0f} min")  # fmt: skip


def _gain(own: Facts, nnp: Sequence[float], reference: float | None) -> float | None:
    """How many times longer 1000 generations take by the reference than all by the potential."""
    if not nnp or reference is None:
        return None
    before = _training_set_seconds(own) + own["stages"].get("train", 0.0)
    return 1000 * reference / (before + 1000 * nnp[0])
