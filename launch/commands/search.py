"""``devitrify search``: the evolutionary search on any potential, without the rest of the chain."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.commands.shared.begun_search import (
    SEARCH_VERSION,
    digest_of,
    digest_or_name,
    require_same_search,
)
from launch.commands.shared.crystal_files import read_crystals_of
from launch.commands.shared.energies import find_energy, named_with_dispersion
from launch.commands.shared.formula import warn_of_formula
from launch.commands.shared.options import (
    LARGEST_SEED,
    MOST_WORKERS,
    Dispersion,
    StructureOptions,
    command_of,
)
from launch.commands.shared.parsing import (
    apply_overrides,
    read_numbers,
    read_pressures,
    require_size,
)
from launch.commands.shared.system import SystemOptions, require_no_units
from launch.errors import CampaignError, as_sentence
from launch.own_files import require_no_links
from launch.shell import open_command

if TYPE_CHECKING:
    from launch.report.search import ProgressLog, SearchReport
    from search.options import EvolutionOptions
    from search.relax.energy import BatchEnergy
    from search.relax.relaxer import Relaxer
    from search.relax.trust import Trust
    from search.state.evolution import Evolution
    from workflows.composition import Target

#: Generations that nobody reaches: the budget of structures ends the search.
ENDLESS = 1_000_000
#: Relaxations that no machine gets through.
MOST_STRUCTURES = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class SearchOptions(StructureOptions, SystemOptions):
    """What ``devitrify search`` is told."""

    potential: Annotated[
        str,
        typer.Argument(
            help="File of a potential (ours or SIMPLE-NN), an engine's name, or module:callable."
        ),
    ]
    formula: Annotated[
        str, typer.Argument(help="Chemical formula, e.g. Mg2SiO4, or a system: Mg-Si, MgO-SiO2.")
    ]
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")]
    structures: Annotated[
        int,
        typer.Option("--structures", "-n", help="Relaxations in all.", min=1, max=MOST_STRUCTURES),
    ] = 1000
    population: Annotated[
        int | None,
        typer.Option("--population", help="Default: 20-60 by cell size.", min=2, max=10_000),
    ] = None
    islands: Annotated[
        int,
        typer.Option("--islands", help="Populations that exchange their best.", min=1, max=1000),
    ] = 1
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            help="Processes or threads; default: all cores.",
            min=1,
            max=MOST_WORKERS,
        ),
    ] = None
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed, the same search.", min=0, max=LARGEST_SEED)
    ] = 0
    seed_structures: Annotated[
        list[Path] | None,
        typer.Option(
            "--seed-structures", help="CIF, POSCAR or extended XYZ to begin with; repeatable."
        ),
    ] = None
    calculator_arguments: Annotated[
        str | None,
        typer.Option("--calculator-arguments", help="JSON of arguments of module:callable."),
    ] = None
    dispersion: Dispersion = None
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="E.g. relaxer.max_force=0.05, evolution.parents_kept=0.5"),
    ] = None
    caution: Annotated[
        float | None,
        typer.Option(
            "--caution",
            help="Times an ensemble's uncertainty counts against a structure; default: 1.",
        ),
    ] = None
    max_uncertainty: Annotated[
        str | None,
        typer.Option(
            "--max-uncertainty",
            help="eV/atom; beyond, a structure is kept aside as unknown. none: no limit; "
            "default: 0.1.",
        ),
    ] = None
    best: Annotated[
        int,
        typer.Option(
            "--best", help="Structures reported, under the tight limits.", min=1, max=10_000
        ),
    ] = 20

    @property
    def level(self) -> str:
        """
        Path of the potential, or name of the engine with its dispersion.

        Raises
        ------
        CampaignError
            If a potential is to have one.
        """
        return named_with_dispersion(self.potential, self.dispersion)

    def energy(self) -> BatchEnergy:
        """Load the potential."""
        return find_energy(self.level, self.calculator_arguments)

    def target(self) -> Target:
        """Formula or system, cells and pressures; of elements that the potential knows."""
        from search.composition_parsing import is_system
        from search.composition_space import CompositionSpaceError
        from workflows.composition import FormulaError

        try:
            found = self._system() if is_system(self.formula) else self._compound()
        except (FormulaError, CompositionSpaceError) as error:
            raise CampaignError(as_sentence(str(error))) from None
        return found.under(read_pressures(self.pressures, self.pressure))

    def _compound(self) -> Target:
        from workflows.composition import parse_target

        self.require_formula(self.formula)
        known = frozenset(self.energy().elements) or None
        units = read_numbers(self.z)
        found = parse_target(self.formula, known, self.level, units, self.atoms_max)
        require_size(found)
        return found

    def _system(self) -> Target:
        from workflows.system import parse_system

        require_no_units(self.formula, self.z)
        return parse_system(
            self.formula,
            frozenset(self.energy().elements) or None,
            self.level,
            atoms_max=self.atoms_max,
            ranges=self.composition_range or "",
            charge_balance=self.charge_balance,
        )

    def settings(self, target: Target, tree: _Settings) -> dict[str, Any]:
        """Everything that makes this search another one, the budget left out."""
        from search.state.contents import pack_composition

        return {
            "version": SEARCH_VERSION,
            "composition": pack_composition(target.searched),
            "seed": self.seed,
            "potential": digest_or_name(self.level),
            "arguments": self.calculator_arguments,
            "islands": self.islands,
            "seeds": [digest_of(path) for path in self.seed_structures or []],
            "evolution": {**tree.evolution.as_dict(), "max_structures": None},
            "relaxer": tree.relaxer.as_dict(),
            "trust": tree.trust.as_dict(),
            "pressure": target.pressure,
        }


@command_of(SearchOptions)
def search(command: SearchOptions) -> None:
    """Search crystals of FORMULA on POTENTIAL; the same command resumes."""
    target = command.target()
    warn_of_formula(target.formula)
    if target.pressures:
        _search_at_each(target, command)
    else:
        if list(command.folder.glob("*GPa/settings.json")):
            raise CampaignError(
                f"{command.folder} holds searches at several pressures; use another --output."
            )
        _search_at_one(target, command)


def _search_at_each(target: Target, command: SearchOptions) -> None:
    """Search at each pressure in a folder of its own; then follow the phases through them."""
    from launch.report.files import folder_of
    from launch.report.search_series import write_series
    from workflows.stages.search_exchange import exchange_found

    folder = command.folder
    if (folder / "settings.json").exists():
        raise CampaignError(f"{folder} holds a search at one pressure; use another --output.")
    _make_folder(folder)
    reports = {
        pressure: _search_at_one(
            target.at(pressure), replace(command, folder=folder_of(folder, pressure))
        )
        for pressure in target.pressures
    }
    if target.is_system:  # with a hull at each pressure
        return
    found = {pressure: report.found.best for pressure, report in reports.items()}
    name = Path(command.potential).name
    write_series(exchange_found(target, found, command.energy(), name), folder)


def _search_at_one(target: Target, command: SearchOptions) -> SearchReport:
    """Search at one pressure, print the table and write the results."""
    from launch.commands.shared.campaign_page import try_writing, write_search_page
    from launch.report.files import wide_console
    from launch.report.search import NOT_CONVERGED, PROGRESS_FILE, ProgressLog, SearchReport
    from launch.report.system_search import FORMATION, SystemSearchReport

    folder = command.folder
    tree = _settings(target, command)
    islands = _islands(target, tree, command)
    _make_folder(folder)
    require_same_search(folder, command.settings(target, tree), islands)
    quantity = FORMATION if target.is_system else islands[0].fitness.quantity
    log = ProgressLog(command.structures, command.islands, folder / PROGRESS_FILE, quantity)
    ended = _run(islands, tree.relaxer, command, log)
    report: SearchReport
    if target.is_system:
        name = Path(command.potential).name
        report = SystemSearchReport(ended, log.entries, command.best, name)
    else:
        report = SearchReport(target.formula, ended, log.entries, command.best)
    if not report.found.best:
        raise CampaignError(report.found.reason)
    wide_console().print(report.table())
    if report.found.warning:
        typer.echo(report.found.warning)
    if report.unfinished:
        typer.echo(NOT_CONVERGED)
    report.write(folder)
    typer.echo(f"Structures, summary and plots are in {folder}")
    if (page := try_writing(lambda: write_search_page(folder))) is not None:
        typer.echo(f"Look at it: {open_command(page)}")
    return report


def _islands(target: Target, tree: _Settings, command: SearchOptions) -> list[Evolution]:
    """
    Set up the islands, which share the budget and the seeds.

    Raises
    ------
    CampaignError
        If the budget or the seeds do not fit.
    """
    from search.run.islands import set_up_islands
    from search.state.above_hull import fitness_for
    from search.state.fitness import Fitness
    from workflows.jobs.tags import derive_seed

    counts = None if target.is_system else target.counts
    structures = [
        atoms for path in command.seed_structures or [] for atoms in read_crystals_of(path, counts)
    ]
    # one population is the search that the seed itself stands for
    seeds = [command.seed]
    if command.islands > 1:
        seeds = [derive_seed(command.seed, "search", island) for island in range(command.islands)]
    try:
        searched = target.searched
        fitness = replace(
            fitness_for(searched, None) if target.is_system else Fitness(),
            pressure=target.pressure,
        ).trusting(tree.trust)
        return set_up_islands(searched, tree.evolution, seeds, structures, fitness)
    except ValueError as error:
        raise CampaignError(as_sentence(str(error))) from None


def _run(
    islands: list[Evolution], relaxer: Relaxer, command: SearchOptions, log: ProgressLog
) -> list[Evolution]:
    """Search to the end; say how to go on if that is not reached."""
    from search.run.processes import IslandOptions, run_islands
    from workflows.jobs.cores import usable_cores

    workers = command.workers or usable_cores()
    processes = min(workers, len(islands))
    options = IslandOptions(
        processes=processes, threads=max(1, workers // processes), n_best=command.best
    )
    energy = functools.partial(find_energy, command.level, command.calculator_arguments)
    try:
        return run_islands(islands, relaxer, energy, command.folder, options, log)
    except (ValueError, RuntimeError) as error:  # no room for the atoms; a process that was killed
        reason = str(error).rstrip(".")
        raise CampaignError(f"{reason}. The same command goes on from the last save.") from None
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command goes on after the last generation.")
        raise typer.Exit(130) from None


def _settings(target: Target, command: SearchOptions) -> _Settings:
    """Options of the search, the relaxer and its trust, with what was set on the command line."""
    from search.create.registry import default_shares
    from search.options import EvolutionOptions
    from search.relax.relaxer import Relaxer
    from search.relax.trust import Trust
    from workflows.settings import require_valid

    shares = default_shares()
    if target.is_system:
        shares |= default_shares(changes_composition=True)
    options = EvolutionOptions(
        shares=shares,
        formula_units=target.formula_units or (1,),
        population=command.population,
        generations=ENDLESS,
        max_structures=command.structures,
    )
    given = {"caution": command.caution, "max_uncertainty": command.max_uncertainty}
    overrides = [f"{name}={value}" for name, value in given.items() if value is not None]
    tree = apply_overrides(
        _Settings(options, Relaxer(), Trust()),
        [*command.structure_overrides("evolution"), *(command.overrides or ()), *overrides],
    )
    require_valid(tree)
    return tree


@dataclass(frozen=True)
class _Settings:
    """What ``--set`` reaches."""

    evolution: EvolutionOptions
    relaxer: Relaxer
    trust: Trust = field(metadata={"inline": True})


def _make_folder(folder: Path) -> None:
    from launch.report.search import WRITTEN

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CampaignError(f"The folder {folder} cannot be made: {error.strerror}.") from None
    require_no_links(folder, *WRITTEN)
