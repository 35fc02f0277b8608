"""
Reference energies, forces and stresses from files of other programs.

Everybody writes them under other names: ``free_energy``, ``REF_energy``, ``dft_virial``, NEP's
``force``. What is read here is either certain or refused in a sentence that names what is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.formats.extended_xyz import symmetric_matrix
from nnp.formats.structures import (
    StructureFileError,
    periodic_structure,
    read_structures,
    require_apart,
)
from nnp.formats.vasp import read_vasp, vasp_kind
from nnp.frames import Frames

if TYPE_CHECKING:
    from ase import Atoms

#: Of the energies, the one first whose derivatives the forces are: with smeared occupations that is
#: the free energy, not the one extrapolated to zero smearing.
ENERGY_KEYS = ("free_energy", "energy")
_FORCES = ("forces", "force")
_STRESSES = ("stress", "stresses")
_VIRIALS = ("virial", "virials")
#: Said of a frame whose electrons were not converged, with any prefix and case.
_CONVERGED = re.compile(r"converged|convergence$|^(scf_?)?status$", re.IGNORECASE)
#: Of positions instead of electrons: frames of unfinished relaxations are as good as any.
_RELAXED = re.compile(r"ionic|relax|geom|opt", re.IGNORECASE)
_DENIED = re.compile(r"(un|not?[ _-]?|non?[ _-]?)converged", re.IGNORECASE)
_PER_ATOM = re.compile(r"per_?atom|/atom", re.IGNORECASE)
#: Relative difference of a stress and a virial that mean the same.
_CONTRADICTION = 1e-2


class LabelError(StructureFileError):
    """What a file says of energies, forces or stresses cannot be used; the message says why."""


@dataclass(frozen=True)
class LabelledFrames:
    """
    What a file holds.

    Parameters
    ----------
    frames : Frames
        Configurations with their labels; NaN where there is none.
    energy_key : str or None
        Name of the energies used; none if there are no energies.
    unconverged : tuple of int
        Numbers, from zero, of frames that were left out because the file says that their electrons
        were not converged.
    notes : tuple of str
        Sentences about what a user would want to know.
    by_name : bool
        Whether it is the name alone that says what the energies are; VASP's are free energies.
    """

    frames: Frames
    energy_key: str | None
    unconverged: tuple[int, ...]
    notes: tuple[str, ...]
    by_name: bool = True


def read_labels(
    path: str | Path,
    *,
    energy_key: str | None = None,
    cutoff: float | None = None,
    required: bool = True,
) -> LabelledFrames:
    """
    Read structures with their reference values.

    The content tells what a file is, not its name: vasprun.xml and OUTCAR of VASP, of which the
    free energy of the whole step is taken and steps without converged electrons are left out;
    extended XYZ; and all else that ASE reads.

    Parameters
    ----------
    path : str or Path
        File to read, compressed or not.
    energy_key : str or None
        Name of the energies, for instance ``REF_energy``; forces, stresses and virials are then
        looked for under names formed alike. Unless given, `free_energy` is taken where every
        labelled frame has it, else `energy`. VASP has the free energy alone.
    cutoff : float or None
        Range of the potential in Å: structures without periodicity get cells in which their images
        do not see each other, and no stress. Unless given, such structures are refused.
    required : bool
        Whether every frame must have an energy and forces.

    Returns
    -------
    LabelledFrames
        Energies in eV, forces in eV/Å, stresses in eV/Å³ with ASE's sign.

    Raises
    ------
    OSError
        If there is no such file.
    StructureFileError
        If it cannot be read, or a structure is not periodic or not finite.
    LabelError
        If labels are missing, doubtful or of a wrong shape.
    """
    path = Path(path)
    if vasp_kind(path):
        return _labels_of_vasp(path, energy_key)
    structures = read_structures(path)
    chosen = _energy_key(path, structures, energy_key, required)
    unconverged = tuple(k for k, atoms in enumerate(structures) if not _is_converged(atoms))
    kept = [
        _labelled(f"frame {k} of {path}", atoms, chosen, cutoff, required)
        for k, atoms in enumerate(structures)
        if k not in set(unconverged)
    ]
    if not kept:
        raise LabelError(f"{path} has no frame whose electrons are converged.")
    frames = Frames.from_atoms(kept)
    numbers = [k for k in range(len(structures)) if k not in set(unconverged)]
    _require_apart(path, frames, numbers)
    notes = _drop_zero_stresses(path, frames)
    notes += _notes(path, structures, frames, chosen, unconverged)
    return LabelledFrames(frames, chosen, unconverged, tuple(notes))


def _labels_of_vasp(path: Path, energy_key: str | None) -> LabelledFrames:
    """Labels from vasprun.xml or OUTCAR."""
    found = read_vasp(path)
    _require_apart(path, found.frames, range(len(found.frames)))
    notes = [*found.notes, *_drop_zero_stresses(path, found.frames)]
    notes += _no_stress(path, found.frames, {})
    if energy_key not in (None, "free_energy"):
        notes.append(f"Of {path} the free energy is used, which is that of VASP's forces.")
    return LabelledFrames(
        found.frames, "free_energy", found.unconverged, tuple(notes), by_name=False
    )


def _require_apart(path: Path, frames: Frames, numbers: Sequence[int]) -> None:
    """Refuse structures whose atoms are on top of each other, named by their numbers."""
    ends = frames.offsets
    for k, number in enumerate(numbers):
        positions = frames.positions[ends[k] : ends[k + 1]]
        require_apart(f"frame {number} of {path}", frames.cells[k], positions)


def _values(atoms: Atoms) -> dict[str, Any]:
    """Everything a file says about a structure, by name."""
    results = {} if atoms.calc is None else atoms.calc.results
    return {**atoms.info, **atoms.arrays, **results}


def _energy_names(atoms: Atoms) -> list[str]:
    """Names of single numbers that look like energies."""
    return [
        name
        for name, value in _values(atoms).items()
        if "energy" in name.lower() and np.ndim(value) == 0 and _is_number(value)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _energy_key(
    path: Path, structures: Sequence[Atoms], wanted: str | None, required: bool
) -> str | None:
    """Name of the energies to use, the same for all frames."""
    names = [set(_energy_names(atoms)) for atoms in structures]
    present = sorted(set().union(*names))
    if wanted is not None:
        if not any(_is_number(_values(atoms).get(wanted)) for atoms in structures):
            raise LabelError(
                f"{path} has no energy {wanted}"
                + (f", but {_listed(present)}." if present else ".")
            )
        if _PER_ATOM.search(wanted):
            raise LabelError(f"{wanted} of {path} is an energy per atom; give that of the cell.")
        return wanted
    for key in ENERGY_KEYS:
        labelled = [found for found in names if found & set(ENERGY_KEYS)]
        if labelled and all(key in found for found in labelled):
            return key
    if any(found & set(ENERGY_KEYS) for found in names):
        raise LabelError(
            f"some frames of {path} have an energy and others a free_energy; they must not be "
            "mixed: choose one by the energy key."
        )
    if present and required:
        raise LabelError(
            f"{path} has no energy or free_energy, but {_listed(present)}: choose one by the "
            f"energy key, for instance {present[0]}."
        )
    return None


def _listed(names: Sequence[str]) -> str:
    """A few names in words."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _siblings(energy_key: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names formed like that of the energy, before the plain ones."""
    if energy_key in ENERGY_KEYS or "energy" not in energy_key.lower():
        return tuple(names)
    start = energy_key.lower().rindex("energy")
    before, after = energy_key[:start], energy_key[start + len("energy") :]
    return (*(f"{before}{name}{after}" for name in names), *names)


def _first(values: dict[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The first of several names that is there, in any case, and its value."""
    lower = {name.lower(): name for name in values}
    found = next((lower[name.lower()] for name in names if name.lower() in lower), "")
    return found, values.get(found)


def _labelled(
    where: str, atoms: Atoms, energy_key: str | None, cutoff: float | None, required: bool
) -> Atoms:
    """Structure with the chosen labels, and nothing else, as its results."""
    from ase.calculators.singlepoint import SinglePointCalculator

    periodic = bool(atoms.pbc.all())
    made = periodic_structure(where, atoms, cutoff)
    values = _values(atoms)
    results: dict[str, Any] = {}
    if energy_key is not None and _is_number(values.get(energy_key)):
        results["energy"] = float(values[energy_key])
        forces = _forces(where, len(atoms), values, energy_key)
        if forces is not None:
            results["forces"] = forces
        stress = _stress(where, atoms, values, energy_key) if periodic else None
        if stress is not None:
            results["stress"] = stress
    for name in ("energy", "forces") if required else ():
        if name not in results:
            others = [other for other in values if name.rstrip("s") in other.lower()]
            if name in others:
                raise LabelError(f"{where} has an {name} that is no number: {values[name]!s:.40}.")
            but = f", but {_listed(others)}" if others else ""
            raise LabelError(f"{where} has no {name}{but}; training needs it in every frame.")
        if not np.isfinite(results[name]).all():
            raise LabelError(f"{where} has an infinite number, or none, in its {name}.")
    made.calc = SinglePointCalculator(made, **results)
    return made


def _forces(
    where: str, n_atoms: int, values: dict[str, Any], energy_key: str
) -> NDArray[np.float64] | None:
    """Forces in eV/Å, shape (n_atoms, 3)."""
    name, forces = _first(values, _siblings(energy_key, _FORCES))
    if forces is None:
        return None
    if np.shape(forces) != (n_atoms, 3):
        raise LabelError(f"{where} has {name} of shape {np.shape(forces)}, not {(n_atoms, 3)}.")
    return np.asarray(forces, dtype=float)


def _stress(
    where: str, atoms: Atoms, values: dict[str, Any], energy_key: str
) -> NDArray[np.float64] | None:
    """Stress in eV/Å³ with ASE's sign, shape (6,); a virial is minus the volume times it."""
    from ase.stress import full_3x3_to_voigt_6_stress

    pairs = zip(_siblings(energy_key, _STRESSES), _siblings(energy_key, _VIRIALS), strict=True)
    # all of one prefix, whether stress or virial, before those of the next
    for pair in pairs:
        found = {}
        for name, value in (_first(values, (each,)) for each in pair):
            if name:
                found[name] = _stress_matrix(where, name, value, atoms.get_volume())
        matrices = list(found.values())
        if not matrices:
            continue
        difference = float(np.abs(matrices[0] - matrices[-1]).max())
        if difference > _CONTRADICTION * float(np.abs(matrices[0]).max()):
            raise LabelError(
                f"{where} has {' and '.join(found)} that contradict each other: a virial is minus "
                "the volume times the stress; leave one of them out."
            )
        return np.asarray(full_3x3_to_voigt_6_stress(matrices[0]))
    return None


def _stress_matrix(where: str, name: str, value: Any, volume: float) -> NDArray[np.float64]:
    """Stress in eV/Å³, shape (3, 3), from what a file gives by a name."""
    try:
        matrix = symmetric_matrix(value)
    except (TypeError, ValueError) as error:
        raise LabelError(f"{where} has a {name} of {error}.") from None
    return -matrix / volume if "virial" in name.lower() else matrix


def _is_converged(atoms: Atoms) -> bool:
    """Whether no flag says that the electrons of a frame are not converged."""
    for name, value in atoms.info.items():
        if np.ndim(value) == 0 and _CONVERGED.search(name) and not _RELAXED.search(name):
            said = str(value).strip().lower()
            denied = said in ("f", "false", "0", "no") or _DENIED.search(said) is not None
            if denied != (_DENIED.search(name) is not None):
                return False
    return True


def _notes(
    path: Path,
    structures: Sequence[Atoms],
    frames: Frames,
    energy_key: str | None,
    unconverged: Sequence[int],
) -> list[str]:
    """What a user would want to know, one sentence each."""
    notes = []
    if unconverged:
        notes.append(
            f"{len(unconverged)} of {len(structures)} frames of {path} are left out: their "
            "electrons are not converged."
        )
    others = _other_energies(structures, energy_key)
    if others and energy_key:
        notes.append(f"Of the energies of {path}, {energy_key} is used, not {_listed(others)}.")
    elif others:
        notes.append(f"No energy of {path} is used; choose {_listed(others)} by the energy key.")
    if energy_key is not None:
        notes += _plain_names(path, structures[0], energy_key)
        notes += _no_stress(path, frames, _values(structures[0]))
    return notes


def _plain_names(path: Path, atoms: Atoms, energy_key: str) -> list[str]:
    """Say which labels are called otherwise than the energies, and may be another method's."""
    values = _values(atoms)
    notes = []
    for names in (_FORCES, (*_STRESSES, *_VIRIALS)):
        used, _ = _first(values, _siblings(energy_key, names))
        alike = _siblings(energy_key, names)[: -len(names)]
        if used in names and alike and set(ENERGY_KEYS) & set(values):
            notes.append(f"There is no {alike[0]} in {path}; {used} is taken for it.")
    return notes


def _drop_zero_stresses(path: Path, frames: Frames) -> list[str]:
    """Forget stresses that are exactly zero, as programs write what they did not compute."""
    zero = (frames.stresses == 0.0).all(axis=(1, 2)) & (frames.counts > 1)
    if not zero.any():
        return []
    frames.stresses[zero] = np.nan
    count = f"{int(zero.sum())} of {len(frames)} frames"
    return [f"{count} of {path} have a stress of exactly zero, which was not computed; not used."]


def _no_stress(path: Path, frames: Frames, values: dict[str, Any]) -> list[str]:
    """Say that there is no stress, and what there is that could be one."""
    if np.isfinite(frames.stresses).all(axis=(1, 2)).any():
        return []
    others = [name for name in values if re.search("stress|virial", name, re.IGNORECASE)]
    but = f", but {_listed(others)}" if others else ""
    return [f"No frame of {path} has a stress{but}: a potential trained on it cannot relax cells."]


def _other_energies(structures: Sequence[Atoms], energy_key: str | None) -> list[str]:
    """Names of energies that are not used and differ from those that are."""
    found = set()
    for atoms in structures:
        values = _values(atoms)
        used = values.get(energy_key, np.nan) if energy_key else np.nan
        found |= {name for name in _energy_names(atoms) if not abs(values[name] - used) < 1e-6}
    return sorted(found - {energy_key or ""})
