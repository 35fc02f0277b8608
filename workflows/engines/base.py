"""What a stage needs to know of the reference level, whatever computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from monty.json import MSONable

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator
    from jobflow import Job, OutputReference
    from pymatgen.core import Structure

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.documents.plane_waves import PlaneWaves

#: What a static run is for: frames of the melt; crystals whose energies are compared with those
#: of the melt; references by which other static runs are measured.
Purpose = Literal["melt", "compared crystal", "accurate"]

#: Times a segment of dynamics starts over, each time with half the time step, before it gives up.
ATTEMPTS = 3

#: Volume against the start beyond which a relaxation has gone astray.
VOLUME_RANGE = (0.2, 5.0)

#: Of a relaxation every so many configurations one is kept, and the last.
KEPT_INTERVAL = 5


class UnknownEngineError(ValueError):
    """No engine has that name, or its calculator cannot be imported."""


class MissingEngineError(RuntimeError):
    """What the engine runs is not installed here."""


class ExplodedError(RuntimeError):
    """Forces are not finite, or the atoms are far too hot, too close, or too far apart."""


@dataclass(frozen=True)
class SegmentSettings(MSONable):
    """
    How a segment of dynamics is integrated.

    Parameters
    ----------
    n_steps : int
        Length.
    time_step : float
        fs
    sample_stride : int
        Steps between kept frames.
    thermostat_time : float
        Relaxation time or period of the thermostat, fs.
    """

    n_steps: int = 10
    time_step: float = 2.0
    sample_stride: int = 10
    thermostat_time: float = 100.0

    def halved(self, times: int) -> SegmentSettings:
        """Halve the time step some times; length and sampling stay the same in fs."""
        return replace(
            self,
            time_step=self.time_step / 2**times,
            n_steps=self.n_steps * 2**times,
            sample_stride=self.sample_stride * 2**times,
        )


@dataclass(frozen=True)
class DynamicsTask(MSONable):
    """
    What a segment of dynamics is for: temperatures, and its place in a longer run.

    Parameters
    ----------
    stage : str
        Stage of its frames.
    temperature, end_temperature : float or OutputReference
        Target of the thermostat in K at the start and at the end, linear in between.
    seed : int
        Of the thermostat and of new velocities.
    new_velocities : bool
        Draw velocities even if the structure has some.
    start_time : float
        Time that the segments before it took, fs; frames carry the time of the whole run.
    """

    stage: str
    temperature: float | OutputReference
    end_temperature: float | OutputReference
    seed: int = 0
    new_velocities: bool = False
    start_time: float = 0.0

    @property
    def targets(self) -> tuple[float, float]:
        """
        Temperatures at the start and at the end in K.

        Raises
        ------
        TypeError
            If one is a reference, which only a job can look up.
        """
        first, last = self.temperature, self.end_temperature
        if not isinstance(first, int | float) or not isinstance(last, int | float):
            raise TypeError("the temperatures of this segment are still to be found")
        return float(first), float(last)


def highest_temperature(target: float) -> float:
    """Temperature in K beyond which dynamics at a target have exploded."""
    return 20 * target + 20000


class SegmentMaker(Protocol):
    """Makes one segment of molecular dynamics at constant volume."""

    def make(self, structure: Structure | OutputReference, task: DynamicsTask) -> Job:
        """
        Make the job.

        If the dynamics explode they start over with half the time step.

        Parameters
        ----------
        structure : Structure or OutputReference
            Start, with velocities in Å/fs if it continues a segment.
        task : DynamicsTask
            What it is for.

        Returns
        -------
        Job
            Its output is a :class:`~workflows.documents.dynamics.SegmentDocument`.
        """


class RelaxMaker(Protocol):
    """Makes one relaxation of cell and positions."""

    def make(self, structure: Structure | OutputReference, stage: str) -> Job:
        """
        Make the job; a failure is recorded in its document instead of raised.

        Parameters
        ----------
        structure : Structure or OutputReference
            Start.
        stage : str
            Stage of its frames.

        Returns
        -------
        Job
            Its output is a :class:`~workflows.documents.relaxation.RelaxDocument`.
        """


class StaticMaker(Protocol):
    """Makes single evaluations."""

    def make(self, structures: list[Structure] | Frames | OutputReference, stage: str) -> Job:
        """
        Make the job.

        Parameters
        ----------
        structures : list of Structure, Frames or OutputReference
            Any number, of any size; frames lose the labels that they have.
        stage : str
            Stage of the frames.

        Returns
        -------
        Job
            Its output is :class:`~nnp.frames.Frames`, one for each configuration; energy, forces
            and stress are NaN where the engine failed.
        """


@dataclass(frozen=True)
class StepCost(MSONable):
    """
    What an evaluation of energy and forces costs, to an order of magnitude.

    Parameters
    ----------
    seconds : float
        Wall seconds of one step of dynamics of 100 atoms on one node.
    size_exponent : float
        Power of the number of atoms by which it grows.
    """

    seconds: float = 1.0
    size_exponent: float = 1.0


@dataclass(frozen=True)
class Engine(MSONable, ABC):
    """
    What a stage needs to know of the reference level: makers, a name, its elements.

    Stages take an engine and never ask which one it is.

    Parameters
    ----------
    name : str
        Shown in tables and stored with every result. Energies of two engines are not comparable.
    cost : StepCost
        For estimates.
    """

    name: str
    cost: StepCost = StepCost()

    @abstractmethod
    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements it knows; none if it does not say."""

    @abstractmethod
    def molecular_dynamics(self, settings: SegmentSettings) -> SegmentMaker:
        """Maker of one segment of molecular dynamics."""

    @abstractmethod
    def relax(self, limits: RelaxationLimits) -> RelaxMaker:
        """Maker of a relaxation of cell and positions, at the pressure of the limits."""

    @abstractmethod
    def static(self, purpose: Purpose = "melt") -> StaticMaker:
        """Maker of single evaluations."""

    def missing(self) -> str | None:
        """Say what has to be installed before it computes here; none if it does not say."""
        return None

    def magnetism(self) -> str | None:
        """Say what its results tell of magnetic moments; none if it does not say."""
        return None

    def crystal_calculator(self) -> Calculator | None:
        """
        ASE calculator for relaxing crystals within this process; none if it needs jobs.

        Raises
        ------
        MissingEngineError
            If what it runs is not installed here.
        """
        return None

    @property
    def seconds_per_step(self) -> float:
        """Wall seconds of one step of dynamics of 100 atoms on one node."""
        return self.cost.seconds

    @property
    def size_exponent(self) -> float:
        """Power of the number of atoms by which the cost of a step grows."""
        return self.cost.size_exponent

    @property
    def has_plane_waves(self) -> bool:
        """Whether a cutoff and k-points decide how good it is."""
        return False

    def crystal_k_points(self, volume: float) -> float:  # noqa: ARG002
        """
        K-points that the evaluation of a crystal is expected to take, for estimates.

        Parameters
        ----------
        volume : float
            Of its cell, Å³.
        """
        return 1.0

    @property
    def needs_convergence(self) -> bool:
        """Whether a cutoff and k-points must be found before the melt."""
        return False

    def with_settings(self, settings: Any) -> Self:  # noqa: ARG002
        """Use numbers of a protocol, if the engine has a branch of its own there."""
        return self

    def with_plane_waves(self, plane_waves: PlaneWaves | OutputReference) -> Self:  # noqa: ARG002
        """Use a cutoff and k-points in all but crystals, if the engine has such."""
        return self

    @abstractmethod
    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """
        Evaluate a batch of configurations one after the other, within the current job.

        Parameters
        ----------
        frames : Frames
            Configurations; what they have of energies, forces and stresses is ignored.

        Yields
        ------
        Frames or str
            For each, in their order: the configuration with this engine's energy, forces and
            stress and its old labels, or a sentence that says why it has none.
        """
