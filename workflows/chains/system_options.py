"""What a campaign of a chemical system spends, beside that of a formula."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from monty.json import MSONable

from workflows.chains.labelling_rounds import ActiveLearning
from workflows.stages.candidates import CandidateMaker
from workflows.stages.improve import ImproveMaker
from workflows.stages.search import SearchMaker
from workflows.stages.simple_crystals import SimpleCrystalsMaker


class Spending(Protocol):
    """The part of a chain whose numbers count evaluations."""

    active: ActiveLearning
    search: SearchMaker
    improve: ImproveMaker
    candidates: CandidateMaker


Chain = TypeVar("Chain", bound=Spending)


@dataclass(frozen=True)
class SystemOptions(MSONable):
    """
    Melts of a system, and the part of a formula's evaluations that goes to each.

    Compositions teach each other: the numbers of labels, relaxations and candidates are those of a
    formula, times the number of melts, times the effort.

    Parameters
    ----------
    melts : int or None
        Compositions that are melted; none: two for each block and one more.
    effort : float
        At each of them, beside a campaign of a formula.
    simple : SimpleCrystalsMaker
        Crystals of the ends that the reference engine tries before there is a potential.
    """

    melts: int | None = field(
        default=None,
        metadata={
            "range": (2, 100),
            "help": "compositions of a system that are melted; none: 2 a block and 1 more",
        },
    )
    effort: float = field(
        default=0.5,
        metadata={
            "range": (0.01, 10.0),
            "help": "labels, relaxations, candidates a melt of a system, beside those of a formula",
        },
    )

    simple: SimpleCrystalsMaker = field(
        default_factory=SimpleCrystalsMaker, metadata={"inline": True}
    )

    def spread(self, maker: Chain, compositions: int) -> Chain:
        """
        Return a chain with the numbers of a formula made those of a system.

        Parameters
        ----------
        maker : dataclass
            With the numbers of a formula.
        compositions : int
            That are melted.
        """
        times = max(1.0, self.effort * compositions)
        improve, candidates = maker.improve, maker.candidates
        return replace(  # type: ignore[type-var]
            maker,
            # which are counted by melt
            active=replace(maker.active, labels=_scaled(maker.active.labels, self.effort)),
            search=replace(maker.search, n_best=_scaled(maker.search.n_best, times)),
            improve=replace(
                improve,
                relaxations=_scaled(improve.relaxations, times),
                labels=_scaled(improve.labels, times),
                choice=replace(
                    improve.choice, n_strained=_scaled(improve.choice.n_strained, times)
                ),
                budget=None if improve.budget is None else _scaled(improve.budget, times),
            ),
            candidates=replace(
                candidates,
                n_candidates=_scaled(candidates.n_candidates, times),
                budget=None if candidates.budget is None else _scaled(candidates.budget, times),
            ),
        )


def _scaled(number: int, times: float) -> int:
    """Round up what is there, and leave nothing where there is nothing."""
    return max(1, round(number * times)) if number else 0
