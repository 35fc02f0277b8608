"""Protocols: named sets of all the numbers of a prediction."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from workflows.chains.prediction import StructurePredictionMaker
from workflows.chains.protocol_numbers import PROTOCOLS
from workflows.settings import override_all


class UnknownProtocolError(ValueError):
    """There is no protocol of that name."""


def find_protocol(name: str) -> StructurePredictionMaker:
    """
    Build the tree of makers of a protocol.

    Parameters
    ----------
    name : str
        One of :data:`~workflows.chains.protocol_numbers.PROTOCOLS`.

    Raises
    ------
    UnknownProtocolError
        If there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UnknownProtocolError(
            f"there is no protocol {name!r}; the protocols are {', '.join(PROTOCOLS)}"
        )
    return deepcopy(_protocol(name))  # which takes a tenth of the time


@cache
def _protocol(name: str) -> StructurePredictionMaker:
    return override_all(StructurePredictionMaker(), PROTOCOLS[name])
