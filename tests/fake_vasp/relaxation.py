"""Relaxation: IBRION = 1, 2 or 3."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE
from ase.optimize.optimize import Optimizer

from tests.fake_vasp.poscar import System
from tests.fake_vasp.settings import Settings
from tests.fake_vasp.state import KBAR, Evaluator, IonicStep

_OPTIMIZERS: dict[int, type[Optimizer]] = {1: BFGS, 2: BFGS, 3: FIRE}


class _Steps(Calculator):
    """The evaluator as an ASE calculator; every new geometry is an ionic step."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, system: System, evaluate: Evaluator) -> None:
        super().__init__()
        self.system, self.evaluate = system, evaluate
        self.step: IonicStep | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate the next ionic step."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        current = self.atoms
        assert current is not None
        self.step = self.evaluate(self.system.moved(current.cell.array, current.positions))
        self.results = {
            "energy": self.step.energy,
            "forces": self.step.forces,
            "stress": self.step.stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }


def run(
    system: System,
    settings: Settings,
    evaluate: Evaluator,
    record: Callable[[IonicStep], bool],
) -> tuple[System, bool]:
    """
    Relax until EDIFFG is met, NSW steps are done or the record says stop.

    Quasi-Newton steps stand for both RMM-DIIS (IBRION = 1) and conjugate gradients (2), FIRE for
    damped dynamics (3). With a cell that moves, the force criterion holds for the stress times
    the volume an atom as well.

    Parameters
    ----------
    system : System
        Start.
    settings : Settings
        IBRION, ISIF, EDIFFG, NSW, PSTRESS.
    evaluate, record : Evaluator, Callable
        Where steps come from and go to.

    Returns
    -------
    tuple
        The last step's system, and whether EDIFFG was met.
    """
    atoms = Atoms(system.atom_symbols, cell=system.cell, scaled_positions=system.scaled, pbc=True)
    steps = _Steps(system, evaluate)
    atoms.calc = steps
    target: Any = atoms
    if settings.isif >= 3:
        target = FrechetCellFilter(
            atoms, scalar_pressure=settings.pstress / KBAR, constant_volume=settings.isif == 4
        )
    optimizer = _OPTIMIZERS[settings.ibrion](target, logfile=None)
    before: float | None = None
    warnings.filterwarnings("ignore", message="logm result may be inaccurate")
    for number in range(1, settings.nsw + 1):
        forces = target.get_forces()
        step = steps.step
        assert step is not None
        largest = float(np.sqrt((forces**2).sum(axis=1)).max())
        if settings.ediffg < 0:
            converged = largest < -settings.ediffg
        else:
            converged = before is not None and abs(step.energy - before) < settings.ediffg
        before = step.energy
        step.is_last = converged or number == settings.nsw or not np.isfinite(largest)
        if record(step) or step.is_last:
            return step.system, converged
        optimizer.step()
    raise AssertionError("NSW is at least one")
