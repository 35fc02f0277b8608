"""The whole chain: a composition in, crystal structures ranked at the reference level out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from jobflow import Flow, Job, Maker
from pymatgen.core import Structure

from workflows.chains.campaign_flow import of_campaign
from workflows.chains.consistency import require_consistent
from workflows.chains.melts import Melt, melts_of
from workflows.chains.potential_chain import PotentialChain
from workflows.chains.system_options import SystemOptions
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.registry import settings_branch
from workflows.engines.vasp.settings import VaspSettings
from workflows.jobs.stage import Stage
from workflows.jobs.tags import derive_seed
from workflows.stages.candidates import CandidateMaker
from workflows.stages.chain import ChainContext, FollowingMaker, HandsOn, MayBeLeftOut
from workflows.stages.cost import Cost, CostContext, add_up
from workflows.stages.judge import JudgeMaker
from workflows.stages.packing import estimate_volume
from workflows.stages.reference_search import ReferenceSearchMaker
from workflows.stages.search import SearchMaker
from workflows.stages.search_series import search_at_each
from workflows.stages.table import STAGES, stages_after

Chain = TypeVar("Chain")


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
class StructurePredictionMaker(PotentialChain):
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
            parts, context = self._learn(target, self.melts(target), self.system.simple)
        context = replace(context, makers=self._repeatable(), known=known)
        for stage in self._following():
            maker: FollowingMaker = getattr(self, stage.name)
            work = maker.follow(context)
            parts.append(work)
            context = context.after(stage.name, work.output)
        flow = Flow(parts, output=parts[-1].output, name=f"{target.formula} {campaign}")
        return of_campaign(flow, campaign, target.formula, STAGES["pack"])

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
            costs = [*self._learning_cost(context), *self.system.simple.cost(context)]
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
