"""Sample cheaply, label dearly: rounds of fast dynamics, few reference labels, and training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jobflow import Flow, Job, OutputReference, job
from monty.json import MSONable
from pymatgen.core import Structure

from workflows.chains.melt_quench import MeltQuenchRuns
from workflows.documents.training import TrainingDocument
from workflows.engines.base import Engine, StepCost
from workflows.engines.potential import NETWORK_SECONDS, PotentialEngine
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.labelling import LabellingMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.selection import SelectionMaker
from workflows.stages.table import STAGES
from workflows.stages.training import TrainingMaker


@dataclass(frozen=True)
class LearningOutcome:
    """
    Training set and potential, and the jobs that lead to them.

    Attributes
    ----------
    earlier : list of Job or Flow
        All jobs but the two that follow.
    sample : Job or Flow
        Its output is a :class:`~workflows.documents.training.SampleDocument` of all labelled
        frames.
    train : Job
        Its output is a :class:`~workflows.documents.training.TrainingDocument`.
    """

    earlier: list[Job | Flow]
    sample: Job | Flow
    train: Job


@dataclass
class ActiveLearning(MSONable):
    """
    Learn from few reference labels on frames of fast dynamics.

    It is active learning, in the field's word and in the paths of its settings, ``active.rounds``
    for example: the potential has a say in which frames it learns from next.

    In the first round a sampler makes the trajectories, in the later ones the potential of the
    round before, which by then knows the reference's volumes and temperatures: each round searches
    melting temperature and volume anew. Of each round's frames some are labelled, and a potential
    is trained on all labels so far.

    Parameters
    ----------
    rounds : int
        None: the reference engine makes the trajectories itself, and all frames are its own.
    labels : int
        Reference labels of each round; where there are several melts, for each of them.
    select, label : SelectionMaker, LabellingMaker
        Which frames are labelled, and how.
    max_uncertainty, closest : float
        Where dynamics by the potential stops, see
        :class:`~workflows.engines.potential.PotentialEngine`.
    """

    rounds: int = field(
        default=0,
        metadata={
            "range": (0, 50),
            "help": "of sampling, labelling and training; 0: dynamics by the reference",
        },
    )
    labels: int = field(
        default=190, metadata={"range": (1, 100_000), "help": "reference labels of each round"}
    )
    select: SelectionMaker = field(default_factory=SelectionMaker)
    label: LabellingMaker = field(default_factory=LabellingMaker)
    max_uncertainty: float = field(
        default=0.1,
        metadata={
            "range": (1e-4, 10.0),
            "unit": "eV/atom",
            "help": "ends dynamics by the potential; needs train.options.members above 1",
        },
    )
    closest: float = field(
        default=0.8,
        metadata={
            "range": (0.0, 1.0),
            "help": "distances, relative to the shortest in training, that end them too",
        },
    )

    def learn(
        self,
        first: MeltQuenchRuns,
        melt_quench: Callable[[Sequence[OutputReference], DynamicsMaker], MeltQuenchRuns],
        sample: SampleMaker,
        train: TrainingMaker,
        dynamics: DynamicsMaker,
        reference: Engine,
        crystals: OutputReference | None = None,
    ) -> LearningOutcome:
        """
        Make all rounds.

        Parameters
        ----------
        first : MeltQuenchRuns
            Trajectories of the sampler.
        melt_quench : callable
            Makes trajectories from these liquids, for the later rounds.
        sample : SampleMaker
            Collects their frames.
        train : TrainingMaker
            Trains the potential.
        dynamics : DynamicsMaker
            Makes the sampler's runs; its seed is the campaign's.
        reference : Engine
            Labels.
        crystals : OutputReference or None
            Of a :class:`~workflows.documents.simple_crystals.SimpleCrystalsDocument`, whose frames
            are labels of the first round, too.

        Returns
        -------
        LearningOutcome
            Of the last round.

        Raises
        ------
        ValueError
            If there is no round to make.
        """
        jobs: list[Job | Flow] = []
        number_of_labels = self.labels * len(first.structures)
        sampled = first
        labels: Flow | None = None
        fit: Job | None = None
        for number in range(self.rounds):
            name = f" round {number + 1}"
            if fit is not None:
                begin = [
                    tag(self.begin(structure, fit.output), STAGES["melting_temperature"])
                    for structure in first.structures
                ]
                for work in begin:
                    work.name = name.strip()
                seed = derive_seed(dynamics.seed, "round", number)
                runs = replace(self.by_potential(dynamics, fit.uuid, train), seed=seed)
                sampled = melt_quench([work.output for work in begin], runs)
                jobs += [*begin, *sampled.jobs]
            chosen = self.select.make(
                sampled.segments,
                sampled.search_runs if sample.include_search_runs else [],
                sample,
                number_of_labels,
                derive_seed(dynamics.seed, "select", number),
                labelled=None if labels is None else labels.output.frames,
                potential=None if fit is None else fit.output.potential,
            )
            labels = self.label.make(
                chosen.output,
                number_of_labels,
                reference,
                None if labels is None else labels.output,
                crystals=crystals if number == 0 else None,
            )
            fit = train.make(labels.output.frames, seed=dynamics.seed)
            for part in (chosen, labels, fit):
                part.name += name
            jobs += [chosen, labels, fit] if number < self.rounds - 1 else [chosen]
        if labels is None or fit is None:
            raise ValueError("active learning needs at least one round")
        return LearningOutcome(jobs, labels, fit)

    def by_potential(
        self, dynamics: DynamicsMaker, potential: str, train: TrainingMaker
    ) -> DynamicsMaker:
        """
        Let a potential drive the dynamics.

        Parameters
        ----------
        dynamics : DynamicsMaker
            Of another engine.
        potential : str
            Job that trained the potential.
        train : TrainingMaker
            Says how many networks the potential has.
        """
        engine = PotentialEngine(
            cost=StepCost(NETWORK_SECONDS * train.options.members),
            potential=potential,
            max_uncertainty=self.max_uncertainty,
            closest=self.closest,
        )
        return replace(dynamics, engine=engine, queue=POTENTIAL_QUEUE)

    def cost(
        self,
        context: CostContext,
        melt_quench: Callable[[CostContext, DynamicsMaker], list[Cost]],
        train: TrainingMaker,
        dynamics: DynamicsMaker,
        ends_with_sample: bool,
    ) -> list[Cost]:
        """
        Expected cost of all rounds but the first trajectories.

        Parameters
        ----------
        context : CostContext
        melt_quench : callable
            Cost of the trajectories of one round.
        train : TrainingMaker
        dynamics : DynamicsMaker
            Of the sampler.
        ends_with_sample : bool
            Whether the last training is left out.
        """
        costs: list[Cost] = []
        melts = context.n_melts
        for number in range(self.rounds):
            if number:
                costs.append(decisions("melting_temperature", melts))
                costs += melt_quench(context, self.by_potential(dynamics, "", train))
            costs += [*self.select.cost(), *self.label.cost(context, melts * self.labels)]
            if number < self.rounds - 1 or not ends_with_sample:
                costs += train.cost(replace(context, n_frames=melts * self.labels * (number + 1)))
        return costs

    @job
    def begin(
        self,
        structure: Structure,
        training: TrainingDocument,  # noqa: ARG002 (the round waits for its potential)
    ) -> Structure:
        """Pass on the structure that a round starts from, once its potential is there."""
        return structure
