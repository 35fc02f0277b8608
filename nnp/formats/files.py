"""Files of potentials, whatever their format."""

from __future__ import annotations

from pathlib import Path

from nnp.formats.simple_nn import is_simple_nn, read_simple_nn
from nnp.potential import Potential


def load_potential(path: str | Path) -> Potential:
    """
    Read a potential of ours or of SIMPLE-NN; the content tells which it is.

    Nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
        A file written by :meth:`nnp.potential.Potential.save`, or one for ``pair_style nn`` of
        LAMMPS.

    Returns
    -------
    Potential
        Checked: all parts fit together, all numbers are finite.

    Raises
    ------
    OSError
        If there is no such file.
    PotentialFileError
        If it is no potential, or damaged, or makes no sense.
    """
    with Path(path).open("rb") as file:
        start = file.read(1000)
    return read_simple_nn(path) if is_simple_nn(start) else Potential.load(path)
