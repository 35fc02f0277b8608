"""POSCAR and CONTCAR: cell, positions, velocities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.incar import InputError
from tests.fake_vasp.text import rows


@dataclass(frozen=True)
class System:
    """
    A periodic structure.

    Attributes
    ----------
    comment : str
        First line of the file.
    symbols, counts : tuple of str, tuple of int
        Chemical symbols and numbers of atoms, by type.
    cell : NDArray[np.float64]
        Lattice vectors in rows, Å, shape (3, 3).
    scaled : NDArray[np.float64]
        Positions in units of the lattice vectors, as given (not wrapped), shape (n, 3).
    velocities : NDArray[np.float64] or None
        Å/fs, shape (n, 3); none if the file has none.
    """

    comment: str
    symbols: tuple[str, ...]
    counts: tuple[int, ...]
    cell: NDArray[np.float64]
    scaled: NDArray[np.float64]
    velocities: NDArray[np.float64] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts)

    @property
    def types(self) -> NDArray[np.intp]:
        """Index of every atom's type, shape (n,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def atom_symbols(self) -> list[str]:
        """Chemical symbol of every atom."""
        return [self.symbols[t] for t in self.types]

    def moved(self, cell: NDArray, positions: NDArray, velocities: NDArray | None = None) -> System:
        """Same atoms at other Cartesian positions (Å) in another cell."""
        scaled = np.linalg.solve(cell.T, positions.T).T
        return replace(self, cell=cell.copy(), scaled=scaled, velocities=velocities)

    @classmethod
    def read(cls, folder: Path) -> System:
        """
        Read the POSCAR of a run's folder.

        Raises
        ------
        InputError
            If there is none, or it is empty or of a form that is not known here.
        """
        file = folder / "POSCAR"
        if not file.exists():
            raise InputError("POSCAR not found")
        try:
            return _parse(file.read_text().splitlines())
        except (IndexError, ValueError) as error:
            raise InputError(f"POSCAR cannot be read: {error}") from error


def _rows(lines: list[str]) -> NDArray[np.float64]:
    return np.array([[float(word) for word in line.split()[:3]] for line in lines])


def _parse(lines: list[str]) -> System:
    cell = _rows(lines[2:5])
    scale = float(lines[1].split()[0])
    if scale < 0:
        scale = float((-scale / abs(np.linalg.det(cell))) ** (1 / 3))
    cell *= scale
    symbols = tuple(word.split("/")[0].split("_")[0] for word in lines[5].split())
    counts = tuple(int(word) for word in lines[6].split())
    mode = lines[7].strip()[:1].upper()
    if mode == "S":
        raise ValueError("fake_vasp does not do selective dynamics")
    n = sum(counts)
    positions = _rows(lines[8 : 8 + n])
    if positions.shape != (n, 3):
        raise ValueError(f"{n} positions are expected")
    if mode in ("C", "K"):
        positions = np.asarray(np.linalg.solve(cell.T, scale * positions.T).T, dtype=np.float64)
    velocities = _velocities(lines[8 + n :], n, cell)
    return System(lines[0].strip(), symbols, counts, cell, positions, velocities)


def _velocities(lines: list[str], n: int, cell: NDArray) -> NDArray[np.float64] | None:
    """Velocities of the block that follows the positions, if there is a whole one."""
    if lines and lines[0].lower().startswith("lattice velo"):
        lines = lines[8:]
    if len(lines) < n + 1 or not lines[1].split():
        return None
    velocities = _rows(lines[1 : n + 1])
    if velocities.shape != (n, 3):
        raise ValueError(f"{n} velocities are expected")
    if lines[0].strip()[:1].upper() == "D":
        velocities = velocities @ cell
    return velocities if velocities.any() else None


def header(system: System, scale: str = "   1.00000000000000     ") -> str:
    """Comment, cell, symbols and counts as CONTCAR and XDATCAR have them."""
    cell = rows("  %21.16f %21.16f %21.16f", system.cell)
    symbols = "".join(f"   {symbol:<2s}" for symbol in system.symbols)
    counts = "".join(f"{count:6d}" for count in system.counts)
    return f"{system.comment}\n{scale}\n{cell}{symbols}\n{counts}\n"


def contcar(system: System) -> str:
    """Content of CONTCAR: positions in the cell and velocities, zero if there are none."""
    velocities = np.zeros_like(system.scaled) if system.velocities is None else system.velocities
    positions = rows("  %19.16f %19.16f %19.16f", system.scaled % 1.0)
    motion = rows("  %15.8E %15.8E %15.8E", velocities)
    return f"{header(system)}Direct\n{positions}\n{motion}"
