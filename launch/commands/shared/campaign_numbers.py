"""The numbers, the target and the engine of a campaign that has run, for commands that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.commands.shared.parsing import read_object, require_foreign
from launch.commands.shared.prediction import PRESSURE_SETTING, PRESSURES_SETTING
from launch.errors import CampaignError

if TYPE_CHECKING:
    from launch.local.campaign import Campaign
    from launch.report.campaign_results import CampaignResults
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.engines.base import Engine


def numbers_of(campaign: Campaign | None, branches: tuple[str, ...]) -> StructurePredictionMaker:
    """
    Return the protocol of a campaign, with its own numbers in some branches.

    Parameters
    ----------
    campaign : Campaign or None
        None: of the default protocol.
    branches : tuple of str
        Beginnings of the paths of settings, ``"judge."`` for one.
    """
    from workflows.chains.protocol_numbers import DEFAULT_PROTOCOL
    from workflows.chains.protocols import find_protocol
    from workflows.settings import list_settings, override

    maker = find_protocol(DEFAULT_PROTOCOL if campaign is None else campaign.document.protocol)
    if campaign is not None:
        stored = campaign.document.settings
        for setting in list_settings(maker):
            of_interest = setting.path.startswith(branches) and setting.path in stored
            if of_interest and stored[setting.path] != setting.value:
                maker = override(maker, setting.path, stored[setting.path])
    return maker


def target_of(results: CampaignResults, formula: str, settings: dict[str, Any]) -> Target:
    """
    Return composition, formula units and pressure of a campaign's search.

    Parameters
    ----------
    results : CampaignResults
    formula : str
    settings : dict
        Of the campaign; empty where nobody knows them.

    Raises
    ------
    CampaignError
        If it is of a system, which has many.
    """
    from search.composition_parsing import is_system
    from search.relax.pressure import GPA
    from workflows.composition import Target
    from workflows.documents.search import SearchDocument

    if is_system(formula):
        raise CampaignError(
            f"The campaign {results.campaign} is of a system, {formula}, and this is for campaigns "
            "of a formula: known phases of a system are given to devitrify run by --known."
        )
    units, pressure = settings.get("formula_units"), GPA * settings.get(PRESSURE_SETTING, 0.0)
    if units is None:
        search = results.newest(SearchDocument)
        units = [1, 2, 4] if search is None else search.formula_units
        pressure = 0.0 if search is None else search.pressure
    return Target(formula, tuple(units), pressure)


def targets_of(results: CampaignResults, formula: str, settings: dict[str, Any]) -> list[Target]:
    """
    Return a target for each pressure of a campaign, the highest first.

    Parameters
    ----------
    results : CampaignResults
    formula : str
    settings : dict
        Of the campaign; empty where nobody knows them.
    """
    from search.relax.pressure import GPA
    from workflows.documents.search import SearchDocument

    target = target_of(results, formula, settings)
    pressures = [GPA * pressure for pressure in settings.get(PRESSURES_SETTING, ())]
    if not settings and (search := results.newest(SearchDocument)) is not None:
        pressures = search.pressures
    return [target.at(pressure) for pressure in sorted(pressures or [target.pressure])[::-1]]


def engine_of(
    results: CampaignResults,
    maker: StructurePredictionMaker,
    settings: dict[str, Any],
    other: str | None = None,
    arguments: str | None = None,
    dispersion: str | None = None,
) -> Engine:
    """
    Return the engine of a campaign, with the plane waves that it found, or another.

    Parameters
    ----------
    results : CampaignResults
    maker : StructurePredictionMaker
        Has the numbers of engines.
    settings : dict
        Of the campaign; empty where nobody knows them.
    other : str or None
        Name of another engine, as typed behind ``--engine``.
    arguments : str or None
        As typed behind ``--engine-arguments``.
    dispersion : str or None
        As typed behind ``--dispersion``.

    Raises
    ------
    CampaignError
        If nothing says which one it is.
    """
    from workflows.documents.convergence import ConvergenceDocument
    from workflows.documents.prediction import PredictionDocument
    from workflows.engines.names import base_name, name_with
    from workflows.engines.registry import find_engine

    stored = settings.get("engine") or {}
    ranked = None if stored else results.newest(PredictionDocument)
    own = stored.get("name") or (ranked.engine if ranked else None)
    engine_name = other or own
    if engine_name is None:
        raise CampaignError(
            f"Nothing says which engine the campaign {results.campaign} has: give --engine."
        )
    name = name_with(engine_name, dispersion)
    require_foreign(name, "--engine")
    keywords = read_object(arguments, "--engine-arguments")
    # dispersion changes neither the arguments nor the plane waves
    alike = own is not None and base_name(name) == base_name(own)
    if alike and not keywords:
        keywords = stored.get("arguments") or {}
    engine = maker.with_reference(find_engine(name, keywords)).reference
    convergence = results.newest(ConvergenceDocument)
    if alike and convergence is not None:
        engine = engine.with_plane_waves(convergence.plane_waves)
    return engine
