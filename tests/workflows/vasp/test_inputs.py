"""The order of atoms in VASP's files."""

from __future__ import annotations

import itertools
import warnings

from pymatgen.core import Lattice, Structure

from workflows.engines.vasp.inputs import grouped_order


def test_atoms_of_an_element_stay_together_whatever_their_order() -> None:
    """Also of light noble gases, which have no electronegativity."""
    for symbols in itertools.permutations(("He", "Ne", "He", "Na", "Ar", "Na")):
        places = [[n / 6, 0, 0] for n in range(6)]
        structure = Structure(Lattice.cubic(20.0), list(symbols), places)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            order = grouped_order(structure)
        assert sorted(order) == list(range(6))
        named = [symbols[i] for i in order]
        assert [symbol for symbol, _ in itertools.groupby(named)] == ["Na", "He", "Ne", "Ar"]
        assert all(order[i] < order[i + 1] for i in range(5) if named[i] == named[i + 1])
