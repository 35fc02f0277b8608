"""
Whether two crystals are the same structure, for the search and for its final candidates.

Tolerances differ with how well the structures are relaxed. Those of a search end at 0.1 eV/Å and
20 kbar, by the thousand, so that a fingerprint sorts out most pairs and atoms are compared loosely.
Candidates end at 0.02 eV/Å and 4 kbar at the reference level; there the matcher may be stricter,
but energies may not: the same crystal in another cell has other k-points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search.cells import may_be_supercell
from search.create.operators import plain_sorted

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Lattice, Structure


class MatchTolerances(NamedTuple):
    """
    How far two structures may differ and still be the same for pymatgen's StructureMatcher.

    Attributes
    ----------
    length : float
        Lattice vectors, as a fraction.
    site : float
        Root mean square displacement, in units of the cube root of the volume per atom.
    angle : float
        Lattice angles, degrees.
    """

    length: float
    site: float
    angle: float


LOOSELY_RELAXED = MatchTolerances(length=0.2, site=0.3, angle=5.0)
"""For structures of a search; pymatgen's own."""
TIGHTLY_RELAXED = MatchTolerances(length=0.15, site=0.2, angle=4.0)
"""For candidates relaxed at the reference level."""
REFERENCE_ENERGY_TOLERANCE = 0.005
"""eV/atom within which two candidates at the reference level may be the same structure; k-meshes
of different cells make that much. The search has its own setting, `energy_tolerance`."""
SURE_DISTANCE = 0.003
"""Fingerprint distance below which structures of alike energies need no comparison of atoms."""
PSEUDO_TRANSLATION = 0.1
"""Å by which atoms may miss a translation that still makes a smaller cell. At pymatgen's 0.25 one
of two crystals that are nearly the same may get a smaller cell than the other."""


def reduced_structure(atoms: Atoms, *, primitive: bool = True) -> Structure:
    """Reduced cell of a crystal: the primitive one, or with all its atoms."""
    from pymatgen.io.ase import AseAtomsAdaptor

    plain = plain_sorted(atoms)
    structure = AseAtomsAdaptor.get_structure(plain)
    # pymatgen's own search takes ten times as long as to see that there is nothing to find
    if primitive and may_be_supercell(plain, 5 * PSEUDO_TRANSLATION):
        structure = structure.get_primitive_structure(PSEUDO_TRANSLATION)
    return structure.get_reduced_structure()


def match(
    one: Structure,
    other: Structure,
    tolerances: MatchTolerances,
    *,
    primitive: bool = True,
    reduced: bool = False,
) -> bool:
    """
    Whether one crystal can be mapped onto the other.

    Parameters
    ----------
    one, other : pymatgen.core.Structure
        In any cells.
    tolerances : MatchTolerances
        What may differ.
    primitive : bool
        Whether primitive cells are looked for first.
    reduced : bool
        Whether the cells are reduced ones already, and primitive if that is asked for.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    if reduced and not _lattices_match(one.lattice, other.lattice, tolerances):
        return False
    matcher = StructureMatcher(
        ltol=tolerances.length,
        stol=tolerances.site,
        angle_tol=tolerances.angle,
        primitive_cell=primitive,
    )
    return bool(matcher.fit(one, other, skip_structure_reduction=reduced))


def _lattices_match(one: Lattice, other: Lattice, tolerances: MatchTolerances) -> bool:
    """
    Whether a lattice can be mapped onto another, which the matcher asks for, too.

    It copies both structures before: this takes a tenth of its time, and most pairs go no further.
    """
    scaled = one.scale(other.volume)
    mappings = scaled.find_all_mappings(
        other, ltol=tolerances.length, atol=tolerances.angle, skip_rotation_matrix=True
    )
    return any(abs(abs(np.linalg.det(matrix)) - 1.0) < 0.5 for _, _, matrix in mappings)
