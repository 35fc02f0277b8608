"""The whole chain: a composition in, crystal structures ranked at the reference level out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from jobflow import Flow, Job, Maker, OutputReference
from pymatgen.core import Structure

from workflows.chains.labelling_rounds import ActiveLearning, Disordered, Learnt
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.registry import default_engine, default_sampler, settings_branch
from workflows.engines.vasp.settings import VaspSettings
from workflows.jobs.tags import POTENTIAL_QUEUE, fireworks_spec, label
from workflows.stages.candidates import CandidateMaker
from workflows.stages.check import CheckMaker
from workflows.stages.convergence import ConvergenceMaker
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.liquid import AnnealMaker, LiquidMaker, QuenchMaker
from workflows.stages.melt import MeltMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker
from workflows.stages.packing import PackMaker, estimate_volume
from workflows.stages.reference_search import ReferenceSearchMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.search import SearchMaker
from workflows.stages.training import TrainingMaker
from workflows.stages.volume import EquilibriumVolumeMaker


@dataclass
class StructurePredictionMaker(Maker):
    """
    Melt, quench, learn, search, re-relax.

    Every field is a stage; its fields are the numbers of the protocol. The tree of this object is
    what configuration files and ``--set`` options override by path, ``quench.rate`` for example.

    Parameters
    ----------
    replicas
        Independent liquid-quench-anneal trajectories; more of them use more workers.
    seed
        Everything random derives from it.
    until
        The last stage: ``"sample"`` makes the frames only, ``"train"`` also the potential.
    dynamics, pack, convergence, melt, melting_temperature, volume, liquid, quench, anneal, \
    sample, check, active, train, search, candidates
        The stages; convergence and check are only for engines with plane waves.
    search_level
        ``potential``: the whole chain. ``reference``: no melt and no potential, the search runs
        on the reference engine, as the paper does for comparison.
    reference_search
        That search.
    vasp, gpaw
        Settings of the VASP engine and of the GPAW engine, if it is that one.
    reference
        Reference engine, see :meth:`with_reference`.
    sampler
        Engine of the dynamics where ``active.rounds`` is not zero; none: the one that suits the
        reference engine.

    References
    ----------
    C. Hong et al., Phys. Rev. B 102, 224104 (2020).
    """

    name: str = "structure prediction"
    seed: int = field(default=0, metadata={"help": "everything random derives from it"})
    replicas: int = field(
        default=1,
        metadata={"positive": True, "help": "independent liquid-quench-anneal trajectories"},
    )
    until: Literal["sample", "train", "search", "candidates"] = field(
        default="candidates", metadata={"help": "last stage: sample, train, search or candidates"}
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
    search_level: Literal["potential", "reference"] = field(
        default="potential", metadata={"help": "reference: no potential, the engine searches"}
    )
    reference_search: ReferenceSearchMaker = field(default_factory=ReferenceSearchMaker)
    vasp: VaspSettings = field(default_factory=VaspSettings)
    gpaw: GpawSettings = field(default_factory=GpawSettings)
    reference: Engine = field(default_factory=default_engine, metadata={"hidden": True})
    sampler: Engine | None = field(default=None, metadata={"hidden": True})

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

    def make(self, target: Target, campaign: str) -> Flow:
        """
        Make the task graph of one campaign.

        Parameters
        ----------
        target
            What is looked for.
        campaign
            Name of the campaign; goes to the metadata of every job.

        Returns
        -------
        Flow
            Its output is that of the last stage: of the whole chain, a
            :class:`workflows.documents.schemas.PredictionDocument`.
        """
        reference = self.reference
        if self.search_level == "reference":
            search = self.reference_search.make(
                target, reference, self.seed, estimate_volume(target.composition)
            )
            candidates = self.candidates.make(search.output, target, reference)
            ranked: list[Flow | Job] = [search] if self.until == "search" else [search, candidates]
            return self._campaign(ranked, target, campaign)
        dynamics = replace(self.dynamics, seed=self.seed).for_elements(set(target.elements))
        pack = label(replace(self.pack, seed=self.seed).make(target.formula), "pack")
        before: list[Flow | Job] = [pack]
        if reference.needs_convergence:
            convergence = self.convergence.make(pack.output, dynamics, reference)
            reference = reference.with_plane_waves(convergence.output.plane_waves)
            before.append(convergence)
        if self.active.rounds:
            sampler = self.sampler or default_sampler(reference)
            dynamics = replace(dynamics, engine=sampler, queue=POTENTIAL_QUEUE)
        else:
            dynamics = replace(dynamics, engine=reference)
        melt = self.melt.make(pack.output, dynamics)
        sampled = self._disordered(melt.output, dynamics)
        if self.active.rounds:
            learnt = self.active.learn(
                sampled, self._disordered, self.sample, self.train, dynamics, reference
            )
            checks = self._checks(learnt.sample.output.frames, reference)
        else:
            collected = self.sample.make(sampled.segments, sampled.search_runs)
            checks = self._checks(collected.output.frames, reference)
            fit = self.train.make(
                collected.output.frames,
                seed=self.seed,
                after=[check.output for check in checks] if self.check.strict else None,
            )
            learnt = Learnt([], collected, fit)
        sample, train = learnt.sample, learnt.train
        search = self.search.make(
            train.output.potential,
            target,
            volume_per_atom=sample.output.volume_per_atom,
            shortest_distances=sample.output.shortest_distances,
            seed=self.seed,
        )
        candidates = self.candidates.make(search.output, target, reference)
        stages = {"sample": sample, "train": train, "search": search, "candidates": candidates}
        kept = list(stages)[: list(stages).index(self.until) + 1]
        return self._campaign(
            [
                *before,
                melt,
                *sampled.jobs,
                *learnt.earlier,
                *checks,
                *(stages[name] for name in kept),
            ],
            target,
            campaign,
        )

    def _campaign(self, parts: list[Flow | Job], target: Target, campaign: str) -> Flow:
        """Join the stages and mark all jobs with the campaign; the last stage gives the output."""
        flow = Flow(parts, output=parts[-1].output, name=f"{target.formula} {campaign}")
        flow.update_metadata({"campaign": campaign, "formula": target.formula}, dynamic=True)
        # jobflow adds jobs of its own that pass on the outputs of spawned jobs
        flow.update_config(
            {"manager_config": fireworks_spec("pack")},
            name_filter="store_inputs",
            attributes=["manager_config"],
            dynamic=True,
        )
        return flow

    def _checks(self, frames: OutputReference, engine: Engine) -> list[Job]:
        """The check of the training set, if the engine can do better than it did."""
        if not engine.has_plane_waves or not self.check.n_frames:
            return []
        return [self.check.make(frames, engine, seed=self.seed)]

    def _disordered(
        self, structure: Structure | OutputReference, dynamics: DynamicsMaker
    ) -> Disordered:
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
        return Disordered(
            jobs=[melting, volume, *trajectories],
            structure=melting.output.structure,
            segments=[part for flow in trajectories for part in flow.output],
            search_runs=[melting.output.segments, volume.output.segments],
        )

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
