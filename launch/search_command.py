"""``devitrify search``: the evolutionary search on any potential, without the rest of the chain."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.errors import CampaignError

if TYPE_CHECKING:
    from rich.table import Table

    from search.driver import SearchFigures
    from search.energy import BatchEnergy
    from search.evolution import Evolution
    from search.options import EvolutionOptions
    from search.relaxer import Relaxer
    from workflows.composition import Target

#: Checkpoint of the search in its folder.
STATE_FILE = "search.json"

#: Generations that nobody reaches: the budget of structures ends the search.
ENDLESS = 1_000_000


def search(
    potential: Annotated[
        str, typer.Argument(help="File of a potential (ours or SIMPLE-NN), or module:callable.")
    ],
    formula: Annotated[str, typer.Argument(help="Chemical formula, e.g. Mg2SiO4.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    structures: Annotated[
        int, typer.Option("--structures", "-n", help="Relaxations in all.", min=1)
    ] = 1000,
    population: Annotated[
        int | None, typer.Option("--population", help="Default: 20-60 by cell size.")
    ] = None,
    z: Annotated[str | None, typer.Option("--z", help="Formula units, e.g. 1,2,4.")] = None,
    atoms_max: Annotated[int | None, typer.Option("--atoms-max", help="Largest cell.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Threads; default: all cores.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same search.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="E.g. relaxer.max_force=0.05, evolution.parents_kept=0.5"),
    ] = None,
    best: Annotated[int, typer.Option("--best", help="Structures reported.")] = 20,
) -> None:
    """Search crystals of FORMULA on POTENTIAL; the same command resumes."""
    from launch.report import wide_console
    from search.driver import run_generations
    from search.evolution import Evolution
    from workflows.composition import FormulaError, parse_target
    from workflows.jobs import usable_cores

    energy = find_energy(potential)
    try:
        target = parse_target(
            formula, frozenset(energy.elements) or None, potential, _whole_numbers(z), atoms_max
        )
    except FormulaError as error:
        raise CampaignError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    options, relaxer = _options(target, population, structures, overrides or [])
    _make_folder(folder)
    _require_same_search(folder, potential, options, relaxer, structures)
    watcher = _Watcher(structures, folder / "progress.json")
    try:
        found = run_generations(
            Evolution(target.counts, options, seed), relaxer, energy, ENDLESS,
            threads=workers or usable_cores(), progress=watcher, checkpoint=folder / STATE_FILE,
        )  # fmt: skip
    except ValueError as error:
        raise CampaignError(f"{error}.") from None
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command goes on after the last generation.")
        raise typer.Exit(130) from None
    wide_console().print(table(found, target, best))
    _write(found, target, folder, best, watcher.entries)
    typer.echo(f"Structures, summary and plot are in {folder}")


def find_energy(name: str) -> BatchEnergy:
    """
    Load a potential from its file, or an ASE calculator from its import path.

    Parameters
    ----------
    name
        Path, or ``module:callable``.

    Raises
    ------
    CampaignError
        If it is neither.
    """
    from launch.potential_commands import load_potential
    from search.energy import AseEnergy
    from workflows.engines import ENGINES, UnknownEngineError, find_engine

    if ":" not in name and name not in ENGINES:
        return load_potential(Path(name))
    try:
        engine = find_engine(name)
    except UnknownEngineError as error:
        raise CampaignError(f"{error}.") from None
    return AseEnergy(engine.build(), tuple(sorted(engine.elements() or ())))


def _whole_numbers(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CampaignError(f"--z takes whole numbers such as 1,2,4, not {text!r}.") from None


def _options(
    target: Target, population: int | None, structures: int, overrides: list[str]
) -> tuple[EvolutionOptions, Relaxer]:
    """Options of the search and the relaxer, with what was set on the command line."""
    from dataclasses import replace

    from search.options import EvolutionOptions
    from search.relaxer import Relaxer
    from workflows.settings import SettingError, override

    options = EvolutionOptions(
        formula_units=target.formula_units,
        population=population,
        generations=ENDLESS,
        max_structures=structures,
    )
    relaxer = Relaxer()
    try:
        for text in overrides:
            path, _, value = text.partition("=")
            branch, _, rest = path.strip().partition(".")
            if branch == "relaxer":
                relaxer = override(relaxer, rest, value.strip())
            elif branch == "evolution":
                options = override(options, rest, value.strip())
            else:
                raise SettingError(f"--set {text!r} starts with neither evolution. nor relaxer.")
        return replace(options), relaxer
    except (SettingError, ValueError) as error:
        raise CampaignError(f"{error}.") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CampaignError(f"The folder {folder} cannot be made: {error.strerror}.") from None


def _require_same_search(
    folder: Path, potential: str, options: EvolutionOptions, relaxer: Relaxer, structures: int
) -> None:
    """Refuse to go on with another potential or other settings; allow a larger budget."""
    from hashlib import sha256

    from launch.campaign import digest
    from launch.server import write_atomically
    from search.driver import load, save

    file = Path(potential)
    settings = {
        "potential": sha256(file.read_bytes()).hexdigest() if file.is_file() else potential,
        "evolution": {**options.as_dict(), "max_structures": None},
        "relaxer": relaxer.as_dict(),
    }
    record, state = folder / "settings.json", folder / STATE_FILE
    if not state.exists():
        write_atomically(record, json.dumps(settings, indent=1) + "\n")
        return
    if not record.exists() or digest(json.loads(record.read_text())) != digest(settings):
        raise CampaignError(
            f"{folder} holds a search with another potential or other settings; use another "
            "--output."
        )
    saved = load(state)
    if saved.options.max_structures != structures:
        saved.options.max_structures = structures
        save(saved, state)


class _Watcher:
    """Prints each generation, and remembers when each new best came."""

    def __init__(self, structures: int, path: Path) -> None:
        self.structures, self.path = structures, path
        self.entries: list[dict[str, float]] = json.loads(path.read_text()) if path.exists() else []
        self.earlier = self.entries[-1]["cpu_seconds"] if self.entries else 0.0
        self.started = time.process_time()

    def __call__(self, figures: SearchFigures) -> None:
        """Take in one generation."""
        from launch.database import write_atomically

        self.entries.append(
            {
                "generation": figures.generation,
                "structures": figures.structures,
                "best_energy": figures.best_energy,
                "cpu_seconds": self.earlier + time.process_time() - self.started,
            }
        )
        write_atomically(self.path, json.dumps(self.entries))
        typer.echo(
            f"generation {figures.generation:4d}  {figures.structures:6d}/{self.structures} "
            f"structures  best {figures.best_energy:.4f} eV/atom  {figures.distinct} distinct  "
            f"{figures.structures_per_second:.1f}/s"
        )


def table(evolution: Evolution, target: Target, best: int) -> Table:
    """Tabulate the best distinct structures of a search."""
    from rich.table import Table

    rows = evolution.best(best)
    found = Table(title=f"{target.formula}: the {len(rows)} best of {evolution.structures}")
    for heading in ("rank", "Z", "space group", "eV/atom", "above best\nmeV/atom",
                    "volume\nÅ³/atom", "operator", "structure"):  # fmt: skip
        found.add_column(heading, justify="right")
    for rank, member in enumerate(rows, start=1):
        found.add_row(
            str(rank), str(member.formula_units), str(member.space_group),
            f"{member.energy:.5f}", f"{1000 * (member.energy - rows[0].energy):.1f}",
            f"{member.volume:.2f}", member.operator, str(member.id + 1),
        )  # fmt: skip
    return found


def _write(
    evolution: Evolution, target: Target, folder: Path, best: int, entries: list[dict[str, float]]
) -> None:
    """Write CIFs, the summary and the energy landscape."""
    from ase.io import write

    from launch.database import write_atomically
    from launch.plots import plot_landscape

    members = evolution.best(best)
    for old in folder.glob("*.cif"):
        old.unlink()
    for rank, member in enumerate(members, start=1):
        name = f"{rank:02d}_{target.formula}_Z{member.formula_units}_{member.space_group}.cif"
        if member.atoms is not None:
            write(folder / name, member.atoms)
    write_atomically(
        folder / "summary.json", json.dumps(summarise(evolution, entries), indent=1) + "\n"
    )
    plot_landscape(evolution).savefig(folder / "landscape.png", dpi=150, bbox_inches="tight")


def summarise(evolution: Evolution, entries: list[dict[str, float]]) -> dict[str, Any]:
    """Every new best with what it took, throughput, and discards by reason."""
    by_id = {individual.id: individual for individual in evolution.individuals}
    seconds = entries[-1]["cpu_seconds"] if entries else 0.0
    records = []
    for number, energy in evolution.best_history:
        individual = by_id.get(int(number) - 1)
        after = [entry for entry in entries if entry["structures"] >= number]
        records.append(
            {
                "structures": int(number),
                "energy": float(energy),
                "operator": individual.operator if individual else None,
                "space_group": individual.space_group if individual else None,
                "cpu_seconds": after[0]["cpu_seconds"] if after else seconds,
            }
        )
    return {
        "structures": evolution.structures,
        "generations": evolution.generation,
        "new_bests": records,
        "cpu_seconds": seconds,
        "structures_per_cpu_second": evolution.structures / seconds if seconds else None,
        "discarded": dict(evolution.discards),
    }
