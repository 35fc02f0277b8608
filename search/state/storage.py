"""The state of a search as a document, and back: what its options and seed do not say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from search.candidate import Candidate, pack_atoms, unpack_atoms
from search.state.antiseeds import Antiseeds
from search.state.individual import NewBest
from search.state.individual_table import IndividualTable

if TYPE_CHECKING:
    from search.state.evolution import Evolution


def pack(evolution: Evolution) -> dict[str, Any]:
    """Everything that a search has become, ready for JSON."""
    return {
        "seeds": [pack_atoms(atoms) for atoms in evolution.seeds],
        "migrants": evolution.migrants,
        "rng": json.dumps(evolution.rng.bit_generator.state),
        "generation": evolution.generation,
        "adaptation": evolution.adaptation.state(),
        "best_history": [list(entry) for entry in evolution.best_history],
        "novelty": evolution.novelty.pack(),
        "shares": evolution.shares.state(),
        "share_history": evolution.share_history.pack(),
        "antiseeds": evolution.antiseeds.pack(),
        # as pairs: reasons may hold dots, which no document database takes in keys
        "discards": sorted([reason, n] for reason, n in evolution.discards.items()),
        "individuals": evolution.individuals.pack(),
        "lineages": evolution.lineages.pack(),
        "unknown": evolution.unknown.pack(),
        "went_on": sorted(evolution.went_on),
        "pending": [candidate.pack() for candidate in evolution.pending],
    }


def restore(evolution: Evolution, d: dict[str, Any]) -> None:
    """
    Make a search at its start what `pack` has written down.

    Parameters
    ----------
    evolution : Evolution
        Of the same composition, options, seed and fitness.
    d : dict
        The document.

    Raises
    ------
    ValueError
        If an earlier version has written it, which laid it out otherwise.
    """
    if "went_on" not in d:
        raise ValueError("it was saved by an earlier version: start the search anew")
    evolution.seeds = [unpack_atoms(atoms) for atoms in d["seeds"]]
    evolution.migrants = d["migrants"]
    evolution.rng.bit_generator.state = json.loads(d["rng"])
    evolution.generation = d["generation"]
    evolution.adaptation.restore(d["adaptation"])
    evolution.best_history = [NewBest(*entry) for entry in d["best_history"]]
    evolution.shares.restore(d["shares"])
    evolution.share_history.restore(d["share_history"])
    evolution.antiseeds = Antiseeds.unpack(d["antiseeds"])
    evolution.discards.update(dict(d["discards"]))
    evolution.individuals = IndividualTable.unpack(d["individuals"])
    evolution.lineages.restore(d["lineages"], evolution.individuals)
    # earlier states had none of these two
    if "unknown" in d:
        evolution.unknown.restore(d["unknown"], evolution.individuals)
    if "novelty" in d:
        evolution.novelty.restore(d["novelty"])
    evolution.went_on = set(d["went_on"])
    evolution.pending = [Candidate.unpack(packed) for packed in d["pending"]]
