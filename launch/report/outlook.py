"""What a running campaign does now, in words; how long it may take yet; the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.report.status import CampaignStatus, StageStatus

#: What happens in a stage; of others the name is told.
DOING = {
    "pack": "packing atoms at random",
    "convergence": "looking for cutoff and k-points",
    "melt": "melting",
    "melting_temperature": "looking for the melting temperature",
    "volume": "adjusting the volume of the melt",
    "liquid": "running the liquid",
    "quench": "cooling the melt to a glass",
    "anneal": "annealing the glass",
    "simple_crystals": "relaxing simple crystals of the ends by {engine}",
    "sample": "collecting the training set",
    "check": "checking the training set",
    "select": "choosing frames to label",
    "label": "labelling frames by {engine}",
    "train": "training the potential",
    "search": "searching crystal structures",
    "improve": "learning from what the search found",
    "candidates": "relaxing the best structures by {engine}",
    "judge": "relaxing and comparing crystals by {engine}",
}
#: Time that was left when a stage had ended, as a multiple of what had been taken by then: smallest
#: and largest of six campaigns by the protocol and engine named (docs/page.md). No other
#: campaign is told a time.
MEASURED = ("quick", "chgnet")
LEFT = {
    "melting_temperature": (6.66, 52.5),
    "volume": (4.71, 33.6),
    "liquid": (3.62, 20.0),
    "quench": (2.31, 5.82),
    "anneal": (2.02, 5.38),
    "select": (1.80, 4.76),
    "label": (1.04, 3.74),
    "train": (0.47, 2.10),
    "search": (0.36, 1.40),
    "improve": (0.02, 0.06),
}
#: Others may be outside of the six by as much.
MARGIN = 1.3
#: Stages that tell a best energy, the one that counts most first.
WITH_BEST = ("candidates", "improve", "search")


def outlook(status: CampaignStatus) -> list[str]:
    """
    Say what is happening, how long it may take yet, and what the best is.

    Parameters
    ----------
    status : CampaignStatus

    Returns
    -------
    list of str
        Lines; empty for a campaign that does not run.
    """
    running = [stage for stage in status.stages if stage.state == "running"]
    if status.state != "running" or not running:
        return []
    # others have begun, and wait for these
    at_work = [stage for stage in running if stage.counts.get("RUNNING")] or running
    doing = "; ".join(_in_words(stage, status.engine) for stage in at_work)
    lines = [f"Now: {doing}."]
    left = time_left(status)
    if left is not None:
        lines.append(f"Time left: {_rounded(left[0])} to {_rounded(left[1])}.")
    best = best_so_far(status)
    if best is not None:
        lines.append(f"Best so far: {best}.")
    return lines


def time_left(status: CampaignStatus) -> tuple[float, float] | None:
    """
    Range of the time that a campaign may take yet, from what it has taken so far.

    Parameters
    ----------
    status : CampaignStatus

    Returns
    -------
    tuple of float or None
        Seconds; none where no campaigns of its kind were measured, before the first stage that
        tells, and where it takes longer than any of them.
    """
    told = [stage for stage in status.stages if stage.state == "completed" and stage.name in LEFT]
    if _is_system(status.formula) or (status.protocol, status.engine) != MEASURED or not told:
        return None
    last = told[-1]
    upto = status.stages[: status.stages.index(last) + 1]
    taken = sum(stage.elapsed for stage in upto)
    since = max(0.0, status.elapsed - taken)
    low, high = (taken * factor - since for factor in _widened(LEFT[last.name]))
    return None if high <= 0 else (max(0.0, low), high)


def best_so_far(status: CampaignStatus) -> str | None:
    """
    Say what the lowest energy is, and by what.

    Parameters
    ----------
    status : CampaignStatus
    """
    if _is_system(status.formula):  # energies of several compositions do not compare
        return None
    stages = {stage.name: stage for stage in status.stages}
    for name in WITH_BEST:
        energy = stages[name].figures.get("best_eV_atom") if name in stages else None
        if isinstance(energy, float):
            whose = "the potential" if name == "search" else status.engine
            return f"{energy:.4f} eV/atom by {whose}"
    return None


def _is_system(name: str) -> bool:
    """Whether a campaign is of a system: its name has dashes between the blocks."""
    return "-" in name


def _widened(factors: tuple[float, float]) -> tuple[float, float]:
    return factors[0] / MARGIN, factors[1] * MARGIN


def _in_words(stage: StageStatus, engine: str) -> str:
    doing = DOING.get(stage.name, stage.name).format(engine=engine)
    return f"{doing}, {int(stage.done)} of {stage.total} jobs known so far"


def _rounded(seconds: float) -> str:
    """Round a time as people tell it."""
    if seconds < 60:
        return "less than a minute"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
