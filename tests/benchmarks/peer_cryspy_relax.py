"""
Relax what CrySPY submits, by any ASE calculator, in the way of CrySPY's own example.

    python peer_cryspy_relax.py MODULE:CALLABLE FMAX STEPS

Reads a line ``SECONDS FOLDER`` for each structure and answers with a line of JSON. It runs in the
environment of CrySPY, so it imports nothing of this project. SECONDS of CPU time are the most that
the relaxation may take.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def relax(folder: Path, calculator: Any, fmax: float, steps: int, seconds: float) -> dict[str, Any]:
    """
    Relax POSCAR, cell and positions, within its symmetry, and write what CrySPY reads.

    Parameters
    ----------
    folder : Path
        Of the structure.
    calculator : ase.calculators.calculator.Calculator
        With stresses.
    fmax : float
        Largest force, eV/Å.
    steps : int
        At the most.
    seconds : float
        Of CPU time at the most.
    """
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.io import read, write
    from ase.optimize import BFGS

    end = time.process_time() + seconds
    atoms: Any = read(folder / "POSCAR", format="vasp")
    atoms.calc = calculator
    atoms.set_constraint([FixSymmetry(atoms)])
    optimizer = BFGS(FrechetCellFilter(atoms), logfile=None)
    converged = False
    for converged in optimizer.irun(fmax=fmax, steps=steps):  # noqa: B007 (the last one counts)
        if time.process_time() > end:
            break
    energy = float(atoms.get_potential_energy())
    atoms.set_constraint(None)
    (folder / "log.tote").write_text(f"{energy}\n")
    write(folder / "CONTCAR", atoms, format="vasp", direct=True)
    (folder / "out_check_opt").write_text("done\n" if converged else "not yet\n")
    return {
        "energy": energy / len(atoms),
        "steps": int(optimizer.nsteps),
        "converged": bool(converged),
    }


def main() -> None:
    """Serve until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print what they like
    module, _, name = sys.argv[1].partition(":")
    calculator = getattr(importlib.import_module(module), name)()
    fmax, steps = float(sys.argv[2]), int(sys.argv[3])
    for line in sys.stdin:
        seconds, _, folder = line.strip().partition(" ")
        try:
            answer = relax(Path(folder), calculator, fmax, steps, float(seconds))
        except Exception as error:  # a random structure may break anything
            answer = {"failure": f"{type(error).__name__}: {error}"}
        answer["cpu"] = time.process_time()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
