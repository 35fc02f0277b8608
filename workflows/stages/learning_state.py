"""What the rounds of learning from a search share, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from monty.json import MSONable
from pydantic import Field

from search.relax.limits import RelaxationLimits
from workflows.composition import Target
from workflows.documents.base import Document
from workflows.documents.improvement import RelaxedStructure, RoundDocument
from workflows.documents.search import SearchCandidate
from workflows.engines.base import Engine
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.search import SearchMaker
from workflows.stages.selection import SelectionMaker
from workflows.stages.training import TrainingMaker


@dataclass(frozen=True)
class LearningChain(MSONable):
    """
    What all rounds have in common.

    Parameters
    ----------
    target : Target
        What is looked for.
    reference : Engine
        Labels and relaxes.
    seed : int
        Of the campaign.
    search, train : SearchMaker, TrainingMaker
        That are run again.
    limits : RelaxationLimits
        Where the engine's relaxations of candidates end.
    dynamics, select : DynamicsMaker or None, SelectionMaker or None
        For melt-quenches by the potential, if there are any.
    """

    target: Target
    reference: Engine
    seed: int
    search: SearchMaker
    train: TrainingMaker
    limits: RelaxationLimits
    dynamics: DynamicsMaker | None = None
    select: SelectionMaker | None = None


class LearningState(Document):
    """Where the rounds stand; ids are of jobs whose outputs hold the large things."""

    potential: str = Field(description="job that trained the present potential")
    sample: str = Field(description="job that has the training set")
    rounds: list[RoundDocument] = Field(default_factory=list, description="that are done")
    relaxed: list[RelaxedStructure] = Field(
        default_factory=list, description="in them, and ends of a system"
    )
    searched: str | None = Field(
        None, description="job that trained the potential before the round under way; none: none is"
    )
    asked: list[SearchCandidate] = Field(
        default_factory=list, description="being relaxed in the round under way"
    )
    jobs: list[str] = Field(default_factory=list, description="that relax them")

    @property
    def begun(self) -> int:
        """Rounds that have begun."""
        return len(self.rounds) + (self.searched is not None)

    @property
    def evaluations(self) -> int:
        """Evaluations of the reference engine in all rounds that are done."""
        return sum(row.evaluations for row in self.rounds)

    def in_round(
        self, potential: str, sample: str, asked: list[SearchCandidate], jobs: list[str]
    ) -> LearningState:
        """
        Return the state at the end of the round that begins now, its results aside.

        Parameters
        ----------
        potential, sample : str
            Jobs that train the next potential and that have its training set.
        asked : list of SearchCandidate
            Structures to be relaxed.
        jobs : list of str
            That relax them.
        """
        return self.model_copy(
            update={
                "searched": self.potential,
                "potential": potential,
                "sample": sample,
                "asked": asked,
                "jobs": jobs,
            }
        )
