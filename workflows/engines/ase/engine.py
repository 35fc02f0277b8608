"""Any ASE calculator as an engine."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflows.engines.base import Engine, Purpose, UnknownEngineError
from workflows.jobs.cores import use_all_cores

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from nnp.frames import Frames
    from workflows.engines.ase.dynamics import AseDynamicsMaker
    from workflows.engines.ase.relax import AseRelaxMaker, AseStaticMaker
    from workflows.stages.dynamics import SegmentSettings


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
        from workflows.engines.ase.dynamics import AseDynamicsMaker

        return AseDynamicsMaker(engine=self, settings=settings)

    def relax(self, max_force: float, max_stress: float, max_steps: int) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions, to eV/Å and kbar."""
        from workflows.engines.ase.relax import AseRelaxMaker

        return AseRelaxMaker(
            engine=self, max_force=max_force, max_stress=max_stress, max_steps=max_steps
        )

    def static(self, purpose: Purpose = "melt") -> AseStaticMaker:  # noqa: ARG002
        """Maker of single evaluations, all of one kind."""
        from workflows.engines.ase.relax import AseStaticMaker

        return AseStaticMaker(engine=self)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        from workflows.engines.ase.relax import label_frames

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
    return import_callable(path)(**json.loads(arguments))


def import_callable(path: str) -> Any:
    """Import ``module:callable``."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownEngineError(
            f"the calculator {path!r} cannot be imported ({error}); "
            "give it as package.module:callable of an installed package"
        ) from error
