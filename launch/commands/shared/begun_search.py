"""A search that has begun in a folder, and whether it is the one that is asked for."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError

if TYPE_CHECKING:
    from search.state.evolution import Evolution

#: Of what a search leaves in its folder, raised where an earlier one cannot be gone on with.
SEARCH_VERSION = 3


def require_same_search(folder: Path, settings: dict[str, Any], islands: list[Evolution]) -> None:
    """
    Refuse to go on with another potential or other settings; allow a larger budget.

    Parameters
    ----------
    folder : Path
        Of the search; a search that begins leaves its settings there.
    settings : dict
        Everything that makes it another one, the budget left out.
    islands : list of Evolution
        As they would begin, with the budget of now.

    Raises
    ------
    CampaignError
        If another search has begun there.
    """
    from launch.local.campaign_document import digest
    from nnp.storage.files import write_atomically
    from search.run.driver import read_object as read_stored
    from search.run.islands import change_budget

    record = folder / "settings.json"
    begun = bool(list(folder.glob("island_*.json")))
    stored = read_stored(record) if begun and record.exists() else None
    # the first version kept one population, in a file of its own
    first = (folder / "search.json").exists()
    if first or (stored is not None and stored.get("version") != SEARCH_VERSION):
        raise CampaignError(
            f"{folder} holds a search saved by an earlier version; use another --output."
        )
    if not begun:
        write_atomically(record, json.dumps(settings, indent=1) + "\n")
        return
    if stored is None or digest(_with_defaults(stored)) != digest(settings):
        raise CampaignError(
            f"{folder} holds a search with another formula, pressure, seed, potential or "
            "settings; use another --output."
        )
    change_budget(folder, islands)


def digest_or_name(potential: str) -> str:
    """
    What tells this potential from another: the digest of its file, or its name.

    Parameters
    ----------
    potential : str
        Path of a file, or a name.
    """
    file = Path(potential)
    return digest_of(file) if file.is_file() else potential


def digest_of(file: Path) -> str:
    """
    SHA-256 of a file.

    Parameters
    ----------
    file : Path
        It is read whole.
    """
    return sha256(file.read_bytes()).hexdigest()


def _with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Settings of a search that was begun before the last options came to be."""
    from search.options import EvolutionOptions
    from search.relax.relaxer import Relaxer

    defaults = {
        "evolution": EvolutionOptions().as_dict(),
        "relaxer": Relaxer().as_dict(),
        "pressure": 0.0,
    }
    return _laid_over(defaults, stored)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Join the fields of two documents, and of the documents in them; the second counts."""
    found = {**below, **above}
    for key in below.keys() & above.keys():
        # shares, for one, are a value: what they leave out is none
        if isinstance(below[key], dict) and "@class" in below[key]:
            found[key] = _laid_over(below[key], above[key])
    return found
