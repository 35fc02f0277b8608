"""The command ``devitrify``: it finds the commands and says what went wrong in one sentence."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from launch import commands
from launch.errors import explain, report_defect

#: Commands as a user comes to need them; others come after these.
ORDER = (
    *("run", "status", "results", "compare", "judge", "protocol", "workflow"),
    *("export", "import", "train", "evaluate", "search", "init", "doctor", "reconcile"),
    "clean",
)


def find_commands() -> Iterator[tuple[str, Callable[..., None]]]:
    """
    Find the commands: the modules of :mod:`launch.commands`, with the function named like each.

    A name that Python keeps for itself has an underscore after it there.

    Yields
    ------
    tuple of str and callable
        Name and function, in the order in which help lists them.
    """
    modules = [found.name for found in pkgutil.iter_modules(commands.__path__) if not found.ispkg]
    names = {module.rstrip("_"): module for module in modules}
    known = {name: number for number, name in enumerate(ORDER)}
    for name in sorted(names, key=lambda name: (known.get(name, len(ORDER)), name)):
        module = importlib.import_module(f"{commands.__name__}.{names[name]}")
        yield name, getattr(module, names[name])


def build_app() -> typer.Typer:
    """Put the commands together."""
    app = typer.Typer(
        name="devitrify",
        help="Predict crystal structures from a composition alone: melt, quench, learn, search.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_before_any_command)
    for name, function in find_commands():
        app.command(name)(function)
    return app


def _before_any_command(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --version: of all that computes, too.")
    ] = False,
) -> None:
    """Predict crystal structures from a composition alone: melt, quench, learn, search."""
    if not (version or verbose):
        return
    from launch.versions import CAMPAIGN_VERSION, installed_versions, own_version

    typer.echo(f"devitrify {own_version()}")
    if verbose:
        typer.echo(f"campaigns of version {CAMPAIGN_VERSION}")
        for name, found in installed_versions().items():
            if name != "devitrify":
                typer.echo(f"{name} {found}")
    raise typer.Exit


def main() -> None:
    """Run the command line; an expected error is one sentence on standard error."""
    try:
        for word in sys.argv:
            word.encode()  # neither a document nor a database takes other bytes
        build_app()()
    except Exception as error:
        typer.echo(f"Error: {explain(error) or report_defect(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
