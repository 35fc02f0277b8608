"""What a stage behind the training is given by the chain, and what the chain asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jobflow import Flow, Job, OutputReference
    from pymatgen.core import Structure

    from workflows.composition import Target
    from workflows.engines.base import Engine
    from workflows.stages.cost import Cost, CostContext


@dataclass(frozen=True)
class ChainContext:
    """
    What a prediction is about, and what its stages have given so far.

    Attributes
    ----------
    target : Target
        Composition and formula units.
    reference : Engine
        Gives the energies that count.
    seed : int
        Seed of the campaign.
    outputs : dict of str to OutputReference
        By stage, in the order in which they run.
    makers : Mapping of str to Maker
        By stage, for a stage that makes others run again.
    known : Mapping of str to Structure
        Known phases of a system, by their labels.
    """

    target: Target
    reference: Engine
    seed: int
    outputs: dict[str, OutputReference] = field(default_factory=dict)
    makers: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Structure] = field(default_factory=dict)

    @property
    def previous(self) -> OutputReference:
        """Output of the stage before: of the search, or of what has worked on its result since."""
        return list(self.outputs.values())[-1]

    def after(self, stage: str, output: OutputReference) -> ChainContext:
        """Return the context of the next stage."""
        return replace(self, outputs={**self.outputs, stage: output})


class FollowingMaker(Protocol):
    """Maker of a stage behind the training."""

    def follow(self, context: ChainContext) -> Job | Flow:
        """Make the jobs from what the stages before have given."""

    def cost(self, context: CostContext) -> list[Cost]:
        """Say what they are expected to cost."""


@runtime_checkable
class MayBeLeftOut(Protocol):
    """Maker of a stage that some settings leave out."""

    @property
    def left_out(self) -> bool:
        """Whether the chain goes on without it."""


@runtime_checkable
class HandsOn(Protocol):
    """Maker of a stage after which the costs of the later ones depend on other numbers."""

    def hand_on(self, context: CostContext) -> CostContext:
        """Return the context of the next stage, with the number of crystals left for example."""
