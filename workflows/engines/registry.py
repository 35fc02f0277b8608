"""Engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workflows.engines.ase.engine import AseEngine, import_callable
from workflows.engines.base import Engine, UnknownEngineError

if TYPE_CHECKING:
    from workflows.engines.gpaw.engine import GpawEngine
    from workflows.engines.vasp.engine import VaspEngine


def _up_to(last: int) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    return tuple(chemical_symbols[1 : last + 1])


def chgnet_engine() -> AseEngine:
    """CHGNet 0.3.0: PBE-like, hydrogen to curium, weights in its package."""
    return AseEngine(
        name="chgnet",
        calculator="workflows.engines.ase.chgnet:FastCHGNetCalculator",
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
    from workflows.engines.vasp.engine import VaspEngine

    return VaspEngine()


def gpaw_engine() -> GpawEngine:
    """Density functional theory by GPAW, an optional extra."""
    from workflows.engines.gpaw.engine import GpawEngine

    return GpawEngine()


def pair_engine() -> AseEngine:
    """A guessed pair potential for any elements: a sampler, not a reference."""
    return AseEngine(
        name="pair",
        calculator="workflows.engines.ase.pair:PairCalculator",
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
        import_callable(name)
        return AseEngine(name=name, calculator=name, arguments=arguments or {})
    if name not in ENGINES:
        raise UnknownEngineError(
            f"there is no engine {name!r}; the engines are {', '.join(sorted(ENGINES))}, "
            "or any ASE calculator as package.module:callable"
        )
    return ENGINES[name]()
