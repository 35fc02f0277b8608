"""Whether the settings of a prediction fit what it is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target


def require_fit_for_system(maker: StructurePredictionMaker, target: Target) -> None:
    """
    Refuse settings that have no meaning for a system, and space groups that no cell of it fits.

    Raises
    ------
    SettingError
        If there are any.
    """
    from search.create.space_groups import SpaceGroupError
    from search.state.contents import contents_of
    from workflows.settings import SettingError
    from workflows.stages.search_extent import searched
    from workflows.stages.table import STAGES

    evolution, improve = maker.search.evolution, getattr(maker, STAGES["improve"].name)
    refused = {
        "search_level": maker.search_level == "reference",
        "until": maker.until == "judge",
        "improve.melt_quench": bool(improve.melting.melt_quench),
        "search.evolution.prototypes": evolution.prototypes is not None,
    }
    for path, wrong in refused.items():
        if wrong:
            raise SettingError(
                f"{path!r} is for a formula, and not for a system: leave it as it is"
            )
    try:
        contents_of(*searched(target, evolution))
    except SpaceGroupError as error:
        raise SettingError(
            f"'search.evolution.space_groups' cannot be {evolution.space_groups!r}: {error}"
        ) from None


def with_prototypes(maker: StructurePredictionMaker, target: Target) -> StructurePredictionMaker:
    """
    Read the prototypes that a search is to begin from, to see that there are some.

    Returns
    -------
    StructurePredictionMaker
        With the whole path of their folder: jobs run elsewhere.

    Raises
    ------
    SettingError
        If there are none that fit.
    """
    from search.create.prototypes import AFLOW, PrototypeLibrary
    from workflows.settings import SettingError, override

    for branch in ("search", "reference_search"):
        source = getattr(maker, branch).evolution.prototypes
        if source is None:
            continue
        path = f"{branch}.evolution.prototypes"
        try:
            PrototypeLibrary.load(source, target.counts)
        except (OSError, ValueError) as error:
            raise SettingError(f"{path!r} cannot be {source!r}: {error}") from None
        if source != AFLOW:
            maker = override(maker, path, str(Path(source).expanduser().absolute()))
    return maker


def require_room(maker: StructurePredictionMaker, target: Target) -> None:
    """
    Make sure that the composition fits into the space groups that are asked for.

    Raises
    ------
    SettingError
        If it fits into none of them.
    """
    from search.create.space_groups import SpaceGroupError, usable_units
    from workflows.settings import SettingError

    for branch in ("search", "reference_search"):
        options = getattr(maker, branch).evolution
        if options.groups is None:
            continue
        try:
            usable_units(options.groups, target.counts, target.formula_units)
        except SpaceGroupError as error:
            path = f"{branch}.evolution.space_groups"
            raise SettingError(f"{path!r} cannot be {options.space_groups!r}: {error}") from None
