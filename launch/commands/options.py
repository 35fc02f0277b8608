"""Commands whose options are a dataclass, not a long list of parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def command_of(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """
    Make a function of one options object a command for Typer.

    Parameters
    ----------
    kind
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

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**values: Any) -> None:
            function(kind(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
