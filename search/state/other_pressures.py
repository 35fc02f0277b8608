"""Structures that would be the lowest in enthalpy at some other pressure."""

from __future__ import annotations

from collections.abc import Sequence

from search.state.individual import Individual


def lowest_at_other_pressures(
    members: Sequence[Individual], window: float = 0.2
) -> list[Individual]:
    """
    Find the structures on the lower convex hull of energy against volume.

    Each of them has the lowest enthalpy E + pV at some pressure p, positive or negative, which is
    minus the slope of the hull. They are few, and between them they have the densest and the most
    open of the good structures.

    Parameters
    ----------
    members : sequence of Individual
        Of any order.
    window : float
        Only those up to this far above the lowest, eV/atom.

    Returns
    -------
    list of Individual
        Lowest first.
    """
    if not members:
        return []
    lowest = min(member.fitness for member in members)
    near = [member for member in members if member.fitness <= lowest + window]
    hull: list[Individual] = []
    for member in sorted(near, key=lambda member: (member.volume, member.fitness)):
        if hull and hull[-1].volume == member.volume:  # and not above it
            continue
        while len(hull) > 1 and not _turns_up(hull[-2], hull[-1], member):
            hull.pop()
        hull.append(member)
    return sorted(hull, key=lambda member: member.fitness)


def _turns_up(first: Individual, second: Individual, third: Individual) -> bool:
    """Whether the second lies below the line from the first to the third."""
    run, whole = second.volume - first.volume, third.volume - first.volume
    rise, all_of_it = second.fitness - first.fitness, third.fitness - first.fitness
    return rise * whole < all_of_it * run
