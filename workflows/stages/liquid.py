"""The trajectory that is learnt from: liquid, quench, annealed glass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Job, Maker, Response, job

from workflows.jobs.idempotency import spawn
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from pymatgen.core import Structure


@dataclass
class LiquidMaker(Maker):
    """
    Equilibrium liquid at the melting temperature.

    Parameters
    ----------
    duration : float
        ps
    """

    name: str = "liquid"
    duration: float = field(default=20.0, metadata={"range": (0.001, 1e5), "unit": "ps"})

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        dynamics: DynamicsMaker,
        replica: int = 0,
    ) -> Flow:
        """
        Run the liquid.

        Parameters
        ----------
        structure : Structure or OutputReference
            Liquid at its equilibrium volume.
        temperature : float or OutputReference
            Melting temperature in K.
        dynamics : DynamicsMaker
            Makes the runs.
        replica : int
            Number of this trajectory; all but the first draw new velocities.

        Returns
        -------
        Flow
            Output of :meth:`DynamicsMaker.make`.
        """
        return dynamics.make(
            structure, temperature, self.duration, "liquid", key=_key(replica),
            new_velocities=replica > 0,
        )  # fmt: skip

    def cost(self, context: CostContext, dynamics: DynamicsMaker, replicas: int) -> list[Cost]:
        """Expected cost of some trajectories."""
        return [dynamics.cost(context, "liquid", replicas, self.duration)]


@dataclass
class QuenchMaker(Maker):
    """
    Cool the liquid at a constant rate.

    Parameters
    ----------
    rate : float
        K/ps
    end_temperature : float
        K
    """

    name: str = "quench"
    rate: float = field(default=100.0, metadata={"range": (0.01, 1e5), "unit": "K/ps"})
    end_temperature: float = field(default=300.0, metadata={"range": (1.0, 20_000.0), "unit": "K"})

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        dynamics: DynamicsMaker,
        replica: int = 0,
    ) -> Job:
        """
        Quench.

        How many segments that takes depends on the melting temperature, so the job that this
        returns makes them when it runs.

        Parameters
        ----------
        structure : Structure or OutputReference
            Liquid.
        temperature : float or OutputReference
            Where the ramp starts, in K.
        dynamics : DynamicsMaker
            Makes the runs.
        replica : int
            Number of this trajectory.

        Returns
        -------
        Job
            Its output is that of :meth:`DynamicsMaker.make`.
        """
        plan = self.plan(structure, temperature, dynamics, replica)
        plan.name = f"quench plan {_key(replica)}".strip()
        return tag(plan, STAGES["quench"])

    def cost(
        self, context: CostContext, dynamics: DynamicsMaker, replicas: int, temperature: float
    ) -> list[Cost]:
        """Expected cost of some trajectories from a temperature in K."""
        run = dynamics.cost(context, "quench", replicas, self.ramp_duration(temperature))
        return [run, decisions("quench", 2 * replicas)]

    def ramp_duration(self, temperature: float) -> float:
        """Length in ps of the ramp from a temperature in K."""
        return max(0.0, temperature - self.end_temperature) / self.rate

    @job
    def plan(
        self, structure: Structure, temperature: float, dynamics: DynamicsMaker, replica: int
    ) -> Response:
        """Make the segments of the ramp, once its length is known."""
        flow = dynamics.make(
            structure, temperature, self.ramp_duration(temperature), "quench",
            end_temperature=self.end_temperature, key=_key(replica),
        )  # fmt: skip
        return Response(replace=spawn(flow))


@dataclass
class AnnealMaker(Maker):
    """
    Anneal the glass.

    Parameters
    ----------
    temperature : float
        K
    duration : float
        ps
    """

    name: str = "anneal"
    temperature: float = field(default=500.0, metadata={"range": (1.0, 20_000.0), "unit": "K"})
    duration: float = field(default=15.0, metadata={"range": (0.001, 1e5), "unit": "ps"})

    def make(
        self, structure: Structure | OutputReference, dynamics: DynamicsMaker, replica: int = 0
    ) -> Flow:
        """
        Anneal.

        Parameters
        ----------
        structure : Structure or OutputReference
            Quenched glass.
        dynamics : DynamicsMaker
            Makes the runs.
        replica : int
            Number of this trajectory.

        Returns
        -------
        Flow
            Output of :meth:`DynamicsMaker.make`.
        """
        return dynamics.make(
            structure, self.temperature, self.duration, "anneal", key=_key(replica)
        )

    def cost(self, context: CostContext, dynamics: DynamicsMaker, replicas: int) -> list[Cost]:
        """Expected cost of some trajectories."""
        return [dynamics.cost(context, "anneal", replicas, self.duration)]


def _key(replica: int) -> str:
    """Name of a trajectory; the first one needs none."""
    return f"replica {replica + 1}" if replica else ""
