"""Any ASE calculator as an engine."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import BaseCalculator

from workflows.engines.ase.calculation import CalculatorEngine
from workflows.engines.base import (
    MissingEngineError,
    Purpose,
    SegmentSettings,
    UnknownEngineError,
)

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.engines.ase.dynamics import AseDynamicsMaker
    from workflows.engines.ase.relax import AseRelaxMaker
    from workflows.engines.ase.static import AseStaticMaker


@dataclass(frozen=True)
class AseEngine(CalculatorEngine):
    """
    Any ASE calculator, by import path.

    Parameters
    ----------
    name : str
        Shown in tables and stored with every result.
    calculator : str
        ``package.module:callable``; calling it gives an ASE calculator with energy, forces and
        stress.
    arguments : dict
        Keyword arguments of the callable.
    known_elements : tuple of str or None
        Symbols; none if the calculator does not say.
    extra : str or None
        Extra of this package that installs what the calculator needs.
    """

    name: str = "ase"
    calculator: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    known_elements: tuple[str, ...] | None = None
    extra: str | None = None

    def __post_init__(self) -> None:
        if self.known_elements is not None:  # JSON has no tuples
            object.__setattr__(self, "known_elements", tuple(self.known_elements))

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements it knows; none if it does not say."""
        return None if self.known_elements is None else frozenset(self.known_elements)

    def missing(self) -> str | None:
        """Say which extra has to be installed, if the calculator comes with one."""
        if self.extra is None:
            return None
        try:
            import_callable(self.calculator)
        except UnknownEngineError as error:
            return f"{self.name} needs the extra devitrify[{self.extra}] ({error})"
        return None

    def build(self) -> Calculator:
        """
        Build the calculator, once a process; what was computed by it before leaves no trace.

        Raises
        ------
        MissingEngineError
            If the extra that it needs is not installed.
        UnknownEngineError
            If it cannot be imported.
        """
        reason = self.missing()
        if reason is not None:
            raise MissingEngineError(reason)
        calculator = _build(self.calculator, json.dumps(self.arguments, sort_keys=True))
        if isinstance(calculator, BaseCalculator):
            # A neighbour list of the job before, which is as good but in another order, would make
            # the last digits depend on which worker ran what.
            calculator.reset()
        return calculator

    def crystal_calculator(self) -> Calculator:
        """ASE calculator for relaxing crystals within this process."""
        return self.build()

    def molecular_dynamics(self, settings: SegmentSettings) -> AseDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.ase.dynamics import AseDynamicsMaker

        return AseDynamicsMaker(engine=self, settings=settings)

    def relax(self, limits: RelaxationLimits) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions."""
        from workflows.engines.ase.relax import AseRelaxMaker

        return AseRelaxMaker(engine=self, limits=limits)

    def static(self, purpose: Purpose = "melt") -> AseStaticMaker:  # noqa: ARG002
        """Maker of single evaluations, all of one kind."""
        from workflows.engines.ase.static import AseStaticMaker

        return AseStaticMaker(engine=self)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        from workflows.engines.ase.static import label_frames

        return label_frames(self.build_for_job(), frames)


@functools.cache
def _build(path: str, arguments: str) -> Calculator:
    return import_callable(path)(**json.loads(arguments))


def import_callable(path: str) -> Any:
    """
    Import ``module:callable``.

    Parameters
    ----------
    path : str
        Of a module, and what it has.

    Raises
    ------
    UnknownEngineError
        If it cannot be imported.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # a foreign module raises what it likes
        raise UnknownEngineError(
            f"the calculator {path!r} cannot be imported ({error}); "
            "give it as package.module:callable of an installed package"
        ) from error
