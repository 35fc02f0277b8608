"""vasprun.xml step by step into arrays, whether the file is whole or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import chunks
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
from nnp.units import KBAR

if TYPE_CHECKING:
    from lxml.etree import _Element

_START = b"<?xml"
_TAGS = ("incar", "parameters", "atominfo", "structure", "calculation")


def read_vasprun(
    path: Path, max_electronic_steps: int | None = None, energy_tolerance: float | None = None
) -> list[VaspRun]:
    """
    Read all whole ionic steps of a vasprun.xml.

    One element at a time is in memory, so that time and memory grow with the arrays alone. A file
    that ends in the middle gives the steps before.

    Parameters
    ----------
    path : Path
        vasprun.xml, compressed or not.
    max_electronic_steps : int or None
        NELM; none: as the file says.
    energy_tolerance : float or None
        EDIFF in eV; none: as the file says.

    Returns
    -------
    list of VaspRun
        One, or several if files were joined.

    Raises
    ------
    OSError
        If there is no such file.
    """
    documents: list[_Document] = []
    for starts, piece in _pieces(chunks(path)):
        if starts or not documents:
            documents.append(_Document(max_electronic_steps, energy_tolerance))
        documents[-1].feed(piece)
    return [document.run() for document in documents]


def _pieces(data: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Cut where documents start, and say of each piece whether one starts there."""
    tail = b""
    for chunk in data:
        first, *others = (tail + chunk).split(_START)
        pieces = [(False, first), *((True, _START + other) for other in others)]
        starts, last = pieces.pop()
        # the declaration may go on in the next chunk
        cut = next((k for k in range(len(_START) - 1, 0, -1) if last.endswith(_START[:k])), 0)
        last, tail = (last[:-cut], last[-cut:]) if cut else (last, b"")
        yield from (piece for piece in [*pieces, (starts, last)] if piece[1])
    if tail:
        yield False, tail


class _Document:
    """One document on its way."""

    def __init__(self, max_electronic_steps: int | None, energy_tolerance: float | None) -> None:
        from lxml import etree

        # entities would be a way to make a small file a large one
        self.parser = etree.XMLPullParser(
            events=("end",), tag=_TAGS, huge_tree=True, resolve_entities=False
        )
        self.error = etree.XMLSyntaxError
        self.broken = False
        self.numbers: dict[str, float] = {}
        self.limits = max_electronic_steps, energy_tolerance
        self.symbols: tuple[str, ...] = ()
        self.steps: list[VaspStep] = []
        self.n_learned = 0

    def feed(self, data: bytes) -> None:
        """Parse a piece; after an error, which the end of a killed run is, nothing more."""
        if self.broken:
            return
        try:
            self.parser.feed(data)
        except self.error:
            self.broken = True
        for _, element in self.parser.read_events():
            self._take(element)

    def run(self) -> VaspRun:
        """Give what was found."""
        if not self.broken:
            try:
                self.parser.close()
            except self.error:
                self.broken = True
        return join_steps(self.steps, self.symbols, self.n_learned, not self.broken)

    def _take(self, element: _Element) -> None:
        if element.tag == "calculation":
            step = self._step(element)
            if step is not None:
                self.steps.append(step)
            _forget(element)
        elif element.tag == "structure":
            parent = element.getparent()
            # steps of a force field are no calculations
            if parent is not None and parent.tag == "modeling" and element.get("name") is None:
                self.n_learned += 1
                _forget(element)
        elif element.tag == "atominfo":
            rows = element.iterfind("array[@name='atoms']/set/rc/c[1]")
            self.symbols = tuple(element_of(row.text or "") for row in rows)
        else:
            for item in element.iter("i"):
                if item.get("name") in ("NELM", "EDIFF", "PSTRESS", "ISIF"):
                    self.numbers[str(item.get("name"))] = _number(item)

    def _step(self, element: _Element) -> VaspStep | None:
        loop = list(element.iterchildren("scstep"))
        structure = element.find("structure")
        if structure is None:
            return None
        if not loop:
            self.n_learned += 1
            return None
        arrays = {array.get("name"): array for array in element.iterchildren("varray")}
        cell = _matrix(structure.find("crystal/varray"))
        positions = _matrix(structure.find("varray"))
        if len(cell) != 3:
            return None
        forces, stress = _matrix(arrays.get("forces")), _matrix(arrays.get("stress"))
        # VASP writes the enthalpy here, and leaves dispersion out of the electronic steps
        pressure = self.numbers.get("PSTRESS", 0.0) / KBAR
        energy = _energy(element, "e_fr_energy") - pressure * abs(float(np.linalg.det(cell)))
        return VaspStep(
            energy=energy,
            forces=forces if len(forces) else np.full(positions.shape, np.nan),
            stress=whole_stress(stress, self.numbers.get("ISIF", float("nan"))),
            cell=cell,
            positions=positions,
            kinetic=_energy(element, "kinetic"),
            converged=self._converged(loop),
        )

    def _converged(self, loop: list[_Element]) -> bool:
        most = self.limits[0] or self.numbers.get("NELM", MAX_ELECTRONIC_STEPS)
        tolerance = self.limits[1] or self.numbers.get("EDIFF", ENERGY_TOLERANCE)
        change = float("nan")
        if len(loop) >= max(2, most):
            change = _energy(loop[-1], "e_fr_energy") - _energy(loop[-2], "e_fr_energy")
        return loop_converged(len(loop), change, most, tolerance)


def _forget(element: _Element) -> None:
    """Free the memory of an element and of all before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _matrix(element: _Element | None) -> NDArray[np.float64]:
    """Rows of three numbers; NaN where Fortran could not write one."""
    if element is None:
        return np.zeros((0, 3))
    texts = [row.text or "" for row in element]
    try:
        # split() and float() take three times as long
        return np.fromstring(" ".join(texts), sep=" ").reshape(-1, 3)
    except ValueError:  # asterisks, or a number is missing
        return np.full((len(texts), 3), np.nan)


def _energy(element: _Element, name: str) -> float:
    return _number(element.find(f"energy/i[@name='{name}']"))


def _number(element: _Element | None) -> float:
    try:
        return float((element.text or "") if element is not None else "nan")
    except ValueError:
        return float("nan")
