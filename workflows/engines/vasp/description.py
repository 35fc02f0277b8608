"""The output document of a finished segment: means, and the frames that are learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.units import KBAR
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.vasp.errors import UnconvergedError
from workflows.engines.vasp.static import label_frames
from workflows.engines.vasp.trajectory import temperatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workflows.engines.vasp.segment import Plan, Segment
    from workflows.engines.vasp.vasprun import Steps


def describe(segment: Segment, explosions: int) -> SegmentDocument:
    """
    Describe a finished segment.

    Parameters
    ----------
    segment : Segment
        All its steps are taken.
    explosions : int
        Attempts that were given up before.

    Raises
    ------
    UnconvergedError
        If too many steps went without electronic convergence.
    """
    plan, settings = segment.plan, segment.plan.settings
    steps = segment.steps[: settings.n_steps]
    require_convergence(steps, plan)
    volume = float(abs(np.linalg.det(steps.cells[-1])))
    masses = segment.calculation.ungrouped(segment.masses)
    kelvin = temperatures(steps, masses, settings.time_step)
    freedom = max(3, 3 * len(masses) - 3)
    # VASP leaves the kinetic part out; an ideal gas of the moving atoms
    kinetic = freedom * units.kB * kelvin / (3 * volume)
    pressure = np.trace(steps.stresses, axis1=1, axis2=2) / 3 + kinetic * KBAR
    frames = sample(segment, steps)
    stride = settings.sample_stride
    return SegmentDocument(
        structure=segment.structure(),
        engine=plan.level.engine,
        temperature=plan.target(1),
        end_temperature=plan.task.targets[1],
        time_step=settings.time_step,
        duration=settings.n_steps * settings.time_step,
        sample_interval=stride * settings.time_step,
        volume=volume,
        temperatures=interval_means(kelvin, np.ones(len(steps), dtype=bool), stride),
        pressures=interval_means(pressure, steps.converged, stride),
        energies=interval_means(steps.energies / len(masses), steps.converged, stride),
        explosions=explosions,
        frames_unconverged=len(steps) // stride - len(frames),
        frames=frames,
    )


def require_convergence(steps: Steps, plan: Plan) -> None:
    """Raise an UnconvergedError if too many steps went without electronic convergence."""
    bad = float((~steps.converged).mean())
    limit = plan.level.settings.melt.max_unconverged
    if bad > limit:
        raise UnconvergedError(
            f"{bad:.0%} of the steps of the {plan.task.stage} run went without electronic "
            f"convergence, more than {limit:.0%}; raise vasp.max_electronic_steps or "
            "vasp.smearing, or set vasp.incar=ALGO=Normal"
        )


def sample(segment: Segment, steps: Steps) -> Frames:
    """Sampled frames; those without convergence are computed again, or left out."""
    settings, task = segment.plan.settings, segment.plan.task
    calculation = segment.calculation
    kept = np.arange(settings.sample_stride - 1, len(steps), settings.sample_stride)
    good = steps.converged[kept]
    numbers = calculation.ungrouped(np.array(calculation.structure.atomic_numbers))
    chosen = steps[kept]
    frames = Frames(
        counts=np.full(len(kept), len(numbers)),
        numbers=np.tile(numbers, len(kept)),
        cells=chosen.cells,
        positions=np.einsum("tax,txy->tay", chosen.positions, chosen.cells).reshape(-1, 3),
        energies=chosen.energies,
        forces=chosen.forces.reshape(-1, 3),
        stresses=-chosen.stresses / KBAR,
        stages=np.array([task.stage] * len(kept), dtype=str),
        temperatures=np.array([segment.plan.target(float(step) + 1) for step in kept]),
        times=np.array([task.start_time + (i + 1) * settings.time_step for i in kept]),
    )
    if good.all():
        return frames
    if segment.plan.level.settings.melt.recompute:
        recompute(segment, frames, np.flatnonzero(~good))
        good = np.isfinite(frames.energies)
    return frames[np.flatnonzero(good)]


def recompute(segment: Segment, frames: Frames, bad: NDArray[np.int64]) -> None:
    """Replace energies, forces and stresses of some frames by those of static runs."""
    structures = [
        Structure(
            frames.cells[i], frames[int(i)].numbers.tolist(), frames[int(i)].positions,
            coords_are_cartesian=True, to_unit_cell=False,
        )
        for i in bad
    ]  # fmt: skip
    folder = segment.folder / "recomputed"
    folder.mkdir(exist_ok=True)
    plan = segment.plan
    labelled = label_frames(folder, structures, plan.level, segment.end, plan.task.stage)
    (folder / "WAVECAR").unlink(missing_ok=True)
    n_atoms = len(segment.masses)
    for row, i in enumerate(bad):
        here, there = (slice(k * n_atoms, (k + 1) * n_atoms) for k in (i, row))
        frames.energies[i] = labelled.energies[row]
        frames.forces[here] = labelled.forces[there]
        frames.stresses[i] = labelled.stresses[row]


def interval_means(
    values: NDArray[np.float64], usable: NDArray[np.bool_], stride: int
) -> list[float]:
    """
    Mean of every sample interval over its usable steps; gaps are interpolated.

    Parameters
    ----------
    values, usable : ndarray, shape (n_steps,)
        One for each step.
    stride : int
        Steps of an interval.
    """
    weights = usable[: len(usable) // stride * stride].reshape(-1, stride).astype(float)
    rows = np.where(usable, values, 0.0)[: weights.size].reshape(-1, stride)
    counts = weights.sum(axis=1)
    known = np.flatnonzero(counts)
    means = rows.sum(axis=1)[known] / counts[known]
    filled: NDArray[np.float64] = np.interp(np.arange(len(counts)), known, means)
    return [float(value) for value in filled]
