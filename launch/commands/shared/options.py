"""Commands whose options are a dataclass, and options that several commands have."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from workflows.engines.names import DAMPINGS, NO_DISPERSION

Options = TypeVar("Options")

#: More than any search can treat; far fewer than would be counted for ever.
MOST_ATOMS = 1000
#: What a document holds as a whole number.
LARGEST_SEED = 2**63 - 1
#: Processes or threads of one machine.
MOST_WORKERS = 1024

#: Of a cluster, for the commands that read its database.
ConfigurationFolder = Annotated[
    Path | None, typer.Option("--config", help="Configuration; default: ~/.config/devitrify.")
]
#: Of one process.
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Default: all cores.", min=1, max=MOST_WORKERS),
]
#: Where the database of a campaign in a folder is now.
CampaignDatabase = Annotated[
    str | None, typer.Option("--db", help="URI of the campaign's MongoDB, if it has moved.")
]


#: From outside, GPa.
Pressure = Annotated[
    float, typer.Option("--pressure", help="From outside, GPa; below zero: tension.")
]


#: On top of an engine.
Dispersion = Annotated[
    str | None,
    typer.Option(
        "--dispersion",
        help=f"On top of the engine: {', '.join((NO_DISPERSION, *DAMPINGS))}; of an ASE calculator "
        f"with its functional, e.g. d3bj:pbe. Default: {NO_DISPERSION}.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Which cells to search, and at which pressure, or pressures."""

    z: Annotated[str | None, typer.Option("--z", help="Formula units in the cell, e.g. 1,2,4.")] = (
        None
    )
    atoms_max: Annotated[
        int | None,
        typer.Option("--atoms-max", help="Largest cell to search.", min=1, max=MOST_ATOMS),
    ] = None
    pressure: Pressure = 0.0
    pressures: Annotated[
        str | None,
        typer.Option(
            "--pressures",
            help="Several pressures, GPa, e.g. 0,10,25: phases at each, transitions between them.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StructureOptions(CellOptions):
    """Which cells to search, and what the search makes its structures of."""

    space_groups: Annotated[
        str | None,
        typer.Option(
            "--space-groups",
            help="That structures from nothing are made in, e.g. 2,14-15,Pnma; default: all.",
        ),
    ] = None
    prototypes: Annotated[
        str | None,
        typer.Option(
            "--prototypes",
            help="Begin with known structure types: aflow, or a folder of CIF files.",
        ),
    ] = None

    def structure_overrides(self, *branches: str) -> list[str]:
        """
        Write what is asked for as settings.

        Parameters
        ----------
        *branches : str
            Paths of the options of the searches.
        """
        given = {"space_groups": self.space_groups, "prototypes": self.prototypes}
        return [
            f"{branch}.{name}={value}"
            for branch in branches
            for name, value in given.items()
            if value is not None
        ]


def command_of(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """
    Make a function of one options object a command for Typer.

    Parameters
    ----------
    kind : type
        Dataclass; its fields are annotated as Typer's parameters are.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Greeting:
    ...     name: Annotated[str, typer.Option(help="Of whom.")] = "you"
    >>> @command_of(Greeting)
    ... def greet(options: Greeting) -> None:
    ...     print(options.name)
    """
    hints = get_type_hints(kind, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)  # type: ignore[arg-type]
    ]
    parameters.sort(
        key=lambda p: p.default is not inspect.Parameter.empty
    )  # what is required first

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**values: Any) -> None:
            function(kind(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def words_of(options: Any) -> list[str]:
    """
    Spell out options as they are typed, those with their defaults left out.

    Parameters
    ----------
    options : dataclass instance
        Of a class that :func:`command_of` takes; what has no default is an argument.

    Returns
    -------
    list of str
        Words behind the name of the command; relative paths are made absolute.
    """
    hints = get_type_hints(type(options), include_extras=True)
    arguments, words = [], []
    for field in fields(options):
        value = getattr(options, field.name)
        (parameter,) = hints[field.name].__metadata__
        if isinstance(parameter, ArgumentInfo):
            arguments.append(_word(value))
        elif value != field.default:
            flag = _flag(parameter) or f"--{field.name.replace('_', '-')}"
            values = value if isinstance(value, list) else [value]
            words += [flag] if value is True else [w for v in values for w in (flag, _word(v))]
    return [*arguments, *words]


def least_and_most(options: type, name: str) -> tuple[float, float]:
    """
    Return the smallest and the largest number that an option may be.

    Parameters
    ----------
    options : type
        A class that :func:`command_of` takes.
    name : str
        Of the field.
    """
    (parameter,) = get_type_hints(options, include_extras=True)[name].__metadata__
    least, most = parameter.min, parameter.max
    return -math.inf if least is None else least, math.inf if most is None else most


def _flag(parameter: OptionInfo) -> str | None:
    """Long name of an option, if it was given one: Typer takes the first for its default here."""
    names = (parameter.default, *(parameter.param_decls or ()))
    return next((n for n in names if isinstance(n, str) and n.startswith("--")), None)


def _word(value: Any) -> str:
    return str(value.expanduser().absolute()) if isinstance(value, Path) else str(value)
