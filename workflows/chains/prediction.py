"""The whole chain: a composition in, crystal structures ranked at the reference level out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jobflow import Flow, Job, Maker, OutputReference
from pymatgen.core import Structure

from workflows.chains.consistency import require_consistent
from workflows.chains.labelling_rounds import ActiveLearning, LearningOutcome, MeltQuenchRuns
from workflows.chains.melts import Melt, at_melt, joined, melts_of, name_by_melt, richest
from workflows.chains.system_options import SystemOptions
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.registry import default_engine, default_sampler, settings_branch
from workflows.engines.vasp.settings import VaspSettings
from workflows.jobs.stage import POTENTIAL_QUEUE, Stage
from workflows.jobs.tags import derive_seed, fireworks_spec, tag
from workflows.stages.candidates import CandidateMaker
from workflows.stages.chain import ChainContext, FollowingMaker, HandsOn, MayBeLeftOut
from workflows.stages.check import CheckMaker
from workflows.stages.convergence import ConvergenceMaker
from workflows.stages.cost import Cost, CostContext, add_up, decisions
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.judge import JudgeMaker
from workflows.stages.liquid import AnnealMaker, LiquidMaker, QuenchMaker
from workflows.stages.melt import MeltMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker
from workflows.stages.packing import PackMaker, estimate_volume
from workflows.stages.reference_search import ReferenceSearchMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.search import SearchMaker
from workflows.stages.search_series import search_at_each
from workflows.stages.table import STAGES, stages_after
from workflows.stages.training import TrainingMaker
from workflows.stages.volume import EquilibriumVolumeMaker

Chain = TypeVar("Chain")

#: Stages that a prediction can end with.
LAST_STAGES = tuple(stage.name for stage in STAGES.values() if stage.can_be_last)
if TYPE_CHECKING:
    LastStage = str
else:
    LastStage = Literal[LAST_STAGES]


def _with_all_following(maker: type[Chain]) -> type[Chain]:
    """Give a chain a field for each stage behind the training that it does not name itself."""
    for stage in stages_after("train"):
        if stage.name not in maker.__annotations__:
            kind = stage.maker_class()
            maker.__annotations__[stage.name] = kind
            setattr(maker, stage.name, field(default_factory=kind))
    return maker


@dataclass
@_with_all_following
class StructurePredictionMaker(Maker):
    """
    Melt, quench, learn, search, re-relax.

    Every field is a stage; its fields are the numbers of the protocol. The tree of this object is
    what configuration files and ``--set`` options override by path, ``quench.rate`` for example.
    Stages behind the training are made one after the other as the table of stages lists them.

    Parameters
    ----------
    replicas : int
        Independent liquid-quench-anneal trajectories; more of them use more workers.
    seed : int
        Everything random derives from it.
    until : str
        The last stage: ``"sample"`` makes the frames only, ``"train"`` also the potential.
    dynamics : DynamicsMaker
        How molecular dynamics is run.
    pack, convergence, melt, melting_temperature, volume, liquid, quench, anneal, sample : Maker
        The stages up to the frames; convergence is only for engines with plane waves.
    check : CheckMaker
        Of the frames; only for engines with plane waves.
    active : ActiveLearning
        Rounds of few labels on frames of a fast engine.
    train, search, candidates, judge : Maker
        The stages behind the frames; the last one only if ``until`` says so.
    search_level : str
        ``potential``: the whole chain. ``reference``: no melt and no potential, the search runs
        on the reference engine, as the paper does for comparison.
    reference_search : ReferenceSearchMaker
        That search.
    system : SystemOptions
        Melts of a chemical system, and what each takes.
    vasp, gpaw : VaspSettings, GpawSettings
        Settings of the VASP engine and of the GPAW engine, if it is that one.
    reference : Engine
        Reference engine, see :meth:`with_reference`.
    sampler : Engine or None
        Engine of the dynamics where ``active.rounds`` is not zero; none: the one that suits the
        reference engine.

    References
    ----------
    C. Hong et al., Phys. Rev. B 102, 224104 (2020).
    """

    name: str = "structure prediction"
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
    search: SearchMaker = field(default_factory=SearchMaker)
    candidates: CandidateMaker = field(default_factory=CandidateMaker)
    judge: JudgeMaker = field(default_factory=JudgeMaker)
    search_level: Literal["potential", "reference"] = field(
        default="potential", metadata={"help": "reference: no potential, the engine searches"}
    )
    reference_search: ReferenceSearchMaker = field(default_factory=ReferenceSearchMaker)
    system: SystemOptions = field(default_factory=SystemOptions)
    vasp: VaspSettings = field(default_factory=VaspSettings)
    gpaw: GpawSettings = field(default_factory=GpawSettings)
    reference: Engine = field(default_factory=default_engine, metadata={"hidden": True})
    sampler: Engine | None = field(default=None, metadata={"hidden": True})

    def __post_init__(self) -> None:
        if self.search_level == "reference" and self.until in ("sample", "train", "judge"):
            raise ValueError(
                "a search by the reference engine has no training: until is search or candidates"
            )

    def validate(self) -> None:
        """Raise a ValueError if numbers of different stages do not fit together."""
        if self.search_level == "potential":
            require_consistent(self)
            improve = getattr(self, STAGES["improve"].name)
            improve.melting.require_size(
                self.dynamics, self.melting_temperature.highest, improve.rounds
            )

    def with_reference(self, engine: Engine) -> StructurePredictionMaker:
        """
        Take an engine as the reference, with its numbers of this protocol.

        Parameters
        ----------
        engine : Engine
            As the registry makes it.
        """
        branch = settings_branch(engine)
        if branch is not None:
            engine = engine.with_settings(getattr(self, branch))
        return replace(self, reference=engine)

    def make(
        self, target: Target, campaign: str, known: Mapping[str, Structure] | None = None
    ) -> Flow:
        """
        Make the task graph of one campaign.

        Parameters
        ----------
        target : Target
            What is looked for.
        campaign : str
            Name of the campaign; goes to the metadata of every job.
        known : mapping of str to Structure, or None
            Known phases of a system, by their labels, that are put on its hull.

        Returns
        -------
        Flow
            Its output is that of the last stage: of the whole chain, a
            :class:`workflows.documents.prediction.PredictionDocument`.
        """
        chain = self._of_system(target) if target.is_system else self
        return chain._flow(target, campaign, known or {})

    def _of_system(self, target: Target) -> StructurePredictionMaker:
        """Return the chain with the numbers of a system."""
        compositions = len(self.melts(target)) // len(target.melt_pressures)
        whole: Any = self  # with the stages that the table gives it
        spread: StructurePredictionMaker = self.system.spread(whole, compositions)
        return spread

    def _flow(self, target: Target, campaign: str, known: Mapping[str, Structure]) -> Flow:
        """Make the task graph with the numbers as they are."""
        if self.search_level == "reference":
            parts, context = self._search_by_reference(target)
        else:
            parts, context = self._learn(target)
        context = replace(context, makers=self._repeatable(), known=known)
        for stage in self._following():
            maker: FollowingMaker = getattr(self, stage.name)
            work = maker.follow(context)
            parts.append(work)
            context = context.after(stage.name, work.output)
        return self._campaign(parts, target, campaign)

    def cost(
        self, target: Target, cores: int = 64, seconds_per_step: Mapping[str, float] | None = None
    ) -> list[Cost]:
        """
        Expected cost, along the same branches as :meth:`make`; an order of magnitude.

        Parameters
        ----------
        target : Target
            What is looked for.
        cores : int
            Cores of a node of the potential's queue.
        seconds_per_step : Mapping or None
            Wall seconds of a step of 100 atoms on one node by the names of engines, where somebody
            has measured them.

        Returns
        -------
        list of Cost
            One for each stage and queue.
        """
        context = CostContext(
            target,
            self.reference,
            n_atoms=self.pack.count_atoms(target.composition.reduced_formula),
            n_melts=len(self.melts(target)),
            cores=cores,
            seconds_per_step=seconds_per_step or {},
        )
        if target.is_system:
            return self._of_system(target).cost_of(context)
        return self.cost_of(context)

    def melts(self, target: Target) -> list[Melt]:
        """
        List the melts, each with a composition and a pressure.

        Parameters
        ----------
        target : Target
            What is looked for.
        """
        return melts_of(target, self.system.melts)

    def cost_of(self, context: CostContext) -> list[Cost]:
        """Expected cost with the numbers as they are, see :meth:`cost`."""
        context = replace(context, makers=self._repeatable())
        if self.search_level == "reference":
            costs = self.reference_search.cost(context)
            context = self.reference_search.hand_on(context)
        else:
            costs = self._learning_cost(context)
        for stage in self._following():
            maker: FollowingMaker = getattr(self, stage.name)
            costs += maker.cost(context)
            context = maker.hand_on(context) if isinstance(maker, HandsOn) else context
        return add_up(costs)

    def _following(self) -> list[Stage]:
        """Stages behind the search by the reference engine, or behind the training."""
        before = "search" if self.search_level == "reference" else "train"
        last = STAGES[self.until].position
        following = [stage for stage in stages_after(before) if stage.position <= last]
        return [stage for stage in following if not self._is_left_out(stage)]

    def _repeatable(self) -> dict[str, Maker]:
        """Makers of the stages from the training on, and what melts and quenches, by name."""
        again = {stage.name: getattr(self, stage.name) for stage in stages_after("label")}
        melting: dict[str, Maker] = {
            "dynamics": self.dynamics,
            "melting_temperature": self.melting_temperature,
            "select": self.active.select,
        }
        return {**melting, **again}

    def _is_left_out(self, stage: Stage) -> bool:
        """Whether the settings leave a stage out; there is nothing to learn without a potential."""
        maker = getattr(self, stage.name)
        if not isinstance(maker, MayBeLeftOut):
            return False
        return maker.left_out or self.search_level == "reference"

    def _search_by_reference(self, target: Target) -> tuple[list[Flow | Job], ChainContext]:
        search = search_at_each(
            target,
            lambda one: self.reference_search.make(
                one,
                self.reference,
                derive_seed(self.seed, "pressure", one.pressure) if one.pressures else self.seed,
                estimate_volume(one.composition, one.pressure),
            ),
        )
        context = ChainContext(target, self.reference, self.seed)
        return [search], context.after("search", search.output)

    def _at_pressure(self, pressure: float) -> StructurePredictionMaker:
        """Aim the stages that change a volume at a pressure, in kbar."""
        return replace(
            self,
            pack=replace(self.pack, pressure=pressure),
            melt=replace(self.melt, pressure=pressure),
            melting_temperature=replace(self.melting_temperature, pressure=pressure),
            volume=replace(self.volume, pressure=pressure),
        )

    def _learn(self, target: Target) -> tuple[list[Flow | Job], ChainContext]:
        """From packed atoms to the potential, or to the frames if the chain ends with them."""
        dynamics = replace(self.dynamics, seed=self.seed).for_elements(set(target.elements))
        melts = self.melts(target)
        makers = [self._at_pressure(melt.pressure) for melt in melts]
        packs = [
            tag(replace(one.pack, seed=self.seed).make(melt.formula), STAGES["pack"])
            for one, melt in zip(makers, melts, strict=True)
        ]
        parts: list[Flow | Job] = [*packs]
        reference = self.reference
        if reference.needs_convergence:
            packed = packs[richest(melts)]
            convergence = self.convergence.make(packed.output, dynamics, reference)
            reference = reference.with_plane_waves(convergence.output.plane_waves)
            parts.append(convergence)
        dynamics = self._sampling(dynamics, reference)
        liquids = [
            one.melt.make(pack.output, at_melt(dynamics, melts, melt))
            for one, melt, pack in zip(makers, melts, packs, strict=True)
        ]
        for works in (packs, liquids):
            name_by_melt(zip(works, melts, strict=True), melts)
        melt_quench = partial(self._melt_quenches, target)
        sampled = melt_quench([melt.output for melt in liquids], dynamics)
        parts += [*liquids, *sampled.jobs]
        if self.active.rounds:
            outcome = self.active.learn(
                sampled, melt_quench, self.sample, self.train, dynamics, reference
            )
            checks = self._checks(outcome.sample.output.frames, reference)
        else:
            collected = self.sample.make(sampled.segments, sampled.search_runs)
            checks = self._checks(collected.output.frames, reference)
            fit = self.train.make(
                collected.output.frames,
                seed=self.seed,
                after=[check.output for check in checks] if self.check.strict else None,
            )
            outcome = LearningOutcome([], collected, fit)
        parts += [*outcome.earlier, *checks, outcome.sample]
        context = ChainContext(target, reference, self.seed)
        context = context.after("sample", outcome.sample.output)
        if self.until == "sample":
            return parts, context
        if self.train.learning_curve:
            parts.append(self.train.make_curve(outcome.sample.output.frames, self.seed))
        return [*parts, outcome.train], context.after("train", outcome.train.output)

    def _learning_cost(self, context: CostContext) -> list[Cost]:
        """Expected cost of what :meth:`_learn` makes."""
        dynamics = self.dynamics.for_elements(set(context.target.elements))
        melts = context.n_melts
        costs = [decisions("pack", melts)]
        if self.reference.needs_convergence:
            costs += self.convergence.cost(context, dynamics)
        dynamics = self._sampling(dynamics, self.reference)
        costs += self.melt.cost(context, dynamics) * melts
        costs += self._melt_quench_cost(context, dynamics)
        ends_with_sample = self.until == "sample"
        if self.active.rounds:
            context = replace(context, n_frames=melts * self.active.rounds * self.active.labels)
            costs += self.active.cost(
                context, self._melt_quench_cost, self.train, dynamics, ends_with_sample
            )
        else:
            context = replace(context, n_frames=melts * self._count_frames(dynamics))
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

    def _campaign(self, parts: list[Flow | Job], target: Target, campaign: str) -> Flow:
        """Join the stages and mark all jobs with the campaign; the last stage gives the output."""
        flow = Flow(parts, output=parts[-1].output, name=f"{target.formula} {campaign}")
        flow.update_metadata({"campaign": campaign, "formula": target.formula}, dynamic=True)
        # jobflow adds jobs of its own that pass on the outputs of spawned jobs
        flow.update_config(
            {"manager_config": fireworks_spec(STAGES["pack"])},
            name_filter="store_inputs",
            attributes=["manager_config"],
            dynamic=True,
        )
        return flow

    def _is_checked(self, engine: Engine) -> bool:
        """Whether the training set is compared with better calculations, as some engines can do."""
        return engine.has_plane_waves and self.check.n_frames > 0

    def _checks(self, frames: OutputReference, engine: Engine) -> list[Job]:
        """The check of the training set, if there is one."""
        return [self.check.make(frames, engine, self.seed)] if self._is_checked(engine) else []

    def _melt_quenches(
        self, target: Target, structures: Sequence[OutputReference], dynamics: DynamicsMaker
    ) -> MeltQuenchRuns:
        """From all melts to glasses."""
        runs, melts = [], self.melts(target)
        for structure, melt in zip(structures, melts, strict=True):
            maker = self._at_pressure(melt.pressure)
            run = maker._melt_quench(structure, at_melt(dynamics, melts, melt))
            name_by_melt(((work, melt) for work in run.jobs), melts)
            runs.append(run)
        return joined(runs)

    def _melt_quench(
        self, structure: Structure | OutputReference, dynamics: DynamicsMaker
    ) -> MeltQuenchRuns:
        """From a melt to annealed glasses, by the engine of the dynamics."""
        melting = self.melting_temperature.make(structure, dynamics)
        temperature = melting.output.melting_temperature
        volume = self.volume.make(
            melting.output.structure, temperature, melting.output.pressure, dynamics
        )
        trajectories = [
            self._trajectory(volume.output.structure, temperature, dynamics, replica)
            for replica in range(self.replicas)
        ]
        return MeltQuenchRuns(
            jobs=[melting, volume, *trajectories],
            structures=[melting.output.structure],
            segments=[part for flow in trajectories for part in flow.output],
            search_runs=[melting.output.segments, volume.output.segments],
        )

    def _melt_quench_cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        temperature = self.melting_temperature.expected_temperature
        of_one = [
            *self.melting_temperature.cost(context, dynamics),
            *self.volume.cost(context, dynamics),
            *self.liquid.cost(context, dynamics, self.replicas),
            *self.quench.cost(context, dynamics, self.replicas, temperature),
            *self.anneal.cost(context, dynamics, self.replicas),
        ]
        return of_one * context.n_melts

    def _count_frames(self, dynamics: DynamicsMaker) -> int:
        """Frames that the trajectories are expected to leave for the training set."""
        melting, volume = self.melting_temperature, self.volume
        ramp = self.quench.ramp_duration(melting.expected_temperature)
        durations = [self.liquid.duration, ramp, self.anneal.duration] * self.replicas
        if self.sample.include_search_runs:
            durations += [melting.duration] * melting.expected_runs
            durations += [volume.duration] * volume.expected_runs
        return sum(dynamics.count_frames(duration) for duration in durations)

    def _trajectory(
        self,
        structure: OutputReference,
        temperature: OutputReference,
        dynamics: DynamicsMaker,
        replica: int,
    ) -> Flow:
        """Liquid, quench and anneal in a row; its output lists the segments of the three."""
        liquid = self.liquid.make(structure, temperature, dynamics, replica)
        quench = self.quench.make(liquid.output["structure"], temperature, dynamics, replica)
        anneal = self.anneal.make(quench.output["structure"], dynamics, replica)
        return Flow(
            [liquid, quench, anneal],
            output=[
                liquid.output["segments"],
                quench.output["segments"],
                anneal.output["segments"],
            ],
            name=f"trajectory {replica + 1}",
        )
