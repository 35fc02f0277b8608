"""What the user asked for: one object from which both a run and a workflow file are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError

if TYPE_CHECKING:
    from jobflow import Flow

    from workflows.composition import Target
    from workflows.engines import Engine
    from workflows.prediction import StructurePredictionMaker


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
        return self.maker.dynamics.engine.name

    def settings(self) -> dict[str, Any]:
        """Everything that changes the result, by path."""
        from workflows.settings import list_settings

        numbers = {setting.path: setting.value for setting in list_settings(self.maker)}
        engine = self.maker.dynamics.engine.as_dict()
        return {**numbers, "formula_units": list(self.target.formula_units), "engine": engine}

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
    """

    protocol: str
    engine: str
    overrides: tuple[str, ...] = ()
    config: Path | None = None
    engine_arguments: str | None = None
    formula_units: str | None = None
    atoms_max: int | None = None
    seed: int | None = None


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
    from workflows.composition import FormulaError, parse_target
    from workflows.engines import UnknownEngineError
    from workflows.protocols import UnknownProtocolError, find_protocol
    from workflows.settings import SettingError, override, override_all

    try:
        engine = _read_engine(choices)
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
    except (FormulaError, UnknownEngineError, UnknownProtocolError, SettingError) as error:
        raise CampaignError(_sentence(str(error))) from error
    seed = maker.seed if choices.seed is None else choices.seed
    dynamics = replace(maker.dynamics, engine=engine.configure(maker))
    maker = replace(maker, seed=seed, dynamics=dynamics)
    return Request(target=target, maker=maker, protocol=choices.protocol)


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


def _read_engine(choices: Choices) -> Engine:
    """Find the engine; one that is given by its import path is built, to see that it can be."""
    from workflows.engines import ENGINES, AseEngine, find_engine

    arguments = _read_arguments(choices.engine_arguments)
    if arguments and choices.engine in ENGINES:
        raise CampaignError(
            f"--engine-arguments are for calculators given as module:callable, not for "
            f"{choices.engine}."
        )
    engine = find_engine(choices.engine, arguments)
    if isinstance(engine, AseEngine) and choices.engine not in ENGINES:
        try:
            engine.build()
        except Exception as error:  # a foreign constructor raises what it likes
            raise CampaignError(
                f"The calculator {choices.engine} cannot be made with these arguments: {error}."
            ) from error
    return engine


def _read_arguments(text: str | None) -> dict[str, Any]:
    import json

    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise CampaignError(f"--engine-arguments is not JSON: {error}.") from None
    if not isinstance(arguments, dict):
        raise CampaignError('--engine-arguments takes a JSON object such as {"epsilon": 0.1}.')
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
