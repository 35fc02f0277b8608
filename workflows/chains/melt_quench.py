"""From a melt to annealed glasses: the trajectories that a potential learns from."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow, Job, OutputReference
from pymatgen.core import Structure

from workflows.stages.cost import Cost, CostContext
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.liquid import AnnealMaker, LiquidMaker, QuenchMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker
from workflows.stages.sample import SampleMaker
from workflows.stages.volume import EquilibriumVolumeMaker


@dataclass(frozen=True)
class MeltQuenchRuns:
    """
    Jobs from a melt to its annealed glass, by one engine.

    Attributes
    ----------
    jobs : list of Job or Flow
    structures : list of OutputReference
        The liquids at their melting temperatures, one for each melt.
    segments : list of OutputReference
        Lists of segments of liquid, quench and anneal.
    search_runs : list of OutputReference
        Lists of jobs that searched melting temperature and volume.
    """

    jobs: list[Job | Flow]
    structures: list[OutputReference]
    segments: list[OutputReference]
    search_runs: list[OutputReference]


@dataclass(frozen=True)
class MeltQuenchAnneal:
    """
    Melting temperature, volume, and liquid, quench and anneal in a row.

    Parameters
    ----------
    melting_temperature, volume, liquid, quench, anneal : Maker
        The stages.
    replicas : int
        Independent trajectories of the last three.
    """

    melting_temperature: MeltingTemperatureMaker
    volume: EquilibriumVolumeMaker
    liquid: LiquidMaker
    quench: QuenchMaker
    anneal: AnnealMaker
    replicas: int

    def make(
        self, structure: Structure | OutputReference, dynamics: DynamicsMaker
    ) -> MeltQuenchRuns:
        """
        Make the jobs of one melt, by the engine of the dynamics.

        Parameters
        ----------
        structure : Structure or OutputReference
            The melt.
        dynamics : DynamicsMaker
            How it is run.
        """
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

    def cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        """
        Expected cost of all melts.

        Parameters
        ----------
        context : CostContext
            With the number of melts.
        dynamics : DynamicsMaker
            How they are run.
        """
        temperature = self.melting_temperature.expected_temperature
        of_one = [
            *self.melting_temperature.cost(context, dynamics),
            *self.volume.cost(context, dynamics),
            *self.liquid.cost(context, dynamics, self.replicas),
            *self.quench.cost(context, dynamics, self.replicas, temperature),
            *self.anneal.cost(context, dynamics, self.replicas),
        ]
        return of_one * context.n_melts

    def count_frames(self, dynamics: DynamicsMaker, sample: SampleMaker) -> int:
        """
        Count the frames that one melt is expected to leave for the training set.

        Parameters
        ----------
        dynamics : DynamicsMaker
            How it is run.
        sample : SampleMaker
            Which runs it takes frames of.
        """
        melting, volume = self.melting_temperature, self.volume
        ramp = self.quench.ramp_duration(melting.expected_temperature)
        durations = [self.liquid.duration, ramp, self.anneal.duration] * self.replicas
        if sample.include_search_runs:
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
