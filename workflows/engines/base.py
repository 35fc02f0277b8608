"""What a stage needs to know of the reference level, whatever computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

from monty.json import MSONable

if TYPE_CHECKING:
    from jobflow import Job, OutputReference
    from pymatgen.core import Structure

    from nnp.frames import Frames
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.documents.plane_waves import PlaneWaves
    from workflows.stages.dynamics import SegmentSettings

#: What a static run is for: frames of the melt; crystals whose energies are compared with those
#: of the melt; references by which other static runs are measured.
Purpose = Literal["melt", "compared crystal", "accurate"]


class UnknownEngineError(ValueError):
    """No engine has that name, or its calculator cannot be imported."""


class MissingEngineError(RuntimeError):
    """What the engine runs is not installed here."""


class SegmentMaker(Protocol):
    """Makes one segment of molecular dynamics; its job gives a ``SegmentDocument``."""

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        end_temperature: float | OutputReference,
        stage: str,
        seed: int = 0,
        new_velocities: bool = False,
        start_time: float = 0.0,
    ) -> Job:
        """Make the job."""


class RelaxMaker(Protocol):
    """Makes one relaxation; its job gives a ``RelaxDocument``."""

    def make(self, structure: Structure | OutputReference) -> Job:
        """Make the job."""


class StaticMaker(Protocol):
    """Makes single evaluations; its job gives ``Frames``, NaN where one failed."""

    def make(self, structures: list[Structure] | Frames | OutputReference, stage: str) -> Job:
        """Make the job."""


@dataclass(frozen=True)
class Engine(MSONable, ABC):
    """
    What a stage needs to know of the reference level: makers, a name, its elements.

    Stages take an engine and never ask which one it is.

    Parameters
    ----------
    name
        Shown in tables and stored with every result. Energies of two engines are not comparable.
    """

    name: str

    @abstractmethod
    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements it knows; none if it does not say."""

    @abstractmethod
    def molecular_dynamics(self, settings: SegmentSettings) -> SegmentMaker:
        """Maker of one segment of molecular dynamics."""

    @abstractmethod
    def relax(self, max_force: float, max_stress: float, max_steps: int) -> RelaxMaker:
        """Maker of a relaxation of cell and positions, to eV/Å and kbar."""

    @abstractmethod
    def static(self, purpose: Purpose = "melt") -> StaticMaker:
        """Maker of single evaluations."""

    def missing(self) -> str | None:
        """Say what has to be installed before it computes here; none if it does not say."""
        return None

    @property
    def seconds_per_step(self) -> float:
        """Wall seconds of one step of dynamics of 100 atoms on one node."""
        return {"vasp": 15.0, "gpaw": 200.0, "chgnet": 0.2, "emt": 0.005}.get(self.name, 1.0)

    @property
    def size_exponent(self) -> float:
        """Power of the number of atoms by which the cost of a step grows."""
        return 2.0 if self.has_plane_waves else 1.0

    @property
    def has_plane_waves(self) -> bool:
        """Whether a cutoff and k-points decide how good it is."""
        return False

    @property
    def settled(self) -> bool:
        """Whether nothing has to be found out before the melt: no cutoff, no k-points."""
        return True

    def configure(self, protocol: StructurePredictionMaker) -> Self:  # noqa: ARG002
        """Take the engine's own numbers from a protocol."""
        return self

    def adopt(self, plane_waves: PlaneWaves | OutputReference) -> Self:  # noqa: ARG002
        """Use a cutoff and k-points in all but crystals, if the engine has such."""
        return self

    @abstractmethod
    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """
        Evaluate a batch of configurations one after the other, within the current job.

        Parameters
        ----------
        frames
            Configurations; what they have of energies, forces and stresses is ignored.

        Yields
        ------
        Frames or str
            For each, in their order: the configuration with this engine's energy, forces and
            stress and its old labels, or a sentence that says why it has none.
        """
