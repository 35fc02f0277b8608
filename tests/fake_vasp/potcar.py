"""Made-up POTCAR files: the header lines that programs read, and no pseudopotential."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_masses, atomic_numbers, chemical_symbols, covalent_radii

from tests.fake_vasp.incar import InputError

#: Folder names under which pymatgen looks for PBE potentials.
FUNCTIONAL_FOLDERS = (
    "POT_GGA_PAW_PBE",
    "POT_GGA_PAW_PBE_52",
    "POT_GGA_PAW_PBE_54",
    "POT_PAW_PBE_64",
)
#: Variants: what they add to the valence electrons, and the factor on the cutoff.
VARIANTS = {
    "": (0, 1.0),
    "_pv": (6, 1.5),
    "_sv": (8, 1.8),
    "_d": (10, 1.1),
    "_h": (0, 1.75),
    "_s": (0, 0.7),
    "_2": (0, 0.95),
    "_3": (0, 0.9),
}
_LAST_ELEMENT = 94


@dataclass(frozen=True)
class Potential:
    """
    One dataset of a POTCAR file.

    Attributes
    ----------
    title : str
        Value of TITEL, for example ``PAW_PBE Li_sv 01Jan2000``.
    mass : float
        Atomic mass in amu.
    valence : float
        Electrons an atom.
    cutoff : float
        ENMAX in eV: where the basis-set error is small but not gone.
    """

    title: str
    mass: float
    valence: float
    cutoff: float

    @property
    def element(self) -> str:
        """Chemical symbol."""
        return self.title.split()[1].split("_")[0]


def made_up(symbol: str) -> Potential:
    """
    Make up a potential: small atoms need a large cutoff, and so do semicore states.

    Parameters
    ----------
    symbol : str
        Element with VASP's suffix, for example ``Li_sv``.
    """
    element, underscore, suffix = symbol.partition("_")
    more, factor = VARIANTS[underscore + suffix]
    number = atomic_numbers[element]
    valence = number - max(z for z in (0, 2, 10, 18, 36, 54, 86) if z < number)
    if 72 <= number <= 86:  # the f shell belongs to the core
        valence -= 14
    if valence > 12 and not 57 <= number <= 71:  # and so does a filled d shell
        valence -= 10
    cutoff = 400.0 * (0.66 / max(float(covalent_radii[number]), 0.4)) ** 1.2 * factor
    return Potential(
        f"PAW_PBE {symbol} 01Jan2000",
        float(atomic_masses[number]),
        float(min(valence + more, number)),
        round(min(max(cutoff, 80.0), 600.0), 3),
    )


def potcar(symbol: str) -> str:
    """Content of the POTCAR file of one potential."""
    potential = made_up(symbol)
    return f"""\
  {potential.title}
   {potential.valence:.10f}
 parameters from PSCTR are:
   VRHFIN ={potential.element}: made up, for tests only
   LEXCH  = PE
   EATOM  =     0.0000 eV,     0.0000 Ry

   TITEL  = {potential.title}
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        0    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    0.000    partial core radius
   POMASS = {potential.mass:8.3f}; ZVAL   = {potential.valence:8.3f}    mass and valenz
   RCORE  =    1.000    outmost cutoff radius
   RWIGS  =    1.000; RWIGS  =    0.529    wigner-seitz radius (au A)
   ENMAX  = {potential.cutoff:8.3f}; ENMIN  = {0.75 * potential.cutoff:8.3f} eV
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
   EAUG   = {2 * potential.cutoff:8.3f}
   RMAX   =    1.000    core radius for proj-oper
   RAUG   =    1.000    factor for augmentation sphere

   Atomic configuration
    1 entries
     n  l   j            E        occ.
     1  0  0.50         0.0000   {potential.valence:.4f}
   Description
     l       E           TYP  RCUT    TYP  RCUT
     0    0.0000000     23  1.000
   Error from kinetic energy argument (eV)
   NDATA  =        1
   STEP   =   1.000   1.000
 1.0
END of PSCTR-controll parameters
 local part
  0.0000000E+00
 End of Dataset
"""


def read_potcar(folder: Path, symbols: tuple[str, ...]) -> list[Potential]:
    """
    Read the POTCAR of a run's folder.

    Parameters
    ----------
    folder : Path
        Where the file is.
    symbols : tuple of str
        Elements of POSCAR, which POTCAR must follow.

    Raises
    ------
    InputError
        If there is no file or it has other elements.
    """
    file = folder / "POTCAR"
    if not file.exists():
        raise InputError("no POTCAR file found")
    potentials = [
        Potential(
            match[1].strip(), _value(block, "POMASS"), _value(block, "ZVAL"), _value(block, "ENMAX")
        )
        for block in file.read_text().split("End of Dataset")
        if (match := re.search(r"TITEL\s*=\s*(.+)", block))
    ]
    elements = [potential.element for potential in potentials]
    if elements != list(symbols):
        raise InputError(f"POTCAR is of {' '.join(elements)}, POSCAR of {' '.join(symbols)}")
    return potentials


def _value(block: str, name: str) -> float:
    match = re.search(rf"{name}\s*=\s*([\d.]+)", block)
    if match is None:
        raise InputError(f"POTCAR without {name}")
    return float(match[1])


def write_library(folder: Path, symbols: Iterable[str] | None = None) -> Path:
    """
    Write POTCAR files in the layout that ``PMG_VASP_PSP_DIR`` points to.

    Parameters
    ----------
    folder : Path
        Made if missing; the same files are found under the names of all PBE releases.
    symbols : Iterable[str] or None
        Potentials, with VASP's suffixes; by default all variants of all elements up to plutonium.

    Returns
    -------
    Path
        The folder.
    """
    if symbols is None:
        elements = chemical_symbols[1 : _LAST_ELEMENT + 1]
        symbols = [element + variant for element in elements for variant in VARIANTS]
    first = folder / FUNCTIONAL_FOLDERS[0]
    first.mkdir(parents=True, exist_ok=True)
    for symbol in symbols:
        (first / f"POTCAR.{symbol}").write_text(potcar(symbol))
    for name in FUNCTIONAL_FOLDERS[1:]:
        if not (folder / name).exists():
            (folder / name).symlink_to(first.name)
    return folder
