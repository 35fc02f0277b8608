"""Reference values from the outputs of VASP: vasprun.xml and OUTCAR, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import read_start
from nnp.formats.outcar import read_outcar
from nnp.formats.structures import StructureFileError
from nnp.formats.vasp_run import VaspRun
from nnp.formats.vasprun import read_vasprun
from nnp.frames import Frames
from nnp.units import KBAR

_OUTCAR = re.compile(rb"\A\s*vasp\.\d")
_VASPRUN = re.compile(rb"<modeling\b")


@dataclass(frozen=True)
class VaspFrames:
    """
    Labels of VASP.

    Parameters
    ----------
    frames : Frames
        Energies are free energies, of which the forces are the derivatives.
    unconverged : tuple of int
        Numbers, from zero, of steps that were left out: their electrons are not converged.
    notes : tuple of str
        Sentences about what was left out.
    """

    frames: Frames
    unconverged: tuple[int, ...]
    notes: tuple[str, ...]


def vasp_kind(path: Path) -> Literal["vasprun.xml", "OUTCAR"] | None:
    """
    Say which output of VASP a file is, by its content; none if it is something else.

    Parameters
    ----------
    path : Path
        Any file, compressed or not.

    Raises
    ------
    OSError
        If there is no such file.
    """
    start = read_start(path, 2000)
    if _OUTCAR.match(start):
        return "OUTCAR"
    return "vasprun.xml" if _VASPRUN.search(start) else None


def read_vasp(path: Path) -> VaspFrames:
    """
    Read the ionic steps that VASP computed by converged electrons.

    Parameters
    ----------
    path : Path
        vasprun.xml or OUTCAR, compressed or not; what lies beside it is not looked at.

    Raises
    ------
    OSError
        If there is no such file.
    StructureFileError
        If no step is left, or the file does not say of which atoms they are.
    """
    runs = read_outcar(path) if vasp_kind(path) == "OUTCAR" else read_vasprun(path)
    found = [run for run in runs if len(run)]
    n_learned = sum(run.n_learned for run in runs)
    if not found and n_learned:
        raise StructureFileError(
            f"{path} holds steps of a force field (ML_LMLFF) alone, none of electrons."
        )
    if not found:
        raise StructureFileError(f"{path} holds no whole ionic step of VASP.")
    for run in found:
        _require_elements(path, run)
    converged = np.concatenate([run.converged for run in found])
    finite = np.concatenate([_finite(run) for run in found])
    if not (converged & finite).any():
        raise StructureFileError(
            f"{path} has no step whose electrons are converged: raise NELM, or choose another ALGO."
        )
    notes = []
    if len(found) > 1:
        listed = ", ".join(f"{run.formula} ({len(run)} steps)" for run in found)
        notes.append(f"{path} holds {len(found)} runs of VASP one after the other: {listed}.")
    for count, reason in (
        (int((~converged).sum()), "their electrons are not converged"),
        (int((converged & ~finite).sum()), "some of their numbers could not be written"),
        (n_learned, "they are by a force field (ML_LMLFF), not by electrons"),
    ):
        if count:
            total = len(converged) + n_learned
            notes.append(f"{count} of {total} steps of {path} are left out: {reason}.")
    if not all(run.whole for run in runs):
        notes.append(f"{path} ends before the run did; its whole steps are used.")
    frames = Frames.concatenate([_frames(run) for run in found])
    unconverged = tuple(int(k) for k in np.flatnonzero(~converged))
    return VaspFrames(frames[converged & finite], unconverged, tuple(notes))


def _require_elements(path: Path, run: VaspRun) -> None:
    from ase.data import atomic_numbers

    if not run.symbols:
        raise StructureFileError(
            f"{path} does not say clearly of which elements its atoms are; its beginning may be "
            "cut off: give the run's vasprun.xml."
        )
    unknown = sorted(set(run.symbols) - (set(atomic_numbers) - {"X"}))
    if unknown:
        raise StructureFileError(f"{path} has atoms of {', '.join(unknown)}, which is no element.")


def _finite(run: VaspRun) -> NDArray[np.bool_]:
    """Which steps have all numbers but for the stress, shape (n_steps,)."""
    parts: Sequence[NDArray[np.float64]] = (run.energies, run.forces, run.cells, run.positions)
    n = len(run)
    whole = [np.isfinite(part.reshape(n, -1)).all(axis=1) for part in parts]
    return np.logical_and.reduce(whole)


def _frames(run: VaspRun) -> Frames:
    """All steps of a run; ASE's sign and units of stress."""
    from ase.data import atomic_numbers

    n, numbers = len(run), [atomic_numbers[symbol] for symbol in run.symbols]
    return Frames(
        counts=np.full(n, len(numbers)),
        numbers=np.tile(numbers, n),
        cells=run.cells,
        positions=(run.positions @ run.cells).reshape(-1, 3),
        energies=run.energies,
        forces=run.forces.reshape(-1, 3),
        stresses=-run.stresses / KBAR,
        stages=np.full(n, "", dtype=str),
        temperatures=np.full(n, np.nan),
        times=np.full(n, np.nan),
    )
