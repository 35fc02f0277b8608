"""Dispersion added to any ASE calculator, by simple-dftd3."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import StepCost
from workflows.engines.dispersion import Dispersion

if TYPE_CHECKING:
    from ase import Atoms

#: Å up to which pairs count, and neighbours for the coordination of an atom: those of VASP
#: (VDW_RADIUS, VDW_CNRADIUS). What is left beyond is 0.05 meV/atom in NaCl.
PAIR_CUTOFF, COORDINATION_CUTOFF = 50.2, 21.17
#: Å between the planes of a cell below which no crystal is meant: the pairs would be too many.
THINNEST_CELL = 0.5
#: Wall seconds for 100 atoms; measured with 64 atoms of NaCl: 0.03 s.
SECONDS = 0.05
_PROPERTIES = ("energy", "free_energy", "forces", "stress")


class DispersionCalculator(Calculator):
    """
    Another calculator with the energy, forces and stress of dispersion added to its own.

    Parameters
    ----------
    inner : Calculator
        Without dispersion.
    dispersion : Dispersion
        What is added.

    Examples
    --------
    >>> from ase.calculators.emt import EMT
    >>> calculator = DispersionCalculator(EMT(), Dispersion("d3bj", "pbe"))
    """

    def __init__(self, inner: Any, dispersion: Dispersion) -> None:
        from dftd3.ase import DFTD3

        super().__init__()
        self.inner = inner
        self.correction = DFTD3(
            damping=dispersion.damping,
            params_tweaks={"method": dispersion.functional, "atm": False},
            realspace_cutoff={"disp2": PAIR_CUTOFF, "cn": COORDINATION_CUTOFF},
        )
        known = getattr(inner, "implemented_properties", None)
        # an empty or absent list says nothing
        self.implemented_properties = [
            name for name in _PROPERTIES if not known or name in known or name == "free_energy"
        ]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """
        Compute energy (eV), and of forces (eV/Å) and stress (eV/Å³) what is asked for.

        Raises
        ------
        FloatingPointError
            If positions are not finite, or the cell is too thin.
        """
        super().calculate(atoms, properties or ["energy"], system_changes)
        assert self.atoms is not None
        current = self.atoms
        _require_reasonable(current)
        wanted = {"energy", *(properties or ())} - {"free_energy"}
        found = {name: self.inner.get_property(name, current) for name in sorted(wanted)}
        # that of smeared electrons, which the forces are the derivatives of
        results = getattr(self.inner, "results", {})
        found["free_energy"] = results.get("free_energy", found["energy"])
        self.correction.get_property("forces", current)  # which computes all of it at once
        added = self.correction.results
        self.results |= {name: value + added[name] for name, value in found.items()}
        if "magmoms" in results:  # which dispersion leaves as they are
            self.results["magmoms"] = results["magmoms"]


def _require_reasonable(atoms: Atoms) -> None:
    """Raise a FloatingPointError where the sum over pairs would not come to an end."""
    cell = atoms.cell.array
    if not (np.isfinite(atoms.positions).all() and np.isfinite(cell).all()):
        raise FloatingPointError("positions or cell are not finite")
    if atoms.pbc.all():
        areas = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
        if atoms.get_volume() < THINNEST_CELL * areas.max():
            raise FloatingPointError(f"the cell is thinner than {THINNEST_CELL} Å")


def without_dispersion(calculator: Calculator) -> Calculator:
    """Return what a calculator with dispersion adds it to; any other as it is."""
    inner: Calculator = getattr(calculator, "inner", calculator)
    return inner if isinstance(calculator, DispersionCalculator) else calculator


@dataclass(frozen=True)
class DispersedEngine(AseEngine):
    """
    An ASE calculator with dispersion.

    Parameters
    ----------
    dispersion : Dispersion
        What is added to the calculator.
    """

    dispersion: Dispersion = field(kw_only=True)

    @classmethod
    def of(cls, engine: AseEngine, name: str, dispersion: Dispersion) -> DispersedEngine:
        """
        Add dispersion to an engine.

        Parameters
        ----------
        engine : AseEngine
            Without.
        name : str
            Of the engine with it.
        dispersion : Dispersion
            What is added.
        """
        numbers = {one.name: getattr(engine, one.name) for one in fields(AseEngine)}
        cost = StepCost(engine.cost.seconds + SECONDS, engine.cost.size_exponent)
        return cls(**{**numbers, "name": name, "cost": cost, "dispersion": dispersion})

    def build(self) -> Calculator:
        """
        Build the calculator; what was computed before leaves no trace.

        Raises
        ------
        MissingEngineError
            If the extra that it needs is not installed.
        UnknownEngineError
            If it cannot be imported.
        """
        return DispersionCalculator(super().build(), self.dispersion)
