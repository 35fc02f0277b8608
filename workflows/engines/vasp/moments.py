"""Magnetic moments of the atoms, that VASP writes into OUTCAR alone."""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def read_moments(outcar: Path) -> list[float]:
    """
    Read the moments of the last ionic step of a run.

    Parameters
    ----------
    outcar : Path

    Returns
    -------
    list of float
        μB, within the spheres of the PAW data sets, in the order of POSCAR; empty if there are none
        or the file cannot be read, which loses no relaxation.
    """
    from pymatgen.io.vasp.outputs import Outcar

    try:
        found = Outcar(str(outcar)).magnetization
        return [float(atom["tot"]) for atom in found]
    except Exception as error:  # a run that was cut off leaves what it likes
        logger.warning("no magnetic moments can be read from %s: %s", outcar.name, error)
        return []
