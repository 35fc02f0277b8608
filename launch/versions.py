"""Versions: of this program, of the campaigns that it runs, and of all that computes."""

from __future__ import annotations

import platform
from typing import Any

#: Raised where jobs or documents of running campaigns can no longer be understood.
CAMPAIGN_VERSION = 3
#: Which devitrify ran campaigns of other versions last; None: of before they had a number. Commits
#: are named where a release was not.
LAST_TO_RUN: dict[int | None, str] = {
    None: "devitrify 0.1.0 at commit ce73b4f",
    1: "devitrify 0.1.0 at commit 5b2b32f",
    2: "devitrify 0.1.0 at commit 11c7a53",
}


def own_version() -> str:
    """Return the version of devitrify that is installed here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("devitrify")
    except PackageNotFoundError:  # a checkout that is not installed
        return "of a checkout"


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape the results."""
    from workflows.engines.registry import installed_versions as of_packages

    return {"python": platform.python_version(), **of_packages()}


def who_runs(found: Any, begun_by: object = None) -> str:
    """
    Say which devitrify runs campaigns of another version.

    Parameters
    ----------
    found : object
        Version of the campaign, whatever stands in its place.
    begun_by : object
        Version of the devitrify that began it, if it is known.

    Returns
    -------
    str
        A name that a sentence can use.

    Examples
    --------
    >>> who_runs(2)
    'devitrify 0.1.0 at commit 11c7a53'
    >>> who_runs(99, "7.1.0")
    'devitrify 7.1.0'
    """
    is_number = isinstance(found, int) and not isinstance(found, bool)
    if found is None or is_number:
        known = LAST_TO_RUN.get(found)
        if known is not None:
            return known
    if isinstance(begun_by, str) and begun_by != own_version():
        return f"devitrify {begun_by}"
    return "the devitrify that began it"


def refusal(whose: str, found: Any, begun_by: object = None) -> str:
    """
    Say that a campaign of another version is not run here, and what runs it.

    Parameters
    ----------
    whose : str
        Which campaign; the beginning of the sentence.
    found : object
        Its version; None if it is older than the numbers.
    begun_by : object
        Version of the devitrify that began it, if it is known.

    Returns
    -------
    str
        Without its full stop.
    """
    other = "an earlier version" if found is None else f"version {found!s:.20} of campaigns"
    return (
        f"{whose} is of {other}, and this devitrify {own_version()} runs version "
        f"{CAMPAIGN_VERSION}: go on with {who_runs(found, begun_by)}"
    )
