"""
Engines by name: one row each.

A new engine is a module and a row of :data:`ENGINES`; nothing else names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from workflows.engines.names import base_name, name_with, split_name

if TYPE_CHECKING:
    from workflows.engines.base import Engine
    from workflows.engines.dispersion import Dispersion


@dataclass(frozen=True)
class EngineRow:
    """
    What is known of an engine by its name.

    Parameters
    ----------
    calculator : str or None
        ``package.module:callable`` that gives an ASE calculator with energy, forces and stress,
        for an engine that is nothing but one.
    engine : str or None
        ``package.module:class`` of an engine of its own kind.
    elements : int, tuple of str or None
        Symbols that the calculator knows, or the last atomic number; none: it does not say, or
        the class does.
    unknown : tuple of str
        Symbols below the last atomic number that it does not know.
    arguments : Mapping
        Keyword arguments of the calculator.
    extra : str or None
        Of this package, that installs what it needs.
    commands : tuple of str
        Settings of atomate2 that name the programs that it runs.
    packages : tuple of str
        Whose versions are kept with its results.
    settings : str or None
        Branch of a protocol with its numbers.
    seconds_per_step : float
        Wall seconds of one step of dynamics of 100 atoms on one node. A site corrects them in its
        devitrify.yaml.
    size_exponent : float
        Power of the number of atoms by which they grow.
    magnetism : str or None
        What its results tell of magnetic moments, where it is nothing but a calculator.
    sampler : bool
        Whether it is fast enough for dynamics whose frames another engine labels.
    sampler_of_it : str
        Engine of the dynamics where this one only labels, unless another is asked for.
    functional : str or None
        That it computes or has learnt, as simple-dftd3 calls it: whose dispersion fits. None: it
        is of none.
    """

    calculator: str | None = None
    engine: str | None = None
    elements: int | tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    extra: str | None = None
    commands: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    settings: str | None = None
    seconds_per_step: float = 1.0
    size_exponent: float = 1.0
    magnetism: str | None = None
    sampler: bool = False
    sampler_of_it: str = "chgnet"
    functional: str | None = None


def _sevennet(
    model: str, *, seconds_per_step: float, modal: str | None = None, functional: str = "pbe"
) -> EngineRow:
    """
    One of the models of SevenNet whose weights are in its package: a closer PBE than CHGNet's.

    Parameters
    ----------
    model : str
        As SevenNet calls it.
    seconds_per_step : float
        See :class:`EngineRow`.
    modal : str or None
        Which of the functionals that the model has learnt.
    functional : str
        As simple-dftd3 calls it.
    """
    return EngineRow(
        calculator="workflows.engines.ase.sevennet:SevenNetCalculator",
        elements=94,
        unknown=("Po", "At", "Rn", "Fr", "Ra"),
        arguments={"model": model} if modal is None else {"model": model, "modal": modal},
        extra="sevennet",
        packages=("sevenn", "e3nn", "torch"),
        seconds_per_step=seconds_per_step,
        sampler=True,
        sampler_of_it="pair",
        functional=functional,
    )


#: Engines by name.
ENGINES: dict[str, EngineRow] = {
    # CHGNet 0.3.0: PBE-like, hydrogen to curium, weights in its package
    "chgnet": EngineRow(
        calculator="workflows.engines.ase.chgnet:FastCHGNetCalculator",
        elements=94,
        packages=("chgnet", "torch"),
        seconds_per_step=0.2,
        magnetism="CHGNet learnt from PBE and PBE+U with mostly parallel moments: it tells how "
        "large moments are, but no order of them from another, and gives no charges",
        sampler=True,
        sampler_of_it="pair",
        functional="pbe",
    ),
    # effective medium theory: a few metals, instant; for trying things out
    "emt": EngineRow(
        calculator="ase.calculators.emt:EMT",
        elements=("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt"),
        seconds_per_step=0.005,
        sampler=True,
    ),
    # density functional theory by GPAW; the seconds are those of one core
    "gpaw": EngineRow(
        engine="workflows.engines.gpaw.engine:GpawEngine",
        extra="gpaw",
        packages=("gpaw", "gpaw-data"),
        settings="gpaw",
        seconds_per_step=200.0,
        size_exponent=2.0,
        functional="pbe",
    ),
    # a guessed pair potential for any elements: a sampler, not a reference
    "pair": EngineRow(
        calculator="workflows.engines.ase.pair:PairCalculator",
        elements=94,
        packages=("numba",),
        seconds_per_step=0.002,
        sampler=True,
    ),
    "sevennet": _sevennet("7net-l3i5", seconds_per_step=3.6),
    "sevennet-0": _sevennet("7net-0", seconds_per_step=1.6),
    "sevennet-mf-0": _sevennet("7net-mf-0", modal="PBE", seconds_per_step=1.2),
    "sevennet-mf-0-r2scan": _sevennet(
        "7net-mf-0", modal="R2SCAN", functional="r2scan", seconds_per_step=1.2
    ),
    # density functional theory by VASP, which the user brings along; the seconds are those of the
    # Gamma point on 64 cores
    "vasp": EngineRow(
        engine="workflows.engines.vasp.engine:VaspEngine",
        commands=("VASP_CMD", "VASP_GAMMA_CMD"),
        packages=("atomate2", "custodian"),
        settings="vasp",
        seconds_per_step=15.0,
        size_exponent=2.0,
        functional="pbe",
    ),
}

#: Elements whose atoms often have magnetic moments in crystals: of open 3d, 4f and 5f shells.
MAGNETIC = frozenset(
    [
        *("V", "Cr", "Mn", "Fe", "Co", "Ni"),
        *("Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb"),
        *("U", "Np", "Pu", "Am", "Cm"),
    ]
)

#: The engine that works offline without any licence.
DEFAULT_ENGINE = "chgnet"

#: Packages that shape the results whatever the engine.
COMMON_PACKAGES = (
    *("devitrify", "ase", "dftd3", "fireworks", "jobflow", "maggma", "numba", "numpy", "packmol"),
    *("pymatgen", "pyxtal", "scipy", "secantusdb", "spglib"),
)


def default_engine() -> Engine:
    """Make the engine that works offline without any licence."""
    return find_engine(DEFAULT_ENGINE)


def default_sampler(reference: Engine) -> Engine:
    """
    Make the fast engine that suits a reference: a universal potential, unless it is one.

    It has the dispersion of the reference, since that makes the density of the melt.
    """
    name, dispersion = split_name(reference.name)
    sampler = ENGINES.get(name, EngineRow()).sampler_of_it
    if dispersion is None or ENGINES[sampler].functional is None:
        return find_engine(sampler)
    return find_engine(name_with(sampler, dispersion.partition(":")[0]))


def sampler_names() -> list[str]:
    """Names of the engines that are fast enough for dynamics whose frames another one labels."""
    return sorted(name for name, row in ENGINES.items() if row.sampler)


def find_engine(name: str, arguments: dict[str, Any] | None = None) -> Engine:
    """
    Find an engine by its name, or make one from the import path of an ASE calculator.

    Parameters
    ----------
    name : str
        One of :data:`ENGINES`, or ``package.module:callable``; with dispersion ``chgnet+d3bj``.
    arguments : dict or None
        Keyword arguments of the callable.

    Raises
    ------
    UnknownEngineError
        If it is neither, or there is no such dispersion.
    """
    bare, text = split_name(name)
    engine = _find_bare(bare, arguments)
    if text is None:
        return engine
    from workflows.engines.dispersion import dispersion_of

    row = ENGINES.get(bare)
    own = None if row is None else row.functional
    dispersion = dispersion_of(text, bare, own)
    # one spelling each: the functional where the engine has none of its own
    functional = "" if own else f":{dispersion.functional}"
    return _with_dispersion(engine, f"{bare}+{dispersion.damping}{functional}", dispersion)


def _with_dispersion(engine: Engine, name: str, dispersion: Dispersion) -> Engine:
    """Add dispersion to an engine: within the program that it runs, or to its calculator."""
    from workflows.engines.ase.dispersion import DispersedEngine
    from workflows.engines.ase.engine import AseEngine
    from workflows.engines.base import UnknownEngineError
    from workflows.engines.plane_waves import PlaneWaveEngine

    if isinstance(engine, AseEngine):
        return DispersedEngine.of(engine, name, dispersion)
    if isinstance(engine, PlaneWaveEngine):
        return replace(engine, name=name, dispersion=dispersion)
    raise UnknownEngineError(f"the engine {engine.name} has no dispersion")


def _find_bare(name: str, arguments: dict[str, Any] | None) -> Engine:
    """Find an engine without dispersion."""
    from workflows.engines.ase.engine import AseEngine, import_callable
    from workflows.engines.base import StepCost, UnknownEngineError

    if ":" in name:
        import_callable(name)
        return AseEngine(name=name, calculator=name, arguments=arguments or {})
    row = ENGINES.get(name)
    if row is None:
        raise UnknownEngineError(
            f"there is no engine {name!r}; the engines are {', '.join(sorted(ENGINES))}, "
            "or any ASE calculator as package.module:callable"
        )
    cost = StepCost(row.seconds_per_step, row.size_exponent)
    if row.engine is not None:
        module, _, kind = row.engine.partition(":")
        made: Engine = getattr(importlib.import_module(module), kind)()
        return replace(made, cost=cost)
    return AseEngine(
        name=name,
        calculator=row.calculator or "",
        arguments=dict(row.arguments),
        known_elements=_symbols(row),
        extra=row.extra,
        cost=cost,
    )


def _symbols(row: EngineRow) -> tuple[str, ...] | None:
    """Spell out the elements up to an atomic number."""
    if not isinstance(row.elements, int):
        return row.elements
    from ase.data import chemical_symbols

    return tuple(s for s in chemical_symbols[1 : row.elements + 1] if s not in row.unknown)


def magnetic_note(engine: Engine, elements: Iterable[str]) -> str | None:
    """
    Say what an engine can and cannot say of a compound that may be magnetic.

    Parameters
    ----------
    engine : Engine
        Reference engine.
    elements : iterable of str
        Of the compound.

    Returns
    -------
    str or None
        A sentence without its full stop; none if no element is likely to have a moment.
    """
    magnetic = [symbol for symbol in elements if symbol in MAGNETIC]
    if not magnetic:
        return None
    row = ENGINES.get(base_name(engine.name), EngineRow())
    told = engine.magnetism() or row.magnetism
    if told is None:
        told = f"what {engine.name} knows of magnetism is not known"
    return f"{', '.join(magnetic)} may have magnetic moments; {told}"


def settings_branch(engine: Engine) -> str | None:
    """Branch of a protocol that holds the numbers of an engine; none if it has no such."""
    row = ENGINES.get(base_name(engine.name))
    return None if row is None else row.settings


def installed_versions() -> dict[str, str]:
    """Versions of the packages that shape results, of any engine."""
    of_engines = (package for row in ENGINES.values() for package in row.packages)
    versions = {package: _installed_version(package) for package in {*COMMON_PACKAGES, *of_engines}}
    return {package: found for package, found in sorted(versions.items()) if found is not None}


@cache
def _installed_version(package: str) -> str | None:
    """Look a version up in the package's files, once; none if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
