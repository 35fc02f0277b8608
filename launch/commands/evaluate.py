"""``devitrify evaluate``: what a potential says of structures, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import Pressure, Threads, command_of
from launch.commands.shared.output_files import require_writable
from launch.commands.shared.parsing import read_pressure
from launch.commands.shared.potential_files import EnergyKey, load_potential, read_frames
from launch.errors import CampaignError

if TYPE_CHECKING:
    from nnp.evaluation import Evaluation
    from nnp.frames import Frames
    from nnp.potential import Potential


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What ``devitrify evaluate`` is told."""

    potential: Annotated[Path, typer.Argument(help="A devitrify or SIMPLE-NN potential.")]
    structures: Annotated[
        list[Path],
        typer.Argument(help="Extended XYZ, vasprun.xml, OUTCAR, POSCAR, CIF, all that ASE reads."),
    ]
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Extended XYZ with the predictions.")
    ] = None
    training: Annotated[
        list[Path] | None,
        typer.Option("--training", "-t", help="Frames it was trained on; says what they cover."),
    ] = None
    energy_key: EnergyKey = None
    threads: Threads = None
    pressure: Pressure = 0.0


@command_of(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """
    Energies, forces, stresses and uncertainties of STRUCTURES; errors where they have values.

    At a pressure also enthalpies.
    """
    from nnp.evaluation import evaluate as compare
    from workflows.jobs.cores import usable_cores

    pressure = read_pressure(options.pressure)
    model = load_potential(options.potential)
    data = _read(options.structures, model, options)
    unknown = set(data.elements) - set(model.elements)
    if unknown:
        raise CampaignError(
            f"{options.potential} does not know {', '.join(sorted(unknown))}; it was trained on "
            f"{', '.join(model.elements)}."
        )
    if options.output is not None:
        require_writable(options.output)
    found = compare(model, data, options.threads or usable_cores())
    _require_finite(options.potential, found)
    if options.output is not None:
        _write_predictions(data, found, options.output, pressure)
        typer.echo(f"{len(data)} structures written to {options.output}")
    else:
        _print_energies(data, found, pressure)
    _print_errors(model, found, _force_error(model, data, options.threads or usable_cores()))
    if options.training:
        plot = (options.output or Path(options.potential.name)).with_suffix(".coverage.png")
        _report_coverage(model, _read(options.training, model, options), data, plot)


def _read(paths: list[Path], model: Potential, options: EvaluateOptions) -> Frames:
    """
    Read structures, molecules too, with what reference values they have.

    At a pressure there are no molecules, since they have no volume.
    """
    cutoff = None if options.pressure else model.cutoff
    return read_frames(paths, options.energy_key, cutoff=cutoff, required=False)


def _require_finite(potential: Path, found: Evaluation) -> None:
    """
    Refuse to print what is no number.

    Raises
    ------
    CampaignError
        If there is no energy, or no force or stress, of a structure.
    """
    import numpy as np

    predictions = found.predictions
    for index, forces in enumerate(predictions.forces):
        numbers = (predictions.energies[index], forces, predictions.stresses[index])
        if not all(np.isfinite(part).all() for part in numbers):
            raise CampaignError(
                f"{potential} gives structure {index} no energy: its atoms are too close to each "
                "other, its cell is too thin, or it is far from all that the potential knows."
            )


def _print_energies(data: Frames, found: Evaluation, pressure: float) -> None:
    """Print a line for each structure, at a pressure (kbar) with its enthalpy."""
    from launch.report.pressure import at_pressure
    from search.relax.pressure import work_of

    for index, energy in enumerate(found.predictions.energies):
        uncertainty = found.predictions.uncertainties[index]
        enthalpy = (energy + work_of(pressure, data.volumes[index])) / data.counts[index]
        typer.echo(
            f"{index:6d}  {energy:16.6f} eV  {energy / data.counts[index]:12.6f} eV/atom"
            + (f"  ± {1000 * uncertainty:.1f} meV/atom" if uncertainty > 0 else "")
            + (f"  enthalpy {enthalpy:12.6f} eV/atom" if pressure else "")
        )
    if pressure:
        typer.echo(f"enthalpies are those{at_pressure(pressure)}")


def _force_error(model: Potential, data: Frames, threads: int) -> float:
    """Force error to expect in the root mean square in eV/Å; zero for one network."""
    import numpy as np

    from nnp.evaluation import expected_force_errors

    return float(np.sqrt(np.mean(expected_force_errors(model, data, threads) ** 2)))


def _print_errors(model: Potential, found: Evaluation, force_error: float) -> None:
    """Print errors where the input had reference values, and whether uncertainties cover them."""
    errors = found.errors
    for name, value, unit in (
        ("energy", errors.energy, "meV/atom"),
        ("force", errors.force, "eV/Å"),
        ("stress", errors.stress, "kbar"),
    ):
        if value == value:  # not NaN: the input had reference values
            expected = f" ({force_error:.4g} expected)" if name == "force" and force_error else ""
            typer.echo(f"{name} RMSE: {value:.4g} {unit}{expected}")
    if not model.knows_stress:
        typer.echo("The potential was trained without stresses: its stresses mean nothing.")
    if model.n_members > 1 and errors.energy == errors.energy:
        one, two = (100 * found.within(sigmas).mean() for sigmas in (1.0, 2.0))
        typer.echo(
            f"energies within one uncertainty: {one:.0f} %, within two: {two:.0f} % "
            "(68 and 95 % expected)"
        )


def _report_coverage(model: Potential, training: Frames, data: Frames, plot: Path) -> None:
    """Say which atoms have no like in the training set, element by element, and draw them."""
    import numpy as np

    from launch.report.figures import save_figure
    from nnp.analysis.coverage import FAR, Coverage

    if set(model.elements) != set(training.elements):
        raise CampaignError(
            f"The frames of --training are of {', '.join(training.elements)}, the potential of "
            f"{', '.join(model.elements)}: they are not what it was trained on."
        )
    require_writable(plot)
    coverage = Coverage.fit(model.functions, training)
    found = coverage.assess(data)
    for element, share in zip(model.elements, found.covered(len(model.elements)), strict=True):
        if share == share:  # not NaN: the element occurs
            typer.echo(f"{element}: {100 * share:.1f} % of the atoms within the training set")
    far = np.flatnonzero(found.largest_distance > FAR)
    if len(far):
        listed = ", ".join(map(str, far[:20])) + (", ..." if len(far) > 20 else "")
        typer.echo(f"{len(far)} structures have atoms far outside the training set: {listed}")
    save_figure(coverage.plot({"structures": data}), plot)
    typer.echo(f"coverage drawn in {plot}")


def _write_predictions(data: Frames, found: Evaluation, output: Path, pressure: float) -> None:
    """Predictions as the results of each structure, reference values beside them."""
    from io import StringIO

    import numpy as np
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write
    from ase.stress import full_3x3_to_voigt_6_stress

    from nnp.storage.files import write_atomically
    from search.relax.pressure import work_of

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
        if pressure:
            work = work_of(pressure, data.volumes[index])
            atoms.info["enthalpy"] = float(predictions.energies[index] + work)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(predictions.energies[index]),
            forces=predictions.forces[index],
            stress=full_3x3_to_voigt_6_stress(predictions.stresses[index]),
            energies=predictions.atomic_energies[index],
        )
        written.append(atoms)
    text = StringIO()
    write(text, written, format="extxyz")
    write_atomically(output, text.getvalue())
