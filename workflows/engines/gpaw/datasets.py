"""Elements that have a PAW data set, and the cutoffs that these need."""

from __future__ import annotations

from collections.abc import Iterable

from ase.data import chemical_symbols

#: PAW data sets of PBE in the package gpaw-data.
ELEMENTS = frozenset(chemical_symbols[1:87]) - {"Tc", "Po", "At"}

#: For an element the cutoffs (eV) beyond which the Pulay stress of the element itself, in a
#: close-packed crystal, is below 10 kbar and below 3 kbar: what the dynamics begins with, and
#: what cells are relaxed at. That stress is 2/3 E (dE_tot/dE) / V: the kinetic energy that the
#: cutoff E leaves out belongs to the atom, so it carries over to compounds. GPAW names no
#: cutoffs, and those of VASP's potentials are too low for its data sets: at 450 eV the stress of
#: an oxide is off by hundreds of kbar. Measured by ``tests.benchmarks.gpaw``.
CUTOFFS: dict[str, tuple[int, int]] = {
    "Ag": (450, 500), "Al": (300, 300), "B": (450, 900), "Ba": (300, 300), "C": (450, 900),
    "Ca": (400, 450), "Cl": (300, 500), "Co": (600, 900), "Cu": (800, 900), "F": (900, 900),
    "Fe": (500, 900), "H": (500, 550), "In": (500, 550), "K": (350, 450), "Li": (300, 300),
    "Mg": (450, 500), "N": (800, 900), "Na": (300, 300), "Ni": (450, 550), "O": (700, 800),
    "P": (300, 300), "S": (300, 300), "Si": (300, 300), "Te": (300, 300), "Ti": (450, 800),
    "Zn": (450, 500),
}  # fmt: skip

#: For elements that were not measured.
HIGHEST = (900, 900)


def recommended_cutoffs(elements: Iterable[str]) -> tuple[float, float]:
    """
    Cutoffs for a set of elements.

    Parameters
    ----------
    elements : iterable of str
        Symbols.

    Returns
    -------
    tuple of float
        What dynamics begin with where none was found or given, and what is safe for relaxing
        cells, in eV.
    """
    rows = [CUTOFFS.get(element, HIGHEST) for element in elements]
    return float(max(row[0] for row in rows)), float(max(row[1] for row in rows))
