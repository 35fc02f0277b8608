"""What the user asks for: options, and the prediction from which a run or a file is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.commands.shared.engines import find_usable_engine
from launch.commands.shared.fitting_settings import (
    require_fit_for_system,
    require_room,
    with_prototypes,
)
from launch.commands.shared.options import LARGEST_SEED, Dispersion, StructureOptions
from launch.commands.shared.parsing import (
    apply_overrides,
    read_numbers,
    read_pressures,
    require_size,
)
from launch.commands.shared.system import (
    SystemOptions,
    read_known_of_system,
    require_no_units,
)
from launch.errors import CampaignError
from launch.yaml_files import read_mapping
from workflows.chains.protocol_numbers import DEFAULT_PROTOCOL, PROTOCOLS
from workflows.engines.names import base_name, name_with
from workflows.engines.registry import DEFAULT_ENGINE, ENGINES, sampler_names

if TYPE_CHECKING:
    from jobflow import Flow
    from pymatgen.core import Structure

    from launch.local.campaign_document import CampaignDocument
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.composition import Target
    from workflows.engines.base import Engine
    from workflows.system import SystemTarget


#: Name of the pressure among a campaign's settings.
PRESSURE_SETTING = "pressure_GPa"
#: Name of all pressures among them, where there are several.
PRESSURES_SETTING = "pressures_GPa"
#: Names of what a system is, and of the phases that are known of it, among them.
SPACE_SETTING, KNOWN_SETTING = "space", "known"


@dataclass(frozen=True)
class Prediction:
    """
    A prediction, ready to be built.

    Attributes
    ----------
    target : Target
        Composition, formula units and pressure.
    maker : StructurePredictionMaker
        Protocol with all overrides applied.
    protocol : str
        Name of the protocol.
    known : dict of str to Structure
        Known phases of a system, by their labels.
    """

    target: Target
    maker: StructurePredictionMaker
    protocol: str
    known: dict[str, Structure] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """Name of the reference engine."""
        return self.maker.reference.name

    def settings(self) -> dict[str, Any]:
        """Everything that changes the result, by path."""
        from search.relax.pressure import GPA
        from workflows.settings import list_settings
        from workflows.system import SystemTarget

        numbers = {setting.path: setting.value for setting in list_settings(self.maker)}
        engines = {"engine": _without_cost(self.maker.reference)}
        if self.maker.sampler is not None:
            engines["sampler"] = _without_cost(self.maker.sampler)
        target: dict[str, Any] = {
            "formula_units": list(self.target.formula_units),
            PRESSURE_SETTING: self.target.pressure / GPA,
        }
        if self.target.pressures:
            target[PRESSURES_SETTING] = [pressure / GPA for pressure in self.target.pressures]
        if isinstance(self.target, SystemTarget):
            target |= self._of_system(self.target)
        else:  # these numbers change nothing of a formula
            numbers = {p: value for p, value in numbers.items() if not p.startswith("system.")}
        return {**numbers, **target, **engines}

    def _of_system(self, target: SystemTarget) -> dict[str, Any]:
        """What is looked for, and what is known, by ids of their contents."""
        from workflows.jobs.idempotency import content_id

        space = target.space.as_dict()
        return {
            SPACE_SETTING: {key: value for key, value in space.items() if key[0] != "@"},
            KNOWN_SETTING: {label: content_id(one) for label, one in self.known.items()},
        }

    def describe(self, campaign: str, command: Sequence[str]) -> CampaignDocument:
        """
        Describe the campaign that begins with this prediction.

        Parameters
        ----------
        campaign : str
            Its name.
        command : sequence of str
            What is typed behind ``devitrify run`` for it.
        """
        from launch.local.campaign_document import as_json_types, describe

        return describe(
            campaign,
            formula=self.target.formula,
            engine=self.engine,
            protocol=self.protocol,
            seed=self.maker.seed,
            settings=as_json_types(self.settings()),
            command=command,
        )

    def flow(self, campaign: str) -> Flow:
        """Build the task graph."""
        return self.maker.make(self.target, campaign, self.known)


@dataclass(frozen=True, kw_only=True)
class PredictionOptions(StructureOptions, SystemOptions):
    """What to predict, and how: what ``run`` and ``workflow`` are told alike."""

    formula: Annotated[
        str,
        typer.Argument(help="Chemical formula, e.g. LiAlCl4, or a system: Mg-Si, MgO-SiO2."),
    ]
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            "-k",
            help="Of a system: known phases for its hull; CIF, POSCAR, extXYZ or a folder.",
        ),
    ] = None
    protocol: Annotated[
        str,
        typer.Option("--protocol", "-p", help=f"Named set of numbers: {', '.join(PROTOCOLS)}."),
    ] = DEFAULT_PROTOCOL
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            "-e",
            help=f"Reference engine: {', '.join(sorted(ENGINES))}, or an ASE calculator "
            "module:callable.",
        ),
    ] = DEFAULT_ENGINE
    engine_arguments: Annotated[
        str | None,
        typer.Option("--engine-arguments", help="JSON object passed to the ASE calculator."),
    ] = None
    dispersion: Dispersion = None
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            help="Fast engine of the dynamics, where the reference engine only labels: "
            f"{', '.join(sampler_names())}, or an ASE "
            "calculator module:callable.",
        ),
    ] = None
    sampler_arguments: Annotated[
        str | None,
        typer.Option("--sampler-arguments", help="JSON object passed to the sampler's calculator."),
    ] = None
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file that overrides settings.")
    ] = None
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="One setting, e.g. quench.rate=200.")
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="Everything random derives from it; default 0.", min=0, max=LARGEST_SEED
        ),
    ] = None

    def prediction(self) -> Prediction:
        """
        Check what was typed and make a prediction of it.

        Raises
        ------
        CampaignError, FormulaError, SettingError, UnknownEngineError, UnknownProtocolError
            If anything does not fit; the message says what to do.
        """
        from workflows.chains.protocols import find_protocol
        from workflows.settings import override_all, require_valid

        engine = find_usable_engine(name_with(self.engine, self.dispersion), self.engine_arguments)
        target, known = self._target(engine)
        maker = find_protocol(self.protocol)
        if self.config is not None:
            maker = override_all(maker, read_mapping(self.config))
        made_of = self.structure_overrides("search.evolution", "reference_search.evolution")
        maker = apply_overrides(maker, [*made_of, *(self.overrides or ())])
        require_valid(maker)
        if target.is_system:
            require_fit_for_system(maker, target)
        else:
            maker = with_prototypes(maker, target)
            require_room(maker, target)
        maker = replace(maker, sampler=self._sampler(maker, engine, target))
        seed = maker.seed if self.seed is None else self.seed
        maker = replace(maker, seed=seed).with_reference(engine)
        return Prediction(target=target, maker=maker, protocol=self.protocol, known=known)

    def _target(self, engine: Engine) -> tuple[Target, dict[str, Structure]]:
        """Read the formula, or the system and what is known of it."""
        from search.composition_parsing import is_system
        from workflows.composition import parse_target
        from workflows.system import parse_system

        pressures = read_pressures(self.pressures, self.pressure)
        if is_system(self.formula):
            require_no_units(self.formula, self.z)
            system = parse_system(
                self.formula,
                engine.elements(),
                engine.name,
                atoms_max=self.atoms_max,
                ranges=self.composition_range or "",
                charge_balance=self.charge_balance,
            )
            known = read_known_of_system(self.known or [], system)
            return system.under(pressures), known
        self.require_formula(self.formula, self.known)
        target = parse_target(
            self.formula,
            engine.elements(),
            engine.name,
            read_numbers(self.z),
            self.atoms_max,
        ).under(pressures)
        require_size(target)
        return target, {}

    def _sampler(
        self, maker: StructurePredictionMaker, engine: Engine, target: Target
    ) -> Engine | None:
        """Find the engine of the dynamics, if it is not the reference engine."""
        from workflows.engines.registry import default_sampler

        if not maker.active.rounds:
            if self.sampler is not None:
                raise CampaignError(
                    f"--sampler is of no use here, since {engine.name} makes the trajectories "
                    "itself; take --protocol quick or economical, or --set active.rounds=2."
                )
            return None
        sampler: Engine = default_sampler(engine)
        if self.sampler is not None:
            sampler = find_usable_engine(self.sampler, self.sampler_arguments, "--sampler")
        row = ENGINES.get(base_name(sampler.name))
        if row is not None and not row.sampler:
            raise CampaignError(
                f"The engine {sampler.name} is no --sampler; take {' or '.join(sampler_names())}, "
                "or an ASE calculator module:callable."
            )
        unknown = sorted(set(target.elements) - (sampler.elements() or set(target.elements)))
        if unknown:
            raise CampaignError(
                f"The sampler {sampler.name} does not know {', '.join(unknown)}; choose another "
                f"--sampler: {' or '.join(sampler_names())}, or an ASE calculator module:callable."
            )
        return sampler


def _without_cost(engine: Engine) -> dict[str, Any]:
    """Spell an engine out, but for what only estimates look at."""
    return {key: value for key, value in engine.as_dict().items() if key != "cost"}
