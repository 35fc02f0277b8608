"""A small writer of vasprun.xml, independent of the stand-in for VASP."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class Written:
    """
    Numbers that a file was written from.

    Attributes
    ----------
    energies, forces, stresses, positions, kinetic : NDArray[np.float64]
        As in ``Steps``.
    loops : list of int
        Length of each electronic loop.
    added : NDArray[np.float64] or None
        eV that VASP adds to each energy after the electronic loop: dispersion, and pressure times
        volume.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    positions: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    loops: list[int] = field(default_factory=list)
    added: NDArray[np.float64] | None = None


def random_steps(n_steps: int, n_atoms: int, loop: int = 8, seed: int = 0) -> Written:
    """Numbers without meaning."""
    rng = np.random.default_rng(seed)
    return Written(
        energies=-3.0 * n_atoms + rng.normal(size=n_steps),
        forces=rng.normal(size=(n_steps, n_atoms, 3)),
        stresses=10 * rng.normal(size=(n_steps, 3, 3)),
        positions=rng.random((n_steps, n_atoms, 3)),
        kinetic=rng.random(n_steps),
        loops=[loop] * n_steps,
    )


def write_vasprun(
    path: Path,
    written: Written,
    edge: float = 14.0,
    gap: float = 1e-8,
    symbols: tuple[str, ...] = (),
    settings: dict[str, float] | None = None,
) -> None:
    """
    Write the parts of vasprun.xml that say what happened.

    Parameters
    ----------
    path : Path
        File.
    written : Written
        Numbers.
    edge : float
        Å, of the cubic cell.
    gap : float
        eV between the last two energies of each electronic loop.
    symbols : tuple of str
        Of the atoms; none: left out.
    settings : dict[str, float] or None
        Numbers by their tags in INCAR.
    """
    added = np.zeros(len(written.energies)) if written.added is None else written.added
    with path.open("w") as file:
        file.write('<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n')
        file.write(_header(symbols, settings or {}))
        for i, loop in enumerate(written.loops):
            file.write(" <calculation>\n")
            for k in range(loop):
                energy = written.energies[i] + gap * (loop - 1 - k)
                file.write(f"  <scstep>\n{_energies(energy)}  </scstep>\n")
            file.write(
                "  <structure>\n   <crystal>\n"
                + _rows("basis", edge * np.eye(3))
                + f'    <i name="volume">{edge**3:16.8f}</i>\n'
                + _rows("rec_basis", np.eye(3) / edge)
                + "   </crystal>\n"
                + _rows("positions", written.positions[i])
                + "  </structure>\n"
                + _rows("forces", written.forces[i])
                + _rows("stress", written.stresses[i])
                + _energies(written.energies[i] + added[i], written.kinetic[i])
                + " </calculation>\n"
            )
        file.write("</modeling>\n")


def _header(symbols: tuple[str, ...], settings: dict[str, float]) -> str:
    tags = "".join(f'  <i name="{name}">{value!r}</i>\n' for name, value in settings.items())
    atoms = "".join(f"    <rc><c>{symbol:<2s}</c><c>1</c></rc>\n" for symbol in symbols)
    kinds = "".join(
        f"    <rc><c>{symbols.count(s)}</c><c>{s:<2s}</c><c>1.0</c><c>1.0</c><c>PAW {s}</c></rc>\n"
        for s in dict.fromkeys(symbols)
    )
    return (
        ' <generator><i name="version" type="string">6.4.2 </i></generator>\n'
        f" <incar>\n{tags} </incar>\n"
        ' <kpoints>\n  <varray name="kpointlist"><v>0.0 0.0 0.0</v></varray>\n'
        '  <varray name="weights"><v>1.0</v></varray>\n </kpoints>\n'
        f' <parameters>\n <separator name="electronic">\n{tags} </separator>\n </parameters>\n'
        f' <atominfo>\n  <array name="atoms">\n   <set>\n{atoms}   </set>\n  </array>\n'
        f'  <array name="atomtypes">\n   <set>\n{kinds}   </set>\n  </array>\n </atominfo>\n'
    )


def _rows(name: str, values: NDArray[np.float64]) -> str:
    row = "   <v> %16.8f %16.8f %16.8f </v>\n"
    return f'  <varray name="{name}" >\n{row * len(values) % tuple(values.ravel())}  </varray>\n'


def _energies(energy: float, kinetic: float | None = None) -> str:
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    entries = "".join(f'    <i name="{name}">{energy:20.10f} </i>\n' for name in names)
    if kinetic is not None:
        entries += f'    <i name="kinetic">{kinetic:20.10f} </i>\n'
    return f"   <energy>\n{entries}   </energy>\n"
