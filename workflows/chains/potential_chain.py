"""The chain up to the potential: melt, quench, label and train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from jobflow import Flow, Job, Maker, OutputReference

from workflows.chains.labelling_rounds import ActiveLearning, LearningOutcome
from workflows.chains.melt_quench import MeltQuenchAnneal, MeltQuenchRuns
from workflows.chains.melts import Melt, at_melt, joined, name_by_melt, richest
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.engines.registry import default_engine, default_sampler
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.chain import ChainContext
from workflows.stages.check import CheckMaker
from workflows.stages.convergence import ConvergenceMaker
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.liquid import AnnealMaker, LiquidMaker, QuenchMaker
from workflows.stages.melt import MeltMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker
from workflows.stages.packing import PackMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.simple_crystals import SimpleCrystalsMaker
from workflows.stages.table import STAGES
from workflows.stages.training import TrainingMaker
from workflows.stages.volume import EquilibriumVolumeMaker
from workflows.system import SystemTarget

#: Stages that a prediction can end with.
LAST_STAGES = tuple(stage.name for stage in STAGES.values() if stage.can_be_last)
if TYPE_CHECKING:
    LastStage = str
else:
    LastStage = Literal[LAST_STAGES]


@dataclass
class PotentialChain(Maker):
    """
    Melt, quench, learn: what a prediction does before it searches.

    Parameters
    ----------
    seed, replicas, until, dynamics, active, reference, sampler : object
        See :class:`~workflows.chains.prediction.StructurePredictionMaker`.
    pack, convergence, melt, melting_temperature, volume, liquid, quench, anneal, sample : Maker
        The stages up to the frames.
    check, train : Maker
        Of the frames.
    """

    name: str = "potential"
    seed: int = field(
        default=0, metadata={"range": (0, 2**63 - 1), "help": "everything random derives from it"}
    )
    replicas: int = field(
        default=1,
        metadata={"range": (1, 100), "help": "independent liquid-quench-anneal trajectories"},
    )
    until: LastStage = field(
        default="candidates",
        metadata={"help": f"last stage: {', '.join(LAST_STAGES[:-1])} or {LAST_STAGES[-1]}"},
    )
    dynamics: DynamicsMaker = field(default_factory=DynamicsMaker)
    pack: PackMaker = field(default_factory=PackMaker)
    convergence: ConvergenceMaker = field(default_factory=ConvergenceMaker)
    melt: MeltMaker = field(default_factory=MeltMaker)
    melting_temperature: MeltingTemperatureMaker = field(default_factory=MeltingTemperatureMaker)
    volume: EquilibriumVolumeMaker = field(default_factory=EquilibriumVolumeMaker)
    liquid: LiquidMaker = field(default_factory=LiquidMaker)
    quench: QuenchMaker = field(default_factory=QuenchMaker)
    anneal: AnnealMaker = field(default_factory=AnnealMaker)
    sample: SampleMaker = field(default_factory=SampleMaker)
    check: CheckMaker = field(default_factory=CheckMaker)
    active: ActiveLearning = field(default_factory=ActiveLearning)
    train: TrainingMaker = field(default_factory=TrainingMaker)
    reference: Engine = field(default_factory=default_engine, metadata={"hidden": True})
    sampler: Engine | None = field(default=None, metadata={"hidden": True})

    @property
    def _melt_quench(self) -> MeltQuenchAnneal:
        """From a melt to annealed glasses."""
        return MeltQuenchAnneal(
            self.melting_temperature,
            self.volume,
            self.liquid,
            self.quench,
            self.anneal,
            self.replicas,
        )

    def _at_pressure(self, pressure: float) -> Self:
        """Aim the stages that change a volume at a pressure, in kbar."""
        return replace(
            self,
            pack=replace(self.pack, pressure=pressure),
            melt=replace(self.melt, pressure=pressure),
            melting_temperature=replace(self.melting_temperature, pressure=pressure),
            volume=replace(self.volume, pressure=pressure),
        )

    def _learn(
        self, target: Target, melts: Sequence[Melt], simple: SimpleCrystalsMaker | None = None
    ) -> tuple[list[Flow | Job], ChainContext]:
        """
        From packed atoms to the potential, or to the frames if the chain ends with them.

        Crystals of the ends are for systems only.
        """
        dynamics = replace(self.dynamics, seed=self.seed).for_elements(set(target.elements))
        parts, packs = self._packs(melts)
        reference = self.reference
        if reference.needs_convergence:
            packed = packs[richest(melts)]
            convergence = self.convergence.make(packed.output, dynamics, reference)
            reference = reference.with_plane_waves(convergence.output.plane_waves)
            parts.append(convergence)
        dynamics = self._sampling(dynamics, reference)
        liquids = self._liquids(melts, packs, dynamics)
        context = ChainContext(target, reference, self.seed)
        crystals = None
        if simple is not None and simple.crystals and isinstance(target, SystemTarget):
            tried = simple.make(target, reference, self.seed)
            parts.append(tried)
            crystals = tried.output
            context = context.after("simple_crystals", crystals)
        outcome = self._outcome(melts, liquids, dynamics, reference, crystals)
        parts += [*liquids, *outcome.earlier, outcome.sample]
        context = context.after("sample", outcome.sample.output)
        if self.until == "sample":
            return parts, context
        if self.train.learning_curve:
            parts.append(self.train.make_curve(outcome.sample.output.frames, self.seed))
        return [*parts, outcome.train], context.after("train", outcome.train.output)

    def _packs(self, melts: Sequence[Melt]) -> tuple[list[Flow | Job], list[Job]]:
        """Pack the atoms of each melt; the first list is to be added to."""
        packs = [
            tag(
                replace(self._at_pressure(melt.pressure).pack, seed=self.seed).make(melt.formula),
                STAGES["pack"],
            )
            for melt in melts
        ]
        name_by_melt(zip(packs, melts, strict=True), melts)
        return [*packs], packs

    def _liquids(
        self, melts: Sequence[Melt], packs: Sequence[Job], dynamics: DynamicsMaker
    ) -> list[Flow]:
        """Melt what is packed."""
        liquids = [
            self._at_pressure(melt.pressure).melt.make(pack.output, at_melt(dynamics, melts, melt))
            for melt, pack in zip(melts, packs, strict=True)
        ]
        name_by_melt(zip(liquids, melts, strict=True), melts)
        return liquids

    def _outcome(
        self,
        melts: Sequence[Melt],
        liquids: Sequence[Flow],
        dynamics: DynamicsMaker,
        reference: Engine,
        crystals: OutputReference | None,
    ) -> LearningOutcome:
        """Frames and potential: of all that the reference engine runs, or by rounds of labels."""
        melt_quench = partial(self._melt_quenches, melts)
        sampled = melt_quench([liquid.output for liquid in liquids], dynamics)
        if self.active.rounds:
            outcome = self.active.learn(
                sampled, melt_quench, self.sample, self.train, dynamics, reference, crystals
            )
            checks = self._checks(outcome.sample.output.frames, reference)
            return replace(outcome, earlier=[*sampled.jobs, *outcome.earlier, *checks])
        collected = self.sample.make(sampled.segments, sampled.search_runs, crystals)
        checks = self._checks(collected.output.frames, reference)
        fit = self.train.make(
            collected.output.frames,
            seed=self.seed,
            after=[check.output for check in checks] if self.check.strict else None,
        )
        return LearningOutcome([*sampled.jobs, *checks], collected, fit)

    def _learning_cost(self, context: CostContext) -> list[Cost]:
        """Expected cost of what :meth:`_learn` makes."""
        dynamics = self.dynamics.for_elements(set(context.target.elements))
        melts = context.n_melts
        costs = [decisions("pack", melts)]
        if self.reference.needs_convergence:
            costs += self.convergence.cost(context, dynamics)
        dynamics = self._sampling(dynamics, self.reference)
        costs += self.melt.cost(context, dynamics) * melts
        costs += self._melt_quench.cost(context, dynamics)
        ends_with_sample = self.until == "sample"
        if self.active.rounds:
            context = replace(context, n_frames=melts * self.active.rounds * self.active.labels)
            costs += self.active.cost(
                context, self._melt_quench.cost, self.train, dynamics, ends_with_sample
            )
        else:
            context = replace(
                context, n_frames=melts * self._melt_quench.count_frames(dynamics, self.sample)
            )
            costs += self.sample.cost()
            costs += [] if ends_with_sample else self.train.cost(context)
        if self.train.learning_curve and not ends_with_sample:
            costs += self.train.cost_of_curve(context)
        return costs + (self.check.cost(context) if self._is_checked(context.reference) else [])

    def _sampling(self, dynamics: DynamicsMaker, reference: Engine) -> DynamicsMaker:
        """Dynamics of the trajectories: by the sampler where the reference engine only labels."""
        if not self.active.rounds:
            return replace(dynamics, engine=reference)
        sampler = self.sampler or default_sampler(reference)
        return replace(dynamics, engine=sampler, queue=POTENTIAL_QUEUE)

    def _is_checked(self, engine: Engine) -> bool:
        """Whether the training set is compared with better calculations, as some engines can do."""
        return engine.has_plane_waves and self.check.n_frames > 0

    def _checks(self, frames: OutputReference, engine: Engine) -> list[Job]:
        """The check of the training set, if there is one."""
        return [self.check.make(frames, engine, self.seed)] if self._is_checked(engine) else []

    def _melt_quenches(
        self, melts: Sequence[Melt], structures: Sequence[OutputReference], dynamics: DynamicsMaker
    ) -> MeltQuenchRuns:
        """From all melts to glasses."""
        runs = []
        for structure, melt in zip(structures, melts, strict=True):
            maker = self._at_pressure(melt.pressure)
            run = maker._melt_quench.make(structure, at_melt(dynamics, melts, melt))
            name_by_melt(((work, melt) for work in run.jobs), melts)
            runs.append(run)
        return joined(runs)
