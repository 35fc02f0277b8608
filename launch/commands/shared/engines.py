"""Engines that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.commands.shared.parsing import read_object, require_foreign
from launch.errors import CampaignError, as_sentence
from workflows.engines.names import base_name
from workflows.engines.registry import ENGINES

if TYPE_CHECKING:
    from workflows.engines.base import Engine


def require_installed(engine: Engine) -> None:
    """
    Make sure that an engine can compute in this environment.

    Raises
    ------
    CampaignError
        If something is not installed; the message says what to do.
    """
    reason = engine.missing()
    if reason is not None:
        raise CampaignError(as_sentence(reason))


def find_usable_engine(name: str, typed: str | None, option: str = "--engine") -> Engine:
    """
    Find an engine; one that is given by its import path is built, to see that it can be.

    Parameters
    ----------
    name : str
        Of the registry, with its dispersion, or ``module:callable``.
    typed : str or None
        JSON object of its arguments.
    option : str
        That names it.

    Raises
    ------
    CampaignError, UnknownEngineError
        If there is none, or it cannot be made; the message says what to do.
    """
    from workflows.engines.ase.engine import AseEngine
    from workflows.engines.registry import find_engine

    require_foreign(name, option)
    arguments = read_object(typed, f"{option}-arguments")
    has_name = base_name(name) in ENGINES
    if arguments and has_name:
        raise CampaignError(
            f"{option}-arguments are for calculators given as module:callable, not for {name}."
        )
    engine = find_engine(name, arguments)
    if isinstance(engine, AseEngine) and not has_name:
        try:
            built = engine.build()
        except (Exception, SystemExit) as error:  # a foreign constructor raises what it likes
            raise CampaignError(
                f"The calculator {name} cannot be made with these arguments: {error}."
            ) from error
        if not callable(getattr(built, "get_property", None)):
            raise CampaignError(f"{name} makes no ASE calculator, but a {type(built).__name__}.")
    return engine
