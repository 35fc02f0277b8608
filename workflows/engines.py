"""Reference engines: what computes energies, forces and stresses, and what it knows."""

from __future__ import annotations

import functools
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from monty.json import MSONable

from workflows.cores import use_all_cores

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from jobflow import Job, OutputReference
    from pymatgen.core import Structure

    from nnp.frames import Frames
    from workflows.ase_dynamics import AseDynamicsMaker
    from workflows.ase_relax import AseRelaxMaker, AseStaticMaker
    from workflows.dynamics import SegmentSettings
    from workflows.gpaw.engine import GpawEngine
    from workflows.prediction import StructurePredictionMaker
    from workflows.vasp.engine import VaspEngine

#: What a static run is for: frames of the melt; crystals whose energies are compared with those
#: of the melt; references by which other static runs are measured.
Purpose = Literal["melt", "compared crystal", "accurate"]


class UnknownEngineError(ValueError):
    """No engine has that name, or its calculator cannot be imported."""


class MissingEngineError(RuntimeError):
    """What the engine runs is not installed here."""


@dataclass(frozen=True)
class PlaneWaves(MSONable):
    """
    Plane waves and k-points of a calculation.

    Attributes
    ----------
    cutoff : float
        eV
    mesh : tuple of int
        Divisions of the reciprocal cell, centred on Gamma.
    """

    cutoff: float
    mesh: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        a, b, c = self.mesh
        object.__setattr__(self, "mesh", (a, b, c))  # JSON has no tuples


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


@dataclass(frozen=True)
class AseEngine(Engine):
    """
    Any ASE calculator, by import path.

    Parameters
    ----------
    name
        Shown in tables and stored with every result.
    calculator
        ``package.module:callable``; calling it gives an ASE calculator with energy, forces and
        stress.
    arguments
        Keyword arguments of the callable.
    known_elements
        Symbols; none if the calculator does not say.
    """

    name: str = "ase"
    calculator: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    known_elements: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.known_elements is not None:  # JSON has no tuples
            object.__setattr__(self, "known_elements", tuple(self.known_elements))

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements it knows; none if it does not say."""
        return None if self.known_elements is None else frozenset(self.known_elements)

    def build(self) -> Calculator:
        """
        Build the calculator, once a process.

        Raises
        ------
        UnknownEngineError
            If it cannot be imported.
        """
        return _build(self.calculator, json.dumps(self.arguments, sort_keys=True))

    def build_for_job(self) -> Calculator:
        """Build the calculator, for a job that has all cores of its SLURM job to itself."""
        calculator = self.build()
        use_all_cores()  # of the libraries that are loaded by now
        return calculator

    def molecular_dynamics(self, settings: SegmentSettings) -> AseDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.ase_dynamics import AseDynamicsMaker

        return AseDynamicsMaker(engine=self, settings=settings)

    def relax(self, max_force: float, max_stress: float, max_steps: int) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions, to eV/Å and kbar."""
        from workflows.ase_relax import AseRelaxMaker

        return AseRelaxMaker(
            engine=self, max_force=max_force, max_stress=max_stress, max_steps=max_steps
        )

    def static(self, purpose: Purpose = "melt") -> AseStaticMaker:  # noqa: ARG002
        """Maker of single evaluations, all of one kind."""
        from workflows.ase_relax import AseStaticMaker

        return AseStaticMaker(engine=self)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        from workflows.ase_relax import label_frames

        return label_frames(self.build_for_job(), frames)

    def objection(self, atoms: Atoms) -> str | None:  # noqa: ARG002 (others look at the atoms)
        """
        Say why molecular dynamics must not go on from here; a reference engine trusts itself.

        Parameters
        ----------
        atoms
            With this engine's calculator, evaluated.
        """
        return None

    def renew(self, atoms: Atoms) -> bool:  # noqa: ARG002 (others look at the atoms)
        """
        Adapt the calculator to the cell that a relaxation has led to; whether it had to be.

        Parameters
        ----------
        atoms
            With this engine's calculator, evaluated. A basis may belong to a cell.
        """
        return False

    @property
    def keeps_fragments(self) -> bool:
        """Whether a run that explodes ends there, with its good frames, instead of failing."""
        return False


@functools.cache
def _build(path: str, arguments: str) -> Calculator:
    return _import(path)(**json.loads(arguments))


def _import(path: str) -> Any:
    """Import ``module:callable``."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownEngineError(
            f"the calculator {path!r} cannot be imported ({error}); "
            "give it as package.module:callable of an installed package"
        ) from error


def _up_to(last: int) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    return tuple(chemical_symbols[1 : last + 1])


def chgnet_engine() -> AseEngine:
    """CHGNet 0.3.0: PBE-like, hydrogen to curium, weights in its package."""
    return AseEngine(
        name="chgnet",
        calculator="workflows.chgnet:FastCHGNetCalculator",
        known_elements=_up_to(94),
    )


def emt_engine() -> AseEngine:
    """Effective medium theory: a few metals, instant; for trying things out."""
    return AseEngine(
        name="emt",
        calculator="ase.calculators.emt:EMT",
        known_elements=("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt"),
    )


def vasp_engine() -> VaspEngine:
    """Density functional theory by VASP, which the user brings along."""
    from workflows.vasp.engine import VaspEngine

    return VaspEngine()


def gpaw_engine() -> GpawEngine:
    """Density functional theory by GPAW, an optional extra."""
    from workflows.gpaw.engine import GpawEngine

    return GpawEngine()


def pair_engine() -> AseEngine:
    """A guessed pair potential for any elements: a sampler, not a reference."""
    return AseEngine(
        name="pair",
        calculator="workflows.pair:PairCalculator",
        known_elements=_up_to(94),
    )


#: Engines known by name.
ENGINES: dict[str, Callable[[], Engine]] = {
    "chgnet": chgnet_engine,
    "emt": emt_engine,
    "gpaw": gpaw_engine,
    "pair": pair_engine,
    "vasp": vasp_engine,
}


def default_engine() -> AseEngine:
    """The engine that works offline without any licence."""
    return chgnet_engine()


def default_sampler(reference: Engine) -> AseEngine:
    """The fast engine that suits a reference best: the universal potential, if it is not that."""
    return pair_engine() if reference.name == "chgnet" else chgnet_engine()


def find_engine(name: str, arguments: dict[str, Any] | None = None) -> Engine:
    """
    Find an engine by its name, or make one from the import path of an ASE calculator.

    Parameters
    ----------
    name
        One of :data:`ENGINES`, or ``package.module:callable``.
    arguments
        Keyword arguments of the callable.

    Raises
    ------
    UnknownEngineError
        If it is neither.
    """
    if ":" in name:
        _import(name)
        return AseEngine(name=name, calculator=name, arguments=arguments or {})
    if name not in ENGINES:
        raise UnknownEngineError(
            f"there is no engine {name!r}; the engines are {', '.join(sorted(ENGINES))}, "
            "or any ASE calculator as package.module:callable"
        )
    return ENGINES[name]()
