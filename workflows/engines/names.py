"""
Names of engines, with their dispersion.

An engine with dispersion is another engine, with another name: ``chgnet+d3bj``. So its energies
stay apart from those without wherever engines are told apart: in campaigns, documents and tables.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

#: How the energy of D3 is damped at short distances: by Becke and Johnson's function, or to zero.
Damping = Literal["d3bj", "d3zero"]
DAMPINGS: tuple[str, ...] = get_args(Damping)
#: What ``--dispersion`` takes for an engine as it is.
NO_DISPERSION = "none"

_SUFFIX = re.compile(rf"(?P<engine>.+)\+(?P<dispersion>(?:{'|'.join(DAMPINGS)})(?::[\w-]+)?)")


def split_name(name: str) -> tuple[str, str | None]:
    """
    Part the name of an engine from that of its dispersion.

    Examples
    --------
    >>> split_name("chgnet+d3bj"), split_name("chgnet")
    (('chgnet', 'd3bj'), ('chgnet', None))
    """
    found = _SUFFIX.fullmatch(name)
    return (found["engine"], found["dispersion"]) if found else (name, None)


def base_name(name: str) -> str:
    """Name of an engine without its dispersion."""
    return split_name(name)[0]


def name_with(name: str, dispersion: str | None) -> str:
    """
    Name an engine with the dispersion that ``--dispersion`` says.

    Parameters
    ----------
    name : str
        Of an engine, with a dispersion or without.
    dispersion : str or None
        ``none``: without; None: as the name says.

    Raises
    ------
    UnknownEngineError
        If there is no such dispersion.

    Examples
    --------
    >>> name_with("chgnet", "d3bj"), name_with("chgnet+d3bj", "none")
    ('chgnet+d3bj', 'chgnet')
    """
    if dispersion is None:
        return name
    from workflows.engines.base import UnknownEngineError

    bare = base_name(name)
    if dispersion == NO_DISPERSION:
        return bare
    joined = f"{bare}+{dispersion}"
    if split_name(joined) == (joined, None):
        raise UnknownEngineError(
            f"there is no dispersion {dispersion!r}; take {', '.join((NO_DISPERSION, *DAMPINGS))}, "
            "for an ASE calculator with its functional, such as d3bj:pbe"
        )
    return joined
