"""What people are told of a formula before anything is computed."""

from __future__ import annotations

import typer


def warn_of_formula(formula: str) -> None:
    """Print a warning, among the errors, if no common oxidation states balance a formula."""
    from search.composition_parsing import is_system
    from workflows.oxidation import unbalanced

    if is_system(formula):
        return
    warning = unbalanced(formula)
    if warning is not None:
        typer.secho(f"Warning: {warning}.", fg=typer.colors.YELLOW, err=True)
