"""``devitrify train`` and ``devitrify evaluate``: the potential without the rest of the chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from launch.errors import CampaignError

if TYPE_CHECKING:
    from nnp.evaluation import Evaluation
    from nnp.frames import Frames
    from nnp.potential import Potential
    from nnp.training.trainer import TrainingResult, TrainingStep

#: Seconds between two lines where nobody watches.
LINE_SECONDS = 10.0


class Report(Protocol):
    """What is called after every epoch."""

    def __call__(self, step: TrainingStep) -> None:
        """Show one epoch."""


def train(
    frames: Annotated[
        list[Path], typer.Argument(help="Labelled frames: extended XYZ, vasprun.xml, OUTCAR.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the potential.")] = Path(
        "potential.nnp"
    ),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="One option, e.g. angular_cutoff=6.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of split, weights and batches.")] = 0,
    threads: Annotated[int | None, typer.Option("--threads", help="Default: all cores.")] = None,
    simple_nn: Annotated[
        Path | None, typer.Option("--simple-nn", help="Also write it for LAMMPS pair_style nn.")
    ] = None,
    list_options: Annotated[
        bool, typer.Option("--list-options", help="Print all options for --set and stop.")
    ] = False,
) -> None:
    """Train a potential on FRAMES; the same command goes on after an interruption."""
    from dataclasses import replace

    from nnp.training.trainer import TrainingOptions
    from nnp.training.trainer import train as fit
    from workflows.jobs.cores import usable_cores
    from workflows.settings import SettingError, list_settings, override

    options = TrainingOptions()
    if list_options:
        for setting in list_settings(options):
            typer.echo(f"{setting.path:<22} {setting.value!s:<12} {setting.unit:<9} {setting.help}")
        raise typer.Exit
    try:
        for text in overrides or ():
            path, _, value = text.partition("=")
            options = override(options, path.strip(), value.strip())
        options = replace(options, threads=threads or usable_cores())
    except (SettingError, ValueError) as error:
        raise CampaignError(f"{error}.") from None
    data = read_frames(frames)
    _require_writable(output)
    typer.echo(f"{len(data)} frames, {len(data.numbers)} atoms, {'-'.join(data.elements)}")
    try:
        with _progress() as report:
            result = fit(
                data, options, seed=seed, progress=report,
                checkpoint=output.with_name(output.name + ".checkpoint"),
            )  # fmt: skip
    except ValueError as error:
        raise CampaignError(str(error)) from None
    result.potential.save(output)
    if simple_nn is not None:
        from nnp.formats.simple_nn import write_simple_nn

        write_simple_nn(result.potential, simple_nn)
    _sum_up(result, output)
    _plot(result, data, output.with_suffix(".png"))


def evaluate(
    potential: Annotated[Path, typer.Argument(help="A devitrify or SIMPLE-NN potential.")],
    structures: Annotated[
        list[Path], typer.Argument(help="Anything ASE reads: extended XYZ, POSCAR, CIF, OUTCAR.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Extended XYZ with the predictions.")
    ] = None,
    training: Annotated[
        list[Path] | None,
        typer.Option("--training", "-t", help="Frames it was trained on; says what they cover."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Default: all cores.")] = None,
) -> None:
    """Energies, forces, stresses and uncertainties of STRUCTURES; errors where they have values."""
    from nnp.evaluation import evaluate as compare
    from workflows.jobs.cores import usable_cores

    model = load_potential(potential)
    data = read_frames(structures)
    unknown = set(data.elements) - set(model.elements)
    if unknown:
        raise CampaignError(
            f"{potential} does not know {', '.join(sorted(unknown))}; it was trained on "
            f"{', '.join(model.elements)}."
        )
    found = compare(model, data, threads or usable_cores())
    if output is not None:
        _require_writable(output)
        _write_predictions(data, found, output)
        typer.echo(f"{len(data)} structures written to {output}")
    else:
        for index, energy in enumerate(found.predictions.energies):
            uncertainty = found.predictions.uncertainties[index]
            typer.echo(
                f"{index:6d}  {energy:16.6f} eV  {energy / data.counts[index]:12.6f} eV/atom"
                + (f"  ± {1000 * uncertainty:.1f} meV/atom" if uncertainty > 0 else "")
            )
    errors = found.errors
    for name, value, unit in (
        ("energy", errors.energy, "meV/atom"),
        ("force", errors.force, "eV/Å"),
        ("stress", errors.stress, "kbar"),
    ):
        if value == value:  # not NaN: the input had reference values
            typer.echo(f"{name} RMSE: {value:.4g} {unit}")
    if model.n_members > 1 and errors.energy == errors.energy:
        one, two = (100 * found.within(sigmas).mean() for sigmas in (1.0, 2.0))
        typer.echo(
            f"energies within one uncertainty: {one:.0f} %, within two: {two:.0f} % "
            "(68 and 95 % expected)"
        )
    if training:
        plot = (output or Path(potential.name)).with_suffix(".coverage.png")
        _report_coverage(model, read_frames(training), data, plot)


def _report_coverage(model: Potential, training: Frames, data: Frames, plot: Path) -> None:
    """Say which atoms have no like in the training set, element by element, and draw them."""
    import numpy as np

    from nnp.analysis.coverage import FAR, Coverage

    if set(model.elements) != set(training.elements):
        raise CampaignError(
            f"The frames of --training are of {', '.join(training.elements)}, the potential of "
            f"{', '.join(model.elements)}: they are not what it was trained on."
        )
    _require_writable(plot)
    coverage = Coverage.fit(model.functions, training)
    found = coverage.assess(data)
    for element, share in zip(model.elements, found.covered(len(model.elements)), strict=True):
        if share == share:  # not NaN: the element occurs
            typer.echo(f"{element}: {100 * share:.1f} % of the atoms within the training set")
    far = np.flatnonzero(found.largest_distance > FAR)
    if len(far):
        listed = ", ".join(map(str, far[:20])) + (", ..." if len(far) > 20 else "")
        typer.echo(f"{len(far)} structures have atoms far outside the training set: {listed}")
    coverage.plot({"structures": data}).savefig(plot, dpi=150)
    typer.echo(f"coverage drawn in {plot}")


def read_frames(paths: list[Path]) -> Frames:
    """
    Read all frames of some files.

    Parameters
    ----------
    paths
        Anything ASE reads.

    Raises
    ------
    CampaignError
        If a file cannot be read, or holds nothing.
    """
    from nnp.frames import Frames

    parts = []
    for path in paths:
        if not path.is_file():
            raise CampaignError(f"There is no file {path}.")
        try:
            part = Frames.read(path)
        except Exception as error:  # ASE's readers raise whatever a malformed file leads them to
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise CampaignError(f"{path} cannot be read as structures: {reason}.") from error
        if not len(part):
            raise CampaignError(f"{path} holds no structure.")
        parts.append(part)
    return Frames.concatenate(parts)


def load_potential(path: Path) -> Potential:
    """
    Load a potential of ours or of SIMPLE-NN.

    Raises
    ------
    CampaignError
        If there is none, or it cannot be read.
    """
    from nnp.formats.files import load_potential as load
    from nnp.potential import PotentialFileError

    if not path.is_file():
        raise CampaignError(f"There is no file {path}.")
    try:
        return load(path)
    except PotentialFileError as error:
        raise CampaignError(str(error)) from error
    except OSError as error:
        raise CampaignError(f"{path} cannot be read: {error.strerror}.") from error


def _require_writable(path: Path) -> None:
    """Find out before hours of work that the result cannot be written."""
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise CampaignError(f"{path} cannot be written: {error.strerror}.") from None
    if not existed:
        path.unlink()


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
        f"{errors.stress:.2f} kbar"
    )


def _sum_up(result: TrainingResult, output: Path) -> None:
    """Print the errors of training and validation set."""
    for name, errors, frames in (
        ("training", result.training, result.training_frames),
        ("validation", result.validation, result.validation_frames),
    ):
        typer.echo(
            f"{name:<10} {len(frames):6d} frames  {errors.energy:8.2f} meV/atom  "
            f"{errors.force:6.3f} eV/Å  {errors.stress:7.2f} kbar"
        )
    typer.echo(f"{result.reason}; potential written to {output}")


def _plot(result: TrainingResult, data: Frames, path: Path) -> None:
    """Draw learning curves and parity in one figure."""
    from launch.report.plots import plot_fit

    plot_fit(result, data).savefig(path, dpi=150, bbox_inches="tight")
    typer.echo(f"learning curves and parity drawn in {path}")


def _write_predictions(data: Frames, found: Evaluation, output: Path) -> None:
    """Predictions as the results of each structure, reference values beside them."""
    import numpy as np
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write
    from ase.stress import full_3x3_to_voigt_6_stress

    predictions = found.predictions
    written = []
    for index, reference in enumerate(data.to_atoms()):
        atoms = reference.copy()
        known = reference.calc.results if reference.calc is not None else {}
        if "energy" in known:
            atoms.info["reference_energy"] = known["energy"]
        if "forces" in known:
            atoms.arrays["reference_forces"] = np.asarray(known["forces"])
        if "stress" in known:
            atoms.info["reference_stress"] = np.asarray(known["stress"])
        atoms.info["uncertainty"] = float(predictions.uncertainties[index])
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(predictions.energies[index]),
            forces=predictions.forces[index],
            stress=full_3x3_to_voigt_6_stress(predictions.stresses[index]),
            energies=predictions.atomic_energies[index],
        )
        written.append(atoms)
    write(output, written, format="extxyz")
