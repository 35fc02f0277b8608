"""Options that are more than one word: lists of numbers, JSON, settings by their paths."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from launch.commands.shared.options import MOST_ATOMS
from launch.errors import CampaignError

if TYPE_CHECKING:
    from workflows.composition import Target

Tree = TypeVar("Tree")

#: Pressures of one campaign, each of which is searched at.
MOST_PRESSURES = 20


def apply_overrides(tree: Tree, texts: Iterable[str] | None) -> Tree:
    """
    Return a copy of a tree of dataclasses with the numbers that ``--set`` gives.

    Parameters
    ----------
    tree : dataclass
        With the numbers to change, see :mod:`workflows.settings`.
    texts : iterable of str or None
        ``path=value`` each; a later one wins.

    Raises
    ------
    SettingError
        If there is no such number, or its value does not fit.
    """
    from workflows.settings import SettingError, override

    for text in texts or ():
        path, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"--set {text!r} has no value; write --set {path.strip()}=VALUE")
        tree = override(tree, path.strip(), value.strip())
    return tree


def read_numbers(text: str | None, option: str = "--z") -> tuple[int, ...] | None:
    """
    Read whole numbers with commas between them; none for none.

    Raises
    ------
    CampaignError
        If they are no such numbers.

    Examples
    --------
    >>> read_numbers("1,2,4")
    (1, 2, 4)
    """
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CampaignError(f"{option} takes whole numbers such as 1,2,4, not {text!r}.") from None
    if any(not 1 <= number <= MOST_ATOMS for number in numbers):
        raise CampaignError(f"{option} takes whole numbers from 1 to {MOST_ATOMS}, not {text!r}.")
    return numbers


def read_pressure(gigapascals: float, option: str = "--pressure") -> float:
    """
    Convert a pressure from GPa to kbar.

    Raises
    ------
    CampaignError
        If it is no number, or larger than any that is meant.

    Examples
    --------
    >>> read_pressure(20.0)
    200.0
    """
    from search.relax.pressure import GPA, LARGEST_PRESSURE

    most = LARGEST_PRESSURE / GPA
    if not abs(gigapascals) <= most:  # which is false of what is no number, too
        raise CampaignError(f"{option} takes GPa from {-most:g} to {most:g}, not {gigapascals:g}.")
    return gigapascals * GPA


def read_pressures(text: str | None, gigapascals: float) -> tuple[float, ...]:
    """
    Convert the pressures of ``--pressures``, or the one of ``--pressure``, from GPa to kbar.

    Parameters
    ----------
    text : str or None
        Of ``--pressures``: numbers with commas between them, in any order.
    gigapascals : float
        Of ``--pressure``.

    Returns
    -------
    tuple of float
        In rising order.

    Raises
    ------
    CampaignError
        If they are no such numbers, if one is there twice, or if both options are given.

    Examples
    --------
    >>> read_pressures("25,0,10", 0.0)
    (0.0, 100.0, 250.0)
    """
    if text is None:
        return (read_pressure(gigapascals),)
    if gigapascals:
        raise CampaignError("Give --pressure or --pressures, not both.")
    try:
        typed = [float(part) for part in text.split(",")]
    except ValueError:
        raise CampaignError(
            f"--pressures takes GPa with commas between them, such as 0,10,25, not {text!r}."
        ) from None
    found = tuple(sorted(read_pressure(value, "--pressures") for value in typed))
    if len(set(found)) < len(found):
        twice = next(value for value in typed if typed.count(value) > 1)
        raise CampaignError(f"--pressures has {twice:g} GPa twice; give each pressure once.")
    if len(found) > MOST_PRESSURES:
        raise CampaignError(
            f"--pressures has {len(found)} pressures; {MOST_PRESSURES} are the most, since each is "
            "a search of its own."
        )
    return found


def require_size(target: Target) -> None:
    """
    Refuse cells that no search can treat.

    Raises
    ------
    CampaignError
        If the largest has too many atoms.
    """
    n_atoms = max(target.formula_units) * sum(target.counts.values())
    if n_atoms > MOST_ATOMS:
        raise CampaignError(
            f"{target.formula} with Z = {max(target.formula_units)} has {n_atoms} atoms in a cell; "
            f"{MOST_ATOMS} are the most."
        )


def read_object(text: str | None, option: str) -> dict[str, Any]:
    """
    Read a JSON object, of keyword arguments; an empty one for none.

    Raises
    ------
    CampaignError
        If it is none; the message names the option.

    Examples
    --------
    >>> read_object('{"epsilon": 0.1}', "--engine-arguments")
    {'epsilon': 0.1}
    """
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise CampaignError(f"{option} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise CampaignError(f'{option} takes a JSON object such as {{"epsilon": 0.1}}.')
    return found


def require_foreign(name: str, option: str) -> None:
    """
    Refuse an import path into Python itself, such as ``os:abort``: no calculator is there.

    Raises
    ------
    CampaignError
        If the path is such.
    """
    module, colon, _ = name.partition(":")
    if colon and module.partition(".")[0] in sys.stdlib_module_names:
        raise CampaignError(
            f"{option} {name} is no ASE calculator: Python's own modules have none."
        )
