"""
OUTCAR step by step into arrays, whether the file is whole or not.

What other readers do not: the free energy of the whole step is taken, steps whose electrons did
not converge are told, a second run in the file is another system, and no other file is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import text_lines
from nnp.formats.vasp_run import (
    ENERGY_TOLERANCE,
    MAX_ELECTRONIC_STEPS,
    VaspRun,
    VaspStep,
    element_of,
    join_steps,
    loop_converged,
    whole_stress,
)

_ITERATION = re.compile(r"Iteration\s+(\S+?)\(\s*(\S+?)\)")
_SETTING = re.compile(r"\s+(NELM|EDIFF|ISIF)\s*=")
#: Numbers of 9 decimals may touch each other.
_LATTICE = re.compile(r"-?\d+\.\d{9}")
_NUMBER = re.compile(r"=\s*([^\s;]+)")


def read_outcar(path: Path) -> list[VaspRun]:
    """
    Read all whole ionic steps of an OUTCAR.

    Parameters
    ----------
    path : Path
        OUTCAR, compressed or not. Nothing beside it is read.

    Returns
    -------
    list of VaspRun
        One for each run that the file holds.

    Raises
    ------
    OSError
        If there is no such file.
    """
    runs: list[_Run] = []
    for line in text_lines(path):
        # where the run before was killed, the first line goes on its last one
        if line.startswith(" vasp.") or (
            line.startswith(" executed on") and (not runs or runs[-1].counts)
        ):
            runs.append(_Run())
        elif runs and line.endswith("\n"):
            runs[-1].take(line)
    return [run.result() for run in runs]


class _Run:
    """One run on its way."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"TITEL": [], "POTCAR:": []}
        self.counts: list[int] = []
        self.most, self.tolerance = float(MAX_ELECTRONIC_STEPS), ENERGY_TOLERANCE
        self.isif = float("nan")
        self.cell = np.full((3, 3), np.nan)
        self.steps: list[VaspStep] = []
        self.n_learned = 0
        self.by_electrons = False
        self.ended = False
        self.rows: list[str] = []
        self.n_rows = 0
        self.complete: Callable[[list[str]], None] = self._take_cell
        self._begin()

    def _begin(self) -> None:
        """Forget what was found of a step, so that it is not taken for the next one's."""
        self.loop: list[float] = []
        self.n_loop = 0
        self.refused = False
        self.learned = False
        self.stress = np.full((3, 3), np.nan)
        self.table: NDArray[np.float64] | None = None

    def take(self, line: str) -> None:
        """Take in the next line."""
        if len(self.rows) < self.n_rows:
            self.rows.append(line)
            if len(self.rows) == self.n_rows:
                self.complete(self.rows)
        elif "TOTEN" in line:
            self._take_energy(line)
        elif "Iteration" in line:
            self._take_iteration(line)
        elif "TOTAL-FORCE" in line:
            # there is a line above the table
            if "(ML)" not in line and self.counts:
                self._collect(1 + sum(self.counts), self._take_table)
        elif "direct lattice vectors" in line:
            self._collect(3, self._take_cell)
        elif "in kB" in line:
            self._take_stress(line)
        elif "FORCE on cell" in line:
            self.learned = "ML FORCE" in line
        elif "EDIFF was not reached" in line:
            self.refused = True
        elif "kinetic energy EKIN" in line:
            if self.by_electrons:
                self.steps[-1].kinetic = _number(line)
        elif "LOOP+" in line:
            self.by_electrons = False
        elif "General timing" in line:
            self.ended = True
        elif not self.steps:
            self._take_header(line)

    def _take_header(self, line: str) -> None:
        found = _SETTING.match(line)
        if found and found[1] == "NELM":
            self.most = _number(line)
        elif found and found[1] == "ISIF":
            self.isif = _number(line)
        elif found:
            self.tolerance = _number(line)
        elif "ions per type" in line:
            self.counts = [int(word) for word in line.split("=")[-1].split() if word.isdigit()]
        else:
            words = line.replace("=", " ").split()
            if len(words) > 2 and words[0] in self.names:
                self.names[words[0]].append(element_of(words[2]))

    def _take_iteration(self, line: str) -> None:
        found = _ITERATION.search(line)
        if found is None:
            return
        if found[2] == "1":
            self._begin()
        self.n_loop += 1

    def _take_energy(self, line: str) -> None:
        """Take an energy of an electronic step, or of an ionic one, which ends it."""
        if "free energy    TOTEN" in line:
            self.loop = [*self.loop[-1:], _number(line)]
        elif "free  energy   TOTEN" in line:
            if self.table is not None:
                self.steps.append(self._step(_number(line)))
                self.by_electrons = True
            self._begin()
        elif "energy ML TOTEN" in line:
            # steps by electrons have the force field's numbers, too
            self.n_learned += not self.by_electrons

    def _collect(self, n_rows: int, complete: Callable[[list[str]], None]) -> None:
        """Take the next lines as they are, and do something with all of them."""
        self.rows, self.n_rows, self.complete = [], n_rows, complete

    def _take_table(self, rows: list[str]) -> None:
        """Take positions and forces, below a line."""
        try:
            self.table = np.fromstring(" ".join(rows[1:]), sep=" ").reshape(len(rows) - 1, 6)
        except ValueError:  # asterisks, or a number is missing
            self.table = np.full((len(rows) - 1, 6), np.nan)

    def _take_cell(self, rows: list[str]) -> None:
        numbers = [_LATTICE.findall(row)[:3] for row in rows]
        whole = [len(row) for row in numbers] == [3, 3, 3]
        self.cell = np.array(numbers, dtype=float) if whole else np.full((3, 3), np.nan)

    def _take_stress(self, line: str) -> None:
        if self.learned:
            return
        try:
            xx, yy, zz, xy, yz, zx = map(float, line.split()[2:8])
        except ValueError:
            return
        self.stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])

    def _step(self, energy: float) -> VaspStep:
        assert self.table is not None
        positions = np.full((len(self.table), 3), np.nan)
        if np.isfinite(self.cell).all() and np.linalg.det(self.cell) != 0.0:
            positions = self.table[:, :3] @ np.linalg.inv(self.cell)
        change = self.loop[1] - self.loop[0] if len(self.loop) == 2 else float("nan")
        converged = loop_converged(self.n_loop, change, self.most, self.tolerance)
        return VaspStep(
            energy=energy,
            forces=self.table[:, 3:],
            stress=whole_stress(self.stress, self.isif),
            cell=self.cell.copy(),
            positions=positions,
            kinetic=float("nan"),
            converged=converged and not self.refused,
        )

    def result(self) -> VaspRun:
        """Give what was found."""
        return join_steps(self.steps, self._symbols(), self.n_learned, self.ended)

    def _symbols(self) -> tuple[str, ...]:
        """Symbol of each atom; none if the file does not say."""
        n = len(self.counts)
        if not self.steps:
            return ()
        for names in self.names.values():
            # the potentials are listed once or twice
            if len(names) in (n, 2 * n) and names == (names[:n] * 2)[: len(names)]:
                pairs = zip(names[:n], self.counts, strict=True)
                return tuple(symbol for symbol, count in pairs for _ in range(count))
        return ()


def _number(line: str) -> float:
    """Number after the equals sign; NaN if Fortran could not write it."""
    found = _NUMBER.search(line)
    try:
        return float(found[1]) if found else float("nan")
    except ValueError:
        return float("nan")
