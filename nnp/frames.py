"""Frames: configurations with reference energies, forces and stresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.storage.arrays import decode_array, encode_array
from nnp.storage.files import open_text_atomically

if TYPE_CHECKING:
    from ase import Atoms

_PER_ATOM = ("numbers", "positions", "forces")


@dataclass(eq=False)
class Frames(MSONable):
    """
    A trajectory or a data set: configurations of any sizes in flat arrays.

    Indexing with an integer, a slice, a list, an index array or a Boolean mask gives
    ``Frames`` again, so ``frames[3]`` is a data set of one.

    Parameters
    ----------
    counts : ndarray of int
        Atoms in each frame, shape (n_frames,).
    numbers : ndarray of int
        Atomic numbers of all frames one after the other, shape (n_atoms_total,).
    cells : ndarray
        Lattice vectors as rows in Å, shape (n_frames, 3, 3).
    positions : ndarray
        Cartesian positions in Å, shape (n_atoms_total, 3).
    energies : ndarray
        Energies in eV, shape (n_frames,).
    forces : ndarray
        Forces in eV/Å, shape (n_atoms_total, 3).
    stresses : ndarray
        Stresses in eV/Å³ with ASE's sign (positive: the cell wants to shrink), shape
        (n_frames, 3, 3); NaN where missing.
    stages : ndarray of str
        Which part of the campaign made each frame, shape (n_frames,).
    temperatures : ndarray
        Target temperatures in K, shape (n_frames,); NaN if none.
    times : ndarray
        Simulation times in fs, shape (n_frames,); NaN if none.
    """

    counts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    stages: NDArray[np.str_]
    temperatures: NDArray[np.float64]
    times: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.counts = np.asarray(self.counts, dtype=np.int64).reshape(-1)
        n_frames, n_atoms = len(self.counts), int(self.counts.sum())
        shapes = {
            "numbers": (n_atoms,),
            "cells": (n_frames, 3, 3),
            "positions": (n_atoms, 3),
            "energies": (n_frames,),
            "forces": (n_atoms, 3),
            "stresses": (n_frames, 3, 3),
            "stages": (n_frames,),
            "temperatures": (n_frames,),
            "times": (n_frames,),
        }
        kinds: dict[str, type] = {"numbers": np.int64, "stages": str}
        for name, shape in shapes.items():
            array: NDArray = np.asarray(getattr(self, name), dtype=kinds.get(name, np.float64))
            if array.shape != shape:
                raise ValueError(f"Frames.{name} has shape {array.shape}, expected {shape}.")
            setattr(self, name, array)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First atom of each frame and, last, the total, shape (n_frames + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur, by atomic number."""
        from ase.data import chemical_symbols

        return tuple(chemical_symbols[number] for number in np.unique(self.numbers))

    @property
    def volumes(self) -> NDArray[np.float64]:
        """Cell volumes in Å³, shape (n_frames,)."""
        return np.abs(np.linalg.det(self.cells)) if len(self) else np.zeros(0)

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        return f"Frames({len(self)} frames, {len(self.numbers)} atoms)"

    def __iter__(self) -> Iterator[Frames]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int | slice | list[int] | NDArray) -> Frames:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        offsets = self.offsets
        atoms = [np.arange(offsets[i], offsets[i + 1]) for i in chosen]
        rows = np.concatenate(atoms) if atoms else np.zeros(0, dtype=np.int64)
        return Frames(
            **{
                field.name: getattr(self, field.name)[rows if field.name in _PER_ATOM else chosen]
                for field in fields(self)
            }
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Frames]) -> Frames:
        """Join data sets in the order given."""
        if not parts:
            return cls.from_atoms([])
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )

    @classmethod
    def from_atoms(
        cls,
        structures: Sequence[Atoms],
        stage: str | None = None,
        temperature: float | None = None,
    ) -> Frames:
        """
        Collect structures with their attached results.

        Missing energies, forces and stresses become NaN. Where there is a free energy, of which
        the forces are the derivatives, it is taken for the energy. ``stage``, ``temperature`` and
        ``time`` are read from ``atoms.info`` unless given here.

        Parameters
        ----------
        structures : sequence of Atoms
            ASE structures, usually with a ``SinglePointCalculator``.
        stage : str or None
            Label for all of them.
        temperature : float or None
            Target temperature in K for all of them.
        """
        counts = [len(atoms) for atoms in structures]
        per_atom: list[list[NDArray[Any]]] = [[], [], []]
        per_frame: list[tuple[Any, ...]] = []
        for atoms in structures:
            energy, forces, stress = _results(atoms)
            for column, values in zip(
                per_atom, (atoms.numbers, atoms.positions, forces), strict=True
            ):
                column.append(values)
            info = atoms.info
            per_frame.append(
                (
                    atoms.cell.array,
                    energy,
                    stress,
                    str(info.get("stage", "")) if stage is None else stage,
                    info.get("temperature", np.nan) if temperature is None else temperature,
                    info.get("time", np.nan),
                )
            )
        n_frames = len(counts)
        columns = list(zip(*per_frame, strict=True)) if n_frames else [()] * 6
        numbers, positions, forces = (
            np.concatenate(column) if column else np.zeros(0) for column in per_atom
        )
        return cls(
            counts=np.array(counts, dtype=np.int64),
            numbers=numbers.astype(np.int64),
            cells=np.array(columns[0], dtype=float).reshape(n_frames, 3, 3),
            positions=positions.reshape(-1, 3),
            energies=np.array(columns[1], dtype=float),
            forces=forces.reshape(-1, 3),
            stresses=np.array(columns[2], dtype=float).reshape(n_frames, 3, 3),
            stages=np.array(columns[3], dtype=str),
            temperatures=np.array(columns[4], dtype=float),
            times=np.array(columns[5], dtype=float),
        )

    def to_atoms(self) -> list[Atoms]:
        """Give ASE structures with a ``SinglePointCalculator`` and labels in ``info``."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.stress import full_3x3_to_voigt_6_stress

        structures = []
        for i, (start, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            atoms = Atoms(
                numbers=self.numbers[start:stop],
                positions=self.positions[start:stop],
                cell=self.cells[i],
                pbc=True,
            )
            results: dict[str, Any] = {}
            if np.isfinite(self.energies[i]):
                results["energy"] = float(self.energies[i])
            if np.isfinite(self.forces[start:stop]).all():
                results["forces"] = self.forces[start:stop].copy()
            if np.isfinite(self.stresses[i]).all():
                results["stress"] = full_3x3_to_voigt_6_stress(self.stresses[i])
            atoms.calc = SinglePointCalculator(atoms, **results)
            if self.stages[i]:
                atoms.info["stage"] = str(self.stages[i])
            for key, value in (("temperature", self.temperatures[i]), ("time", self.times[i])):
                if np.isfinite(value):
                    atoms.info[key] = float(value)
            structures.append(atoms)
        return structures

    @classmethod
    def read(cls, path: str | Path) -> Frames:
        """
        Read extended XYZ with ASE's names, as :meth:`write` makes it.

        For files of other programs there is :func:`nnp.read_labels`.
        """
        from ase.io import read

        structures = read(path, index=":", format="extxyz")
        return cls.from_atoms(structures if isinstance(structures, list) else [structures])

    def write(self, path: str | Path) -> None:
        """Write extended XYZ with all digits, replacing what is there in one step."""
        with open_text_atomically(Path(path)) as file:
            for i, (start, stop) in enumerate(
                zip(self.offsets[:-1], self.offsets[1:], strict=True)
            ):
                file.write(self._extended_xyz(i, int(start), int(stop)))

    def _extended_xyz(self, i: int, start: int, stop: int) -> str:
        """One frame as text; ASE's own writer keeps only eight decimals."""
        from ase.data import chemical_symbols

        with_forces = bool(np.isfinite(self.forces[start:stop]).all())
        header = [f'Lattice="{_join(self.cells[i].ravel())}"', 'pbc="T T T"']
        columns = "species:S:1:pos:R:3" + (":forces:R:3" if with_forces else "")
        header.append(f"Properties={columns}")
        if np.isfinite(self.energies[i]):
            header.append(f"energy={float(self.energies[i])!r}")
        if np.isfinite(self.stresses[i]).all():
            header.append(f'stress="{_join(self.stresses[i].ravel())}"')
        if self.stages[i]:
            header.append(f'stage="{self.stages[i]}"')
        for key, value in (("temperature", self.temperatures[i]), ("time", self.times[i])):
            if np.isfinite(value):
                header.append(f"{key}={float(value)!r}")
        values = self.positions[start:stop]
        if with_forces:
            values = np.hstack([values, self.forces[start:stop]])
        symbols = [chemical_symbols[number] for number in self.numbers[start:stop]]
        rows = [f"{s} {_join(row)}" for s, row in zip(symbols, values, strict=True)]
        return "\n".join([str(stop - start), " ".join(header), *rows]) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Document with compressed arrays."""
        document: dict[str, Any] = {"@module": type(self).__module__, "@class": "Frames"}
        for field in fields(self):
            document[field.name] = encode_array(getattr(self, field.name))
        return document

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Frames:
        """Undo :meth:`as_dict`."""
        return cls(**{field.name: decode_array(d[field.name]) for field in fields(cls)})


def _join(values: NDArray[np.float64]) -> str:
    """Numbers as text that reads back to the same bits."""
    return " ".join(repr(float(value)) for value in values)


def _results(atoms: Atoms) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Energy in eV, forces in eV/Å, stress in eV/Å³ (3, 3); NaN where absent."""
    from ase.stress import voigt_6_to_full_3x3_stress

    results = {} if atoms.calc is None else atoms.calc.results
    energy = results.get("free_energy", results.get("energy", np.nan))
    forces = results.get("forces")
    if forces is None:
        forces = np.full((len(atoms), 3), np.nan)
    stress = results.get("stress")
    if stress is None:
        stress = np.full((3, 3), np.nan)
    elif np.shape(stress) != (3, 3):
        stress = voigt_6_to_full_3x3_stress(stress)
    return float(energy), np.asarray(forces, dtype=float), np.asarray(stress, dtype=float)
