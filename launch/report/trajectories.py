"""The trajectories of a training set: of a formula one melt, of a system several."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm

#: What is known along a trajectory, whatever was melted.
ALONG = ("time", "temperature", "energy", "pressure")
#: Of a melt; its shares are told apart up to so many.
MOST_ATOMS = 1000


def melts_in(series: Mapping[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    """
    Take the trajectories of several melts apart.

    Parameters
    ----------
    series : mapping of str to list of float
        As of :class:`~workflows.documents.training.SampleDocument`.

    Returns
    -------
    dict of str to dict
        Time, temperature, energy and pressure by formula, in the order in which they ran; one, of
        no name, where there is one composition, or nobody has noted which there are.
    """
    elements = [name for name in series if name not in ALONG]
    if not elements:
        return {"": dict(series)}
    shares = list(zip(*(series[name] for name in elements), strict=True))
    formulas = {one: _formula(dict(zip(elements, one, strict=True))) for one in set(shares)}
    rows: dict[str, list[int]] = {}
    for k, one in enumerate(shares):
        rows.setdefault(formulas[one], []).append(k)
    return {
        formula: {name: [series[name][k] for k in own] for name in ALONG}
        for formula, own in rows.items()
    }


def _formula(shares: Mapping[str, float]) -> str:
    """Reduced formula by shares of atoms."""
    from pymatgen.core import Composition

    # shares are ratios of whole numbers of atoms in a cell
    fractions = {
        symbol: Fraction(share).limit_denominator(MOST_ATOMS) for symbol, share in shares.items()
    }
    times = lcm(*(one.denominator for one in fractions.values()))
    counts = {symbol: int(one * times) for symbol, one in fractions.items() if one}
    formula: str = Composition(counts).reduced_formula
    return formula
