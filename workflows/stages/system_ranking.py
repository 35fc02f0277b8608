"""Ranking the crystals of a chemical system: by how far each lies above the convex hull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Composition

from search.state.fitness import Fitness, better_first
from search.state.motifs import number_motifs
from workflows.conversion import to_atoms
from workflows.documents.hull import HullDocument, Reference
from workflows.documents.prediction import CandidateDocument
from workflows.documents.search import KNOWN
from workflows.hull import PartialPhaseDiagram, Point, products_in_words
from workflows.stages.ranking import distinct, enthalpy_of, fitness_of, is_same
from workflows.stages.refinement import Refined, Refinement, in_standard_cell
from workflows.system import SystemTarget, formation_energy, reference_energies

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: Elements that are molecules in their crystals, or without one at usual pressures.
MOLECULAR = ("H", "N", "O", "F", "Cl", "Br", "I")
#: Bonds of molecules against the sum of covalent radii, at the most.
BOND = 1.3
#: meV/atom above the hull up to which a crystal is on it.
ON_HULL = 1e-3


@dataclass(frozen=True)
class SystemRanking:
    """
    Ranks crystals of one pressure.

    Parameters
    ----------
    target : SystemTarget
        What was looked for, at that pressure.
    engine : str
        Name of what relaxed all of them.
    fitness : Fitness
        What compares crystals of one composition.
    symmetry_energy : float
        By which a more symmetric structure may be higher, eV/atom.
    """

    target: SystemTarget
    engine: str
    fitness: Fitness
    symmetry_energy: float

    def rank(
        self, rows: Sequence[CandidateDocument], refined: Sequence[Refined] = ()
    ) -> tuple[list[CandidateDocument], list[CandidateDocument], HullDocument]:
        """
        Take each structure once, put all on one hull, and rank them by their distance from it.

        Parameters
        ----------
        rows : sequence of CandidateDocument
            As relaxed; those without an energy are left out. Known phases say so.
        refined : sequence of Refined
            More symmetric structures of the rows.

        Returns
        -------
        tuple
            What was found, from the hull upwards; known phases alike; and the hull of both.

        Raises
        ------
        ValueError
            If one was relaxed by another engine, whose energies do not compare.
        """
        others = sorted({row.engine for row in rows} - {self.engine})
        if others:
            raise ValueError(
                f"a hull is of one engine: energies of {', '.join(others)} do not compare with "
                f"those of {self.engine}"
            )
        chosen = Refinement(self.symmetry_energy, self.fitness).choose(rows, refined)
        final = [
            in_standard_cell(row, int(Composition(row.formula).num_atoms))
            for row in chosen
            if row.energy is not None
        ]
        known = [row for row in final if row.found_by == KNOWN]
        found = self._distinct([row for row in final if row.found_by != KNOWN])
        for row in found:
            same = (o for o in known if o.formula == row.formula and is_same(row, o))
            row.known = next((one.known for one in same), None)
        hull = self._place([*found, *known], known)
        ranked = better_first(found, lambda row: row.above_hull)
        motifs = number_motifs([to_atoms(row.structure) for row in ranked])
        for rank, (row, motif) in enumerate(zip(ranked, motifs, strict=True), start=1):
            row.rank, row.motif = rank, motif
        return ranked, better_first(known, lambda row: row.above_hull), hull

    def _distinct(self, rows: Sequence[CandidateDocument]) -> list[CandidateDocument]:
        """One of each structure, by composition, with its distance from the best of that."""
        kept: list[CandidateDocument] = []
        for formula in dict.fromkeys(row.formula for row in rows):
            own = distinct([row for row in rows if row.formula == formula], self.symmetry_energy)
            for row in own:
                row.energy_above_best = (fitness_of(row) - fitness_of(own[0])) * 1000
            kept += own
        return kept

    def _place(
        self, rows: Sequence[CandidateDocument], known: Sequence[CandidateDocument]
    ) -> HullDocument:
        """Say of all rows how far above the hulls they lie, and describe the one of all."""
        if not rows:
            return HullDocument(
                engine=self.engine, pressure=self.target.pressure,
                blocks=list(self.target.block_formulas), fractions={}, references=[], stable=[],
            )  # fmt: skip
        hull = PartialPhaseDiagram([_point(row) for row in rows])
        of_known = PartialPhaseDiagram([_point(row) for row in known]) if known else None
        references = self._references(rows)
        energies = reference_energies(self.target, {one.formula: one.energy for one in references})
        for row in rows:
            point = _point(row)
            row.above_hull = _milli(hull.above(point))
            row.above_known = None if of_known is None else _milli(of_known.above(point))
            row.formation_energy = formation_energy(self.target, *point, energies)
            on_hull = row.above_hull is not None and row.above_hull < ON_HULL
            row.reaction = None if on_hull else self._reaction(row.formula, hull)
        formulas = dict.fromkeys(row.formula for row in rows)
        return HullDocument(
            engine=self.engine,
            pressure=self.target.pressure,
            blocks=list(self.target.block_formulas),
            fractions={formula: self.target.fractions(formula).tolist() for formula in formulas},
            references=references,
            stable=sorted(hull.stable, key=lambda formula: tuple(-self.target.fractions(formula))),
            notes=self._notes(rows, references),
        )

    def _reaction(self, formula: str, hull: PartialPhaseDiagram) -> str:
        products = hull.products(formula)
        if products is not None and list(products) == [formula]:
            return f"becomes a lower structure of {formula}"
        return products_in_words(formula, products)

    def _references(self, rows: Sequence[CandidateDocument]) -> list[Reference]:
        """The lowest crystals of the blocks."""
        found = []
        for formula in self.target.block_formulas:
            own = [row for row in rows if row.formula == formula]
            if own:
                best = min(own, key=enthalpy_of)
                found.append(
                    Reference(
                        formula=formula, energy=enthalpy_of(best), space_group=best.space_group,
                        known=best.known,
                    )
                )  # fmt: skip
        return found

    def _notes(
        self, rows: Sequence[CandidateDocument], references: Sequence[Reference]
    ) -> list[str]:
        notes = []
        there = {one.formula for one in references}
        for block in self.target.block_formulas:
            if block not in there:
                notes.append(
                    f"there is no crystal of {block}: nothing can be counted from it, and what "
                    "would give it off is not seen to; give one by --known"
                )
            elif block in MOLECULAR:
                best = min((row for row in rows if row.formula == block), key=enthalpy_of)
                notes.append(_on_molecules(block, self.engine, best.structure))
        return notes


def _on_molecules(element: str, engine: str, structure: Structure) -> str:
    """Say what the reference of an element is whose crystals are of molecules."""
    length = bond_of_pairs(structure)
    what = (
        f"molecules with a bond of {length:.2f} Å"
        if length is not None
        else f"no molecules {element}2, which were out of reach of this search"
    )
    return (
        f"the reference of {element} consists of {what}; {engine} may be far off for molecules, so "
        f"that distances from the hull are uncertain where {element} alone is among the products"
    )


def bond_of_pairs(structure: Structure) -> float | None:
    """
    Length of the bonds of a crystal of diatomic molecules.

    Parameters
    ----------
    structure : Structure
        Of one element.

    Returns
    -------
    float or None
        Å, the mean; none if not every atom has exactly one neighbour.
    """
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    atoms = to_atoms(structure)
    cutoff = 2 * BOND * float(covalent_radii[atoms.numbers[0]])
    first, lengths = neighbor_list("id", atoms, cutoff)
    if (np.bincount(first, minlength=len(atoms)) != 1).any():
        return None
    return float(lengths.mean())


def _point(row: CandidateDocument) -> Point:
    return Point(row.formula, enthalpy_of(row))


def _milli(value: float | None) -> float | None:
    # what is on the hull is there but for rounding
    return None if value is None else 1000 * value if abs(value) > 1e-9 else 0.0
