"""A melt-quench by the potential between rounds of learning from a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from monty.json import MSONable

from nnp.frames import Frames
from nnp.potential import Potential
from workflows.conversion import to_structure
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.training import SampleDocument
from workflows.engines.base import StepCost
from workflows.engines.potential import NETWORK_SECONDS, PotentialEngine
from workflows.jobs.outputs import output_of
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.jobs.tags import derive_seed
from workflows.stages.cost import Cost, CostContext
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.learning_state import LearningChain, LearningState
from workflows.stages.sample import SampleMaker
from workflows.stages.selection import SelectionMaker, thin

if TYPE_CHECKING:
    from jobflow import Flow
    from pymatgen.core import Structure

#: Stage of the frames that are labelled.
MELT_QUENCH = "melt_quench"
#: K, at the end of the quench.
COLD = 300.0


@dataclass(frozen=True)
class MeltAgain(MSONable):
    """
    Melt and quench by the potential of a round, and choose frames for labels.

    It begins with the last frame of the liquid in the training set, at its volume. Where the
    potential knows nothing the run ends, and keeps the frames before.

    Parameters
    ----------
    melt_quench : int
        Labels of a round, besides those of the search. 0: no melt-quench.
    superheating : float
        Temperature of the melt in units of the melting temperature.
    melt_duration : float
        ps
    quench_rate : float
        K/ps; slow ones cost little.

    References
    ----------
    C. Hong et al., Phys. Rev. B 102, 224104 (2020), III.C: the second way to better potentials.
    """

    melt_quench: int = field(
        default=0,
        metadata={
            "range": (0, 100_000),
            "unit": "",
            "help": "static labels of a round besides, of a melt-quench by the potential; 0: none",
        },
    )
    superheating: float = field(
        default=1.2,
        metadata={
            "range": (0.1, 10.0),
            "unit": "T_m",
            "help": "temperature of the melt in a round's melt-quench",
        },
    )
    melt_duration: float = field(
        default=2.0, metadata={"range": (0.001, 1e5), "unit": "ps", "help": "of that melt"}
    )
    quench_rate: float = field(
        default=100.0, metadata={"range": (0.01, 1e5), "unit": "K/ps", "help": "of that quench"}
    )

    def make(self, chain: LearningChain, state: LearningState) -> list[Flow]:
        """
        Run the dynamics, if there are to be labels of it; within a job that has the job store.

        Parameters
        ----------
        chain : LearningChain
            With the campaign's dynamics.
        state : LearningState
            Before the round.

        Returns
        -------
        list of Flow
            Melt and quench, as :meth:`DynamicsMaker.make` makes them; none if no frame of the
            training set has a temperature.
        """
        if not self.melt_quench or chain.dynamics is None:
            return []
        sample: SampleDocument = output_of(state.sample)
        start = hot_start(sample.frames)
        if start is None:
            return []
        structure, melting_temperature = start
        number = len(state.rounds)
        runs = replace(
            by_potential(chain.dynamics, set(chain.target.elements), state.potential),
            seed=derive_seed(chain.seed, MELT_QUENCH, number),
        )
        hot, key = self.superheating * melting_temperature, str(number + 1)
        melt = runs.make(
            structure, hot, self.melt_duration, "improve", key=f"{key} melt", new_velocities=True
        )
        quench = runs.make(
            melt.output["structure"], hot, self.ramp_duration(hot), "improve",
            end_temperature=min(COLD, hot), key=f"{key} quench",
        )  # fmt: skip
        return [melt, quench]

    def ramp_duration(self, temperature: float) -> float:
        """Length of the quench in ps, from a temperature in K."""
        return max(0.0, temperature - COLD) / self.quench_rate

    def choose(
        self,
        runs: Sequence[Sequence[SegmentDocument]],
        select: SelectionMaker,
        seed: int,
        labelled: Frames,
        potential: Potential,
    ) -> Frames:
        """
        Choose frames for labels, as rounds on dynamics do.

        Parameters
        ----------
        runs : sequence of sequences of SegmentDocument
            Segments of melt and quench.
        select : SelectionMaker
            Chooses.
        seed : int
            Of volumes.
        labelled : Frames
            With labels, or chosen already.
        potential : Potential
            Of the round.

        Returns
        -------
        Frames
            Without labels, of the stage ``"melt_quench"``.
        """
        # melt and quench have equal shares, as stages have
        found = [
            replace(one.frames, stages=np.full(len(one.frames), str(phase)))
            for phase, run in enumerate(runs)
            for one in run
            if len(one.frames)
        ]
        pool = SampleMaker().usable(thin(Frames.concatenate(found), select.pool))
        if not len(pool):
            return pool
        plain, scaled, _ = select.select(pool, self.melt_quench, seed, labelled, potential)
        chosen = Frames.concatenate([plain, scaled])
        return replace(chosen, stages=np.full(len(chosen), MELT_QUENCH))

    def require_size(self, dynamics: DynamicsMaker, highest: float, rounds: int) -> None:
        """
        Raise a ValueError if rounds make more segments or frames than a campaign can hold.

        Parameters
        ----------
        dynamics : DynamicsMaker
            Of the campaign.
        highest : float
            Melting temperature that is not exceeded, K.
        rounds : int
            Of learning.
        """
        if self.melt_quench and rounds:
            duration = self.melt_duration + self.ramp_duration(self.superheating * highest)
            dynamics.require_size(rounds * duration)

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost of the dynamics of one round; nothing if there is none."""
        if not self.melt_quench:
            return []
        makers = context.makers
        members = makers["train"].options.members
        runs = by_potential(makers["dynamics"], set(context.target.elements), members=members)
        hot = self.superheating * makers["melting_temperature"].expected_temperature
        durations = self.melt_duration, self.ramp_duration(hot)
        return [runs.cost(context, "improve", 1, duration) for duration in durations]


def by_potential(
    dynamics: DynamicsMaker, elements: set[str], potential: str = "", members: int = 1
) -> DynamicsMaker:
    """
    Let a potential drive the dynamics.

    Parameters
    ----------
    dynamics : DynamicsMaker
        Of another engine, or of none.
    elements : set of str
        That settle the time step.
    potential : str
        Job that trained it.
    members : int
        Networks that it has, for estimates.
    """
    engine = PotentialEngine(cost=StepCost(NETWORK_SECONDS * members), potential=potential)
    return replace(dynamics, engine=engine, queue=POTENTIAL_QUEUE).for_elements(elements)


def hot_start(frames: Frames) -> tuple[Structure, float] | None:
    """
    Find where a melt can begin, and the melting temperature.

    Parameters
    ----------
    frames : Frames
        Training set, in the order of rounds.

    Returns
    -------
    tuple or None
        The last frame of the liquid and its temperature in K; of a set without one the last of
        the hottest frames; none if no frame has a temperature.
    """
    hot = np.isfinite(frames.temperatures) & (frames.temperatures > 0)
    liquid = hot & (frames.stages == "liquid")
    rows = np.flatnonzero(liquid if liquid.any() else hot)
    if not len(rows):
        return None
    if not liquid.any():
        rows = rows[frames.temperatures[rows] >= frames.temperatures[rows].max() - 1e-6]
    frame = frames[rows[-1:]]
    return to_structure(frame.to_atoms()[0]), float(frame.temperatures[0])
