"""Dispersion by Grimme's D3, on top of an engine whose functional has none."""

from __future__ import annotations

from dataclasses import dataclass

from monty.json import MSONable

from workflows.engines.base import UnknownEngineError
from workflows.engines.names import Damping


@dataclass(frozen=True)
class Dispersion(MSONable):
    """
    Pairwise dispersion of a functional.

    There are no terms of three atoms, as in VASP's ``IVDW = 11`` and ``12``: the energies are those
    of all engines alike.

    Parameters
    ----------
    damping : str
        One of :data:`~workflows.engines.names.DAMPINGS`.
    functional : str
        Whose parameters are taken, as simple-dftd3 calls it.

    References
    ----------
    S. Grimme et al., J. Chem. Phys. 132, 154104 (2010); J. Comput. Chem. 32, 1456 (2011).
    """

    damping: Damping
    functional: str


def dispersion_of(text: str, engine: str, functional: str | None) -> Dispersion:
    """
    Find the dispersion that suits an engine.

    Parameters
    ----------
    text : str
        Damping, and the functional if the engine does not say it: ``d3bj:pbe``.
    engine : str
        Its name, for messages.
    functional : str or None
        That the engine computes; none if it does not say.

    Raises
    ------
    UnknownEngineError
        If the functional is missing, is not the engine's, or has no parameters.
    """
    damping, _, typed = text.partition(":")
    if functional is None and not typed:
        raise UnknownEngineError(
            f"the engine {engine} does not say of which functional it is, whose dispersion would "
            f"fit; write it behind a colon, such as --dispersion {damping}:pbe"
        )
    if functional is not None and typed and typed.lower() != functional:
        raise UnknownEngineError(
            f"the engine {engine} is of {functional}, not of {typed}: --dispersion {damping}"
        )
    found = Dispersion(damping, functional or typed.lower())  # type: ignore[arg-type]
    _require_parameters(found)
    return found


def _require_parameters(dispersion: Dispersion) -> None:
    """Raise an UnknownEngineError if nobody has fitted the dispersion of a functional."""
    from dftd3.interface import RationalDampingParam, ZeroDampingParam

    kind = {"d3bj": RationalDampingParam, "d3zero": ZeroDampingParam}[dispersion.damping]
    try:
        kind(method=dispersion.functional, atm=False)
    except RuntimeError:
        raise UnknownEngineError(
            f"{dispersion.damping} has no parameters for the functional {dispersion.functional}"
        ) from None
