"""Errors while a potential was trained, as curves are drawn from them."""

from __future__ import annotations

from collections.abc import Sequence


def broken(history: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """
    Part the trainings of an ensemble's members, which follow each other in a history.

    Parameters
    ----------
    history : sequence of dict
        Errors by name, and their ``epoch``.

    Returns
    -------
    list of dict
        The same with an entry of no numbers where epochs begin anew: a gap in a curve.

    Examples
    --------
    >>> broken([{"epoch": 1.0}, {"epoch": 2.0}, {"epoch": 1.0}])
    [{'epoch': 1.0}, {'epoch': 2.0}, {'epoch': nan}, {'epoch': 1.0}]
    """
    parted: list[dict[str, float]] = []
    for entry in history:
        if parted and entry["epoch"] <= parted[-1]["epoch"]:
            parted.append({"epoch": float("nan")})
        parted.append(entry)
    return parted
