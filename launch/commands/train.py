"""``devitrify train``: a potential from labelled frames, without the rest of the chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from launch.commands.shared.options import LARGEST_SEED, Threads, command_of
from launch.commands.shared.output_files import require_writable
from launch.commands.shared.parsing import apply_overrides
from launch.commands.shared.potential_files import EnergyKey, read_frames
from launch.errors import CampaignError

if TYPE_CHECKING:
    from nnp.frames import Frames
    from nnp.metrics import Errors
    from nnp.training.trainer import TrainingOptions, TrainingResult, TrainingStep

#: Seconds between two lines where nobody watches.
LINE_SECONDS = 10.0
#: Error in parts of the spread of the labels, above which nothing was learned of them.
UNLEARNED = 0.75


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``devitrify train`` is told."""

    frames: Annotated[
        list[Path], typer.Argument(help="Labelled frames: extended XYZ, vasprun.xml, OUTCAR.")
    ]
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the potential.")] = Path(
        "potential.nnp"
    )
    energy_key: EnergyKey = None
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="One option, e.g. angular_cutoff=6.")
    ] = None
    seed: Annotated[
        int, typer.Option("--seed", help="Of split, weights and batches.", min=0, max=LARGEST_SEED)
    ] = 0
    threads: Threads = None
    simple_nn: Annotated[
        Path | None, typer.Option("--simple-nn", help="Also write it for LAMMPS pair_style nn.")
    ] = None
    list_options: Annotated[
        bool, typer.Option("--list-options", help="Print all options for --set and stop.")
    ] = False

    @property
    def checkpoint(self) -> Path:
        """File beside the potential from which the same command goes on."""
        return self.output.with_name(self.output.name + ".checkpoint")

    def training(self) -> TrainingOptions:
        """Return the numbers of the training, with what ``--set`` gives."""
        from dataclasses import replace

        from nnp.training.trainer import TrainingOptions
        from workflows.jobs.cores import usable_cores
        from workflows.settings import require_valid

        numbers = apply_overrides(TrainingOptions(), self.overrides)
        require_valid(numbers)
        try:
            return replace(numbers, threads=self.threads or usable_cores())
        except ValueError as error:
            raise CampaignError(f"{error}.") from None


class Report(Protocol):
    """What is called after every epoch."""

    def __call__(self, step: TrainingStep) -> None:
        """Show one epoch."""


@command_of(TrainOptions)
def train(options: TrainOptions) -> None:
    """Train a potential on FRAMES; the same command goes on after an interruption."""
    if options.list_options:
        _list_options()
        return
    training = options.training()
    data = read_frames(options.frames, options.energy_key)
    require_writable(options.output)
    typer.echo(f"{len(data)} frames, {len(data.numbers)} atoms, {'-'.join(data.elements)}")
    result = _fit(data, training, options)
    result.potential.save(options.output)
    if options.simple_nn is not None:
        from nnp.formats.simple_nn import write_simple_nn

        write_simple_nn(result.potential, options.simple_nn)
    _sum_up(result, options.output)
    _warn_if_not_learned(result.training, data[result.training_frames])
    _plot(result, data, options.output.with_suffix(".png"))
    # not before: what is killed above goes on from the end of the training
    options.checkpoint.unlink(missing_ok=True)


def _list_options() -> None:
    """Print the numbers of a training that ``--set`` takes, with their units."""
    from nnp.training.trainer import TrainingOptions
    from workflows.settings import list_settings

    for setting in list_settings(TrainingOptions()):
        typer.echo(f"{setting.path:<22} {setting.value!s:<12} {setting.unit:<9} {setting.help}")


def _fit(data: Frames, training: TrainingOptions, options: TrainOptions) -> TrainingResult:
    """Train, with a checkpoint beside the potential from which the same command goes on."""
    from nnp.training.trainer import train as fit

    try:
        with _progress() as report:
            return fit(
                data,
                training,
                seed=options.seed,
                progress=report,
                checkpoint=options.checkpoint,
            )
    except ValueError as error:
        raise CampaignError(str(error)) from None


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar with the validation errors on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("epoch {task.completed:.0f}"), BarColumn(), TimeElapsedColumn(),
               TextColumn("{task.description}"))  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)

        def show(step: TrainingStep) -> None:
            bar.update(task, completed=step.epoch, total=step.limit, description=_describe(step))

        yield show


class _Lines:
    """One line every few seconds."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, step: TrainingStep) -> None:
        """Print, if the last line is old enough."""
        if time.monotonic() - self.last > LINE_SECONDS:
            self.last = time.monotonic()
            typer.echo(f"epoch {step.epoch:5d}  {step.seconds:7.1f} s  {_describe(step)}")


def _describe(step: TrainingStep) -> str:
    errors = step.validation
    return (
        f"validation {errors.energy:.2f} meV/atom  {errors.force:.3f} eV/Å  "
        f"{_stress(errors.stress, 0)}"
    )


def _stress(kbar: float, width: int = 7) -> str:
    """Error of the stress, if there is any stress."""
    return f"{kbar:{width}.2f} kbar" if kbar == kbar else "no stress"


def _sum_up(result: TrainingResult, output: Path) -> None:
    """Print the errors of training and validation set."""
    for name, errors, frames in (
        ("training", result.training, result.training_frames),
        ("validation", result.validation, result.validation_frames),
    ):
        typer.echo(
            f"{name:<10} {len(frames):6d} frames  {errors.energy:8.2f} meV/atom  "
            f"{errors.force:6.3f} eV/Å  {_stress(errors.stress)}"
        )
    if not result.potential.knows_stress:
        typer.echo("The potential knows no stress: search, which relaxes cells, will refuse it.")
    typer.echo(f"{result.reason}; potential written to {output}")


def _warn_if_not_learned(errors: Errors, frames: Frames) -> None:
    """Name the labels that were not learned: of another sign or unit than the rest, none can be."""
    import numpy as np

    from nnp.units import KBAR

    known = frames.stresses[np.isfinite(frames.stresses).all(axis=(1, 2))]
    stress = KBAR * float(np.sqrt(np.var(known, axis=0).mean())) if len(known) else 0.0
    found = [
        f"{name} (error {error:.3g} {unit}, spread {spread:.3g} {unit})"
        for name, unit, error, spread in (
            (
                "energies",
                "meV/atom",
                errors.energy,
                1000.0 * float(np.std(frames.energies / frames.counts)),
            ),
            ("forces", "eV/Å", errors.force, float(np.std(frames.forces))),
            ("stresses", "kbar", errors.stress, stress),
        )
        if spread > 0.0 and error > UNLEARNED * spread
    ]
    if found:
        typer.echo(
            f"Not learned: {', '.join(found)}. Train for longer; or the labels contradict each "
            "other: energies are in eV, forces in eV/Å, stresses in eV/Å³ and negative under "
            "compression, virials in eV and positive then.",
            err=True,
        )


def _plot(result: TrainingResult, data: Frames, path: Path) -> None:
    """Draw learning curves and parity in one figure."""
    from launch.report.figures import save_figure
    from launch.report.training_plots import plot_fit

    save_figure(plot_fit(result, data), path)
    typer.echo(f"learning curves and parity drawn in {path}")
