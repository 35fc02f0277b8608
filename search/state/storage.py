"""The state of a search as a document, and back: what its options and seed do not say."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from monty.json import MSONable

from search.candidate import Candidate, pack_atoms, unpack_atoms
from search.state.antiseeds import Antiseeds
from search.state.individual import NewBest
from search.state.individual_table import IndividualTable

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from search.state.adaptation import Adaptation
    from search.state.lineages import Lineages
    from search.state.novelty import Novelty
    from search.state.shares import OperatorShares, ShareHistory
    from search.state.unknown import UnknownStructures


class StoredState(MSONable):
    """
    What changes in the course of a search, and how it is stored.

    Attributes
    ----------
    seeds : list of ase.Atoms
        To begin with, not relaxed yet.
    prototypes : list of ase.Atoms
        Known structure types to go on with after the seeds, not relaxed yet.
    migrants : int
        Individuals that came from other islands.
    generation : int
        Generations done.
    individuals : IndividualTable
        All structures.
    best_history : list of NewBest
        Those that were better than all before them.
    novelty : Novelty
        When something new was found last.
    discards : Counter
        Structures left out, by reason.
    lineages : Lineages
        Distinct structures.
    unknown : UnknownStructures
        Those that the potential does not know.
    went_on : set of int
        Individuals that were relaxed on.
    pending : list of Candidate
        Asked for, not told of.
    """

    seeds: list[Atoms]
    prototypes: list[Atoms]
    migrants: int
    rng: np.random.Generator
    generation: int
    individuals: IndividualTable
    best_history: list[NewBest]
    discards: Counter[str]
    adaptation: Adaptation
    lineages: Lineages
    novelty: Novelty
    unknown: UnknownStructures
    shares: OperatorShares
    share_history: ShareHistory
    antiseeds: Antiseeds
    went_on: set[int]
    pending: list[Candidate]

    def pack(self) -> dict[str, Any]:
        """Everything that a search has become, ready for JSON."""
        return {
            "seeds": [pack_atoms(atoms) for atoms in self.seeds],
            "prototypes": [pack_atoms(atoms) for atoms in self.prototypes],
            "migrants": self.migrants,
            "rng": json.dumps(self.rng.bit_generator.state),
            "generation": self.generation,
            "adaptation": self.adaptation.state(),
            "best_history": [list(entry) for entry in self.best_history],
            "novelty": self.novelty.pack(),
            "shares": self.shares.state(),
            "share_history": self.share_history.pack(),
            "antiseeds": self.antiseeds.pack(),
            # as pairs: reasons may hold dots, which no document database takes in keys
            "discards": sorted([reason, n] for reason, n in self.discards.items()),
            "individuals": self.individuals.pack(),
            "lineages": self.lineages.pack(),
            "unknown": self.unknown.pack(),
            "went_on": sorted(self.went_on),
            "pending": [candidate.pack() for candidate in self.pending],
        }

    def restore(self, d: dict[str, Any]) -> None:
        """
        Make a search at its start what `pack` has written down.

        Parameters
        ----------
        d : dict
            The document, of a search of the same composition, options, seed and fitness.

        Raises
        ------
        ValueError
            If an earlier version has written it, which laid it out otherwise.
        """
        if "went_on" not in d:
            raise ValueError("it was saved by an earlier version: start the search anew")
        self.seeds = [unpack_atoms(atoms) for atoms in d["seeds"]]
        # earlier states had none to begin with
        self.prototypes = [unpack_atoms(atoms) for atoms in d.get("prototypes", [])]
        self.migrants = d["migrants"]
        self.rng.bit_generator.state = json.loads(d["rng"])
        self.generation = d["generation"]
        self.adaptation.restore(d["adaptation"])
        self.best_history = [NewBest(*entry) for entry in d["best_history"]]
        self.shares.restore(d["shares"])
        self.share_history.restore(d["share_history"])
        self.antiseeds = Antiseeds.unpack(d["antiseeds"])
        self.discards.update(dict(d["discards"]))
        self.individuals = IndividualTable.unpack(d["individuals"])
        self.lineages.restore(d["lineages"], self.individuals)
        # earlier states had none of these two
        if "unknown" in d:
            self.unknown.restore(d["unknown"], self.individuals)
        if "novelty" in d:
            self.novelty.restore(d["novelty"])
        self.went_on = set(d["went_on"])
        self.pending = [Candidate.unpack(packed) for packed in d["pending"]]
