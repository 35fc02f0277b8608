"""What the user asked for: one object from which both a run and a workflow file are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError

if TYPE_CHECKING:
    from jobflow import Flow

    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.engines.base import Engine


@dataclass(frozen=True)
class Request:
    """
    A prediction, ready to be built.

    Attributes
    ----------
    target : Target
        Composition and formula units.
    maker : StructurePredictionMaker
        Protocol with all overrides applied.
    protocol : str
        Name of the protocol.
    """

    target: Target
    maker: StructurePredictionMaker
    protocol: str

    @property
    def engine(self) -> str:
        """Name of the reference engine."""
        return self.maker.reference.name

    def settings(self) -> dict[str, Any]:
        """Everything that changes the result, by path."""
        from workflows.settings import list_settings

        numbers = {setting.path: setting.value for setting in list_settings(self.maker)}
        engines = {"engine": _without_cost(self.maker.reference)}
        if self.maker.sampler is not None:
            engines["sampler"] = _without_cost(self.maker.sampler)
        return {**numbers, "formula_units": list(self.target.formula_units), **engines}

    def flow(self, campaign: str) -> Flow:
        """Build the task graph."""
        return self.maker.make(self.target, campaign)


@dataclass(frozen=True)
class Choices:
    """
    The options of ``run`` and ``workflow`` that say what to compute, as typed.

    Attributes
    ----------
    protocol, engine : str
    overrides : tuple of str
        ``path=value`` each.
    config : Path or None
        YAML file of overrides.
    engine_arguments : str or None
        JSON object of keyword arguments of an ASE calculator.
    formula_units : str or None
        Comma-separated numbers.
    atoms_max : int or None
    seed : int or None
        None: that of the protocol or the configuration.
    sampler : str or None
        Engine of the dynamics where the reference engine only labels; none: the default for it.
    sampler_arguments : str or None
        As ``engine_arguments``.
    """

    protocol: str
    engine: str
    overrides: tuple[str, ...] = ()
    config: Path | None = None
    engine_arguments: str | None = None
    formula_units: str | None = None
    atoms_max: int | None = None
    seed: int | None = None
    sampler: str | None = None
    sampler_arguments: str | None = None


def read_request(formula: str, choices: Choices) -> Request:
    """
    Check what was typed and turn it into a request.

    Parameters
    ----------
    formula
        Chemical formula.
    choices
        Options.

    Raises
    ------
    CampaignError
        If anything does not fit; the message says what to do.
    """
    from workflows.chains.protocols import UnknownProtocolError, find_protocol
    from workflows.composition import FormulaError, parse_target
    from workflows.engines.base import UnknownEngineError
    from workflows.settings import SettingError, override, override_all

    try:
        engine = _read_engine(choices.engine, choices.engine_arguments)
        target = parse_target(
            formula,
            engine.elements(),
            engine.name,
            _read_formula_units(choices.formula_units),
            choices.atoms_max,
        )
        maker = find_protocol(choices.protocol)
        if choices.config is not None:
            maker = override_all(maker, _read_yaml(choices.config))
        for text in choices.overrides:
            path, equals, value = text.partition("=")
            if not equals:
                raise SettingError(f"--set {text!r} has no value; write --set quench.rate=200")
            maker = override(maker, path.strip(), value.strip())
        maker = replace(maker, sampler=_read_sampler(choices, maker, engine, target))
    except (FormulaError, UnknownEngineError, UnknownProtocolError, SettingError) as error:
        raise CampaignError(_sentence(str(error))) from error
    seed = maker.seed if choices.seed is None else choices.seed
    maker = replace(maker, seed=seed).with_reference(engine)
    return Request(target=target, maker=maker, protocol=choices.protocol)


def _without_cost(engine: Engine) -> dict[str, Any]:
    """Spell an engine out, but for what only estimates look at."""
    return {key: value for key, value in engine.as_dict().items() if key != "cost"}


def require_installed(engine: Engine) -> None:
    """
    Make sure that an engine can compute in this environment.

    Raises
    ------
    CampaignError
        If something is not installed; the message says what to do.
    """
    reason = engine.missing()
    if reason is not None:
        raise CampaignError(_sentence(reason))


def _sentence(text: str) -> str:
    """Start with a capital and end with a stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _read_formula_units(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CampaignError(f"--z takes whole numbers such as 1,2,4, not {text!r}.") from None


def _read_sampler(
    choices: Choices, maker: StructurePredictionMaker, engine: Engine, target: Target
) -> Engine | None:
    """Find the engine of the dynamics, if it is not the reference engine."""
    from workflows.engines.registry import default_sampler

    if not maker.active.rounds:
        if choices.sampler is not None:
            raise CampaignError(
                f"--sampler is of no use here, since {engine.name} makes the trajectories itself; "
                "take --protocol economical, or --set active.rounds=2."
            )
        return None
    sampler: Engine = default_sampler(engine)
    if choices.sampler is not None:
        sampler = _read_engine(choices.sampler, choices.sampler_arguments, "--sampler")
    if sampler.has_plane_waves:
        raise CampaignError(
            f"{sampler.name} is too dear for a --sampler; take a fast engine such as chgnet."
        )
    unknown = sorted(set(target.elements) - (sampler.elements() or set(target.elements)))
    if unknown:
        raise CampaignError(
            f"The sampler {sampler.name} does not know {', '.join(unknown)}; choose another "
            "--sampler, such as pair."
        )
    return sampler


def _read_engine(name: str, typed: str | None, option: str = "--engine") -> Engine:
    """Find the engine; one that is given by its import path is built, to see that it can be."""
    from workflows.engines.ase.engine import AseEngine
    from workflows.engines.registry import ENGINES, find_engine

    arguments = _read_arguments(typed, option)
    if arguments and name in ENGINES:
        raise CampaignError(
            f"{option}-arguments are for calculators given as module:callable, not for {name}."
        )
    engine = find_engine(name, arguments)
    if isinstance(engine, AseEngine) and name not in ENGINES:
        try:
            engine.build()
        except Exception as error:  # a foreign constructor raises what it likes
            raise CampaignError(
                f"The calculator {name} cannot be made with these arguments: {error}."
            ) from error
    return engine


def _read_arguments(text: str | None, option: str) -> dict[str, Any]:
    import json

    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise CampaignError(f"{option}-arguments is not JSON: {error}.") from None
    if not isinstance(arguments, dict):
        raise CampaignError(f'{option}-arguments takes a JSON object such as {{"epsilon": 0.1}}.')
    return arguments


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CampaignError(f"The configuration file {path} cannot be read: {error}.") from None
    if not isinstance(values, dict):
        raise CampaignError(f"The configuration file {path} must map settings to values.")
    return values
