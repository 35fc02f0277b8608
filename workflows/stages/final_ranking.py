"""Rank, motif and distance from the best of crystals that the reference engine has relaxed."""

from __future__ import annotations

from collections.abc import Sequence

from search.state.fitness import Fitness
from search.state.motifs import number_motifs
from workflows.conversion import to_atoms
from workflows.documents.prediction import CandidateDocument
from workflows.stages.ranking import distinct, fitness_of
from workflows.stages.refinement import Refined, Refinement, in_standard_cell


def rank_rows(
    rows: Sequence[CandidateDocument],
    refined: Sequence[Refined],
    unit: int,
    fitness: Fitness,
    symmetry_energy: float,
) -> list[CandidateDocument]:
    """
    Take each structure once, refined, in its standard cell; rank them and number their motifs.

    Parameters
    ----------
    rows : sequence of CandidateDocument
        Relaxed at one pressure; those without an energy are left out.
    refined : sequence of Refined
        More symmetric structures of the rows.
    unit : int
        Atoms of a formula unit.
    fitness : Fitness
        What ranks them.
    symmetry_energy : float
        By which a more symmetric structure may be higher, eV/atom.

    Returns
    -------
    list of CandidateDocument
        From best to worst.
    """
    chosen = Refinement(symmetry_energy, fitness).choose(rows, refined)
    final = [in_standard_cell(row, unit) for row in chosen if row.energy is not None]
    ranked = distinct(final, symmetry_energy)
    motifs = number_motifs([to_atoms(document.structure) for document in ranked])
    for rank, (document, motif) in enumerate(zip(ranked, motifs, strict=True), start=1):
        document.rank, document.motif = rank, motif
        document.energy_above_best = (fitness_of(document) - fitness_of(ranked[0])) * 1000
    return ranked
