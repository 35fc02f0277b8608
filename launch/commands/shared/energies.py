"""What is searched on: a potential, an engine or an ASE calculator, by what was typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launch.commands.shared.parsing import read_object, require_foreign
from launch.errors import CampaignError, as_sentence
from workflows.engines.names import base_name, name_with
from workflows.engines.registry import DEFAULT_ENGINE, ENGINES, find_engine

if TYPE_CHECKING:
    from search.relax.energy import BatchEnergy


def named_with_dispersion(name: str, dispersion: str | None) -> str:
    """
    Name an engine or an ASE calculator with its dispersion, in one spelling.

    Parameters
    ----------
    name : str
        Path of a potential, name of an engine, or ``module:callable``.
    dispersion : str or None
        As typed; none: as the name says.

    Raises
    ------
    CampaignError
        If a potential is to have one.
    UnknownEngineError
        If there is no such dispersion.
    """
    if dispersion is not None and not is_engine(name):
        raise CampaignError(
            "A potential has the dispersion of the frames that it was trained on: --dispersion "
            "is for engines and ASE calculators."
        )
    named = name_with(name, dispersion)
    # one spelling, whichever of them was typed
    return find_engine(named).name if base_name(named) != named else named


def find_energy(name: str, arguments: str | None = None) -> BatchEnergy:
    """
    Load a potential from its file, or an ASE calculator from its name or import path.

    Parameters
    ----------
    name : str
        Path, name of an engine, or ``module:callable``, with dispersion or without.
    arguments : str or None
        JSON object of keyword arguments of the callable.

    Raises
    ------
    CampaignError
        If it is none of these, or knows no stress.
    """
    from launch.commands.shared.potential_files import load_potential
    from search.relax.energy import AseEnergy, require_stress
    from workflows.engines.base import MissingEngineError, UnknownEngineError

    if not is_engine(name):
        potential = load_potential(Path(name))
        try:
            require_stress(potential)
        except ValueError as error:
            raise CampaignError(f"{name} cannot be used: {error}.") from None
        return potential
    require_foreign(name, "The potential")
    keywords = read_object(arguments, "--calculator-arguments")
    try:
        engine = find_engine(name, keywords)
        calculator = engine.crystal_calculator()
        if calculator is None:
            raise CampaignError(
                f"The engine {name} needs a job for each structure; search with a potential, or "
                f"with an engine that computes here, such as {DEFAULT_ENGINE}."
            )
        return AseEnergy(calculator, tuple(sorted(engine.elements() or ())))
    except (MissingEngineError, UnknownEngineError, ValueError) as error:
        raise CampaignError(as_sentence(str(error))) from None
    except TypeError as error:
        raise CampaignError(f"{name} cannot be built from its arguments: {error}.") from None


def is_engine(name: str) -> bool:
    """Whether what is searched on is an engine or an ASE calculator, not a file."""
    bare = base_name(name)
    return ":" in bare or bare in ENGINES
