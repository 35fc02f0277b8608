"""The hull against hand numbers, and against a linear programme that knows no hull."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from pymatgen.core import Composition
from scipy.optimize import linprog

import workflows.hull
from workflows.hull import PartialPhaseDiagram, Point, levels_of, products_in_words

#: Made up: Mg2Si is stable, MgSi lies 0.05 eV/atom above Mg2Si and Si.
BINARY = [Point("Mg", -1.5), Point("Si", -5.4), Point("Mg2Si", -3.0), Point("MgSi", -3.55)]


def lowest_mixture(points: list[Point], composition: Composition) -> float:
    """Energy (eV/atom) of the lowest mixture of crystals, by linear programming."""
    elements = sorted({e for point in points for e in point.composition.elements})
    fractions = np.array(
        [[point.composition.get_atomic_fraction(e) for e in elements] for point in points]
    )
    wanted = [composition.get_atomic_fraction(e) for e in elements]
    found = linprog([point.energy for point in points], A_eq=fractions.T, b_eq=wanted)
    return float(found.fun) if found.success else np.inf


def test_examples() -> None:
    assert doctest.testmod(workflows.hull).failed == 0


def test_a_binary_hull_by_hand() -> None:
    hull = PartialPhaseDiagram(BINARY)
    assert hull.stable == ["Mg", "Mg2Si", "Si"]
    # MgSi: 3/4 of the atoms in Mg2Si, 1/4 in Si: -3.0 * 3/4 - 5.4 / 4 = -3.6
    assert hull.above(BINARY[3]) == pytest.approx(0.05, abs=1e-12)
    assert hull.products("MgSi") == pytest.approx({"Mg2Si": 0.75, "Si": 0.25})
    assert products_in_words("MgSi", hull.products("MgSi")) == "2 MgSi → Mg2Si + Si"
    # another crystal of Mg2Si becomes the lower one
    assert hull.above(Point("Mg2Si", -2.9)) == pytest.approx(0.1)
    # what would be more stable than all of them
    assert hull.above(Point("Mg5Si", -3.0)) == pytest.approx(-3.0 - (-3.0 - 1.5) / 2)
    assert levels_of(BINARY) == pytest.approx([-1.5, -5.4, -3.0, -3.6])


@pytest.mark.parametrize("elements", [("Mg", "Si", "O"), ("Li", "Al", "Cl", "O")])
def test_random_energies_as_by_linear_programming(elements: tuple[str, ...]) -> None:
    rng = np.random.default_rng(3)
    points = [Point(symbol, float(rng.normal(-4.0))) for symbol in elements]
    for _ in range(40):
        counts = rng.integers(0, 4, len(elements))
        if counts.sum():
            formula = Composition(dict(zip(elements, counts.tolist(), strict=True)))
            points.append(Point(formula.reduced_formula, float(rng.normal(-4.5, 0.3))))
    hull = PartialPhaseDiagram(points)
    for point in points:
        composition = Composition(point.formula)
        level = lowest_mixture(points, composition)
        assert hull.above(point) == pytest.approx(point.energy - level, abs=1e-9)
        # products have the atoms and the energy of the hull
        products = hull.products(point.formula)
        assert products is not None
        lowest = {name: min(p.energy for p in points if p.formula == name) for name in products}
        assert sum(products.values()) == pytest.approx(1.0)
        mixed = sum(part * lowest[name] for name, part in products.items())
        assert mixed == pytest.approx(level, abs=1e-9)
        left, right = products_in_words(point.formula, products).split(" → ")
        assert atoms_of(left) == pytest.approx(atoms_of(right))


def atoms_of(side: str) -> dict[str, float]:
    """Atoms of one side of a reaction."""
    total: dict[str, float] = {}
    for term in side.split(" + "):
        number, _, name = term.rpartition(" ")
        for symbol, n in Composition(name).get_el_amt_dict().items():
            total[symbol] = total.get(symbol, 0.0) + int(number or 1) * n
    return total


def test_without_elements_only_what_the_others_make_is_within_reach() -> None:
    oxides = [Point("MgO", -6.0), Point("SiO2", -8.0), Point("Mg2SiO4", -7.0)]
    hull = PartialPhaseDiagram(oxides)
    assert set(hull.missing) == {"Mg", "Si", "O"}
    assert hull.stable == ["Mg2SiO4", "MgO", "SiO2"]
    # 10 atoms of MgSiO3 twice: 7 in Mg2SiO4, 3 in SiO2
    assert hull.energy("MgSiO3") == pytest.approx(-7.3)
    assert hull.energy("MgSi") is None
    assert hull.above(Point("Fe", -8.0)) is None
    assert hull.products("O") is None
    assert levels_of(oxides[:2]) == pytest.approx([-6.0, -8.0])
    assert levels_of([]) == []
