"""Sample cheaply, label dearly: rounds of fast dynamics, few reference labels, and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from jobflow import Flow, Job, OutputReference, job
from monty.json import MSONable
from pymatgen.core import Structure

from workflows.documents.schemas import TrainingDocument
from workflows.engines.base import Engine
from workflows.engines.potential import PotentialEngine
from workflows.jobs.tags import POTENTIAL_QUEUE, derive_seed, label
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.labelling import LabellingMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.selection import SelectionMaker
from workflows.stages.training import TrainingMaker


@dataclass(frozen=True)
class Disordered:
    """
    Jobs from a melt to its annealed glass, by one engine.

    Attributes
    ----------
    jobs : list of Job or Flow
    structure : OutputReference
        The liquid at its melting temperature.
    segments : list of OutputReference
        Lists of segments of liquid, quench and anneal.
    search_runs : list of OutputReference
        Lists of jobs that searched melting temperature and volume.
    """

    jobs: list[Job | Flow]
    structure: OutputReference
    segments: list[OutputReference]
    search_runs: list[OutputReference]


@dataclass(frozen=True)
class Learnt:
    """
    What the rounds end with.

    Attributes
    ----------
    earlier : list of Job or Flow
        All jobs but the two that follow.
    sample : Job or Flow
        Its output is a :class:`~workflows.documents.schemas.SampleDocument` of all labelled frames.
    train : Job
        Its output is a :class:`~workflows.documents.schemas.TrainingDocument`.
    """

    earlier: list[Job | Flow]
    sample: Job | Flow
    train: Job


@dataclass
class ActiveLearning(MSONable):
    """
    Learn from few reference labels on frames of fast dynamics.

    In the first round a sampler makes the trajectories, in the later ones the potential of the
    round before, which by then knows the reference's volumes and temperatures: each round searches
    melting temperature and volume anew. Of each round's frames some are labelled, and a potential
    is trained on all labels so far.

    Parameters
    ----------
    rounds
        None: the reference engine makes the trajectories itself, and all frames are its own.
    labels
        Reference labels of each round.
    select, label
        Which frames are labelled, and how.
    max_uncertainty, closest
        Where dynamics by the potential stops, see
        :class:`~workflows.engines.potential.PotentialEngine`.
    """

    rounds: int = field(
        default=0,
        metadata={"help": "of sampling, labelling and training; 0: dynamics by the reference"},
    )
    labels: int = field(
        default=190, metadata={"positive": True, "help": "reference labels of each round"}
    )
    select: SelectionMaker = field(default_factory=SelectionMaker)
    label: LabellingMaker = field(default_factory=LabellingMaker)
    max_uncertainty: float = field(
        default=0.1,
        metadata={
            "positive": True,
            "unit": "eV/atom",
            "help": "ends dynamics by the potential; needs train.options.members above 1",
        },
    )
    closest: float = field(
        default=0.8,
        metadata={"help": "distances, relative to the shortest in training, that end them too"},
    )

    def learn(
        self,
        first: Disordered,
        disordered: Callable[[Structure | OutputReference, DynamicsMaker], Disordered],
        sample: SampleMaker,
        train: TrainingMaker,
        dynamics: DynamicsMaker,
        reference: Engine,
    ) -> Learnt:
        """
        Make all rounds.

        Parameters
        ----------
        first
            Trajectories of the sampler.
        disordered
            Makes trajectories from a liquid, for the later rounds.
        sample
            Collects their frames.
        train
            Trains the potential.
        dynamics
            Makes the sampler's runs; its seed is the campaign's.
        reference
            Labels.
        """
        jobs: list[Job | Flow] = []
        sampled = first
        labels: Flow | None = None
        fit: Job | None = None
        for number in range(self.rounds):
            name = f" round {number + 1}"
            if fit is not None:
                begin = label(self.begin(first.structure, fit.output), "melting_temperature")
                begin.name = name.strip()
                engine = PotentialEngine(
                    potential=fit.uuid, max_uncertainty=self.max_uncertainty, closest=self.closest
                )
                seed = derive_seed(dynamics.seed, "round", number)
                sampled = disordered(
                    begin.output,
                    replace(dynamics, engine=engine, queue=POTENTIAL_QUEUE, seed=seed),
                )
                jobs += [begin, *sampled.jobs]
            chosen = self.select.make(
                sampled.segments,
                sampled.search_runs if sample.include_search_runs else [],
                sample,
                self.labels,
                derive_seed(dynamics.seed, "select", number),
                labelled=None if labels is None else labels.output.frames,
                potential=None if fit is None else fit.output.potential,
            )
            labels = self.label.make(
                chosen.output, self.labels, reference, None if labels is None else labels.output
            )
            fit = train.make(labels.output.frames, seed=dynamics.seed)
            for part in (chosen, labels, fit):
                part.name += name
            jobs += [chosen, labels, fit] if number < self.rounds - 1 else [chosen]
        if labels is None or fit is None:
            raise ValueError("active learning needs at least one round")
        return Learnt(jobs, labels, fit)

    @job
    def begin(
        self,
        structure: Structure,
        training: TrainingDocument,  # noqa: ARG002 (the round waits for its potential)
    ) -> Structure:
        """Pass on the structure that a round starts from, once its potential is there."""
        return structure
