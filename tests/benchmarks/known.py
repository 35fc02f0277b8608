"""
Known phases of some formulas, from published lattices and positions.

    python -m tests.benchmarks.known -o FOLDER
    python -m tests.benchmarks.known --formulas MgO MgSiO3 Mg2SiO4 SiO2 -o FOLDER

Writes each as ``FORMULA_NAME.vasp``. They are experimental structures, or nearly: an engine has to
relax them before its energies are compared. Those of Si3N4 were compared with database records of
the source. The others are as they are commonly quoted from the sources named; densities, bonds and
coordination agree with handbooks, but the papers themselves were not at hand.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar


@dataclass(frozen=True)
class PublishedPhase:
    """
    A crystal as it was published.

    Attributes
    ----------
    formula, name : str
        Reduced formula, and what the phase is called.
    space_group : str
        Short Hermann-Mauguin symbol, with the origin if there are two.
    lattice : tuple of float
        a, b, c in Å and the angles in degrees, of the conventional cell.
    sites : tuple of (str, (float, float, float))
        Elements and fractional coordinates of the asymmetric unit.
    source : str
        Where it was published.
    """

    formula: str
    name: str
    space_group: str
    lattice: tuple[float, float, float, float, float, float]
    sites: tuple[tuple[str, tuple[float, float, float]], ...]
    source: str

    def structure(self) -> Structure:
        """Conventional cell."""
        return Structure.from_spacegroup(
            self.space_group,
            Lattice.from_parameters(*self.lattice),
            [element for element, _ in self.sites],
            [position for _, position in self.sites],
        )


def _cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, a, 90.0, 90.0, 90.0)


def _tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 90.0)


def _hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 120.0)


THIRD, TWO_THIRDS = 1 / 3, 2 / 3

PHASES: tuple[PublishedPhase, ...] = (
    PublishedPhase(
        "TiO2", "rutile", "P4_2/mnm", _tetragonal(4.5937, 2.9587),
        (("Ti", (0.0, 0.0, 0.0)), ("O", (0.3048, 0.3048, 0.0))),
        "S. C. Abrahams and J. L. Bernstein, J. Chem. Phys. 55, 3206 (1971)",
    ),
    PublishedPhase(
        "TiO2", "anatase", "I4_1/amd", _tetragonal(3.7842, 9.5146),
        # origin at -4m2
        (("Ti", (0.0, 0.0, 0.0)), ("O", (0.0, 0.0, 0.2081))),
        "C. J. Howard, T. M. Sabine and F. Dickson, Acta Cryst. B 47, 462 (1991)",
    ),
    PublishedPhase(
        "TiO2", "brookite", "Pbca", (9.174, 5.449, 5.138, 90.0, 90.0, 90.0),
        (
            ("Ti", (0.1289, 0.0972, 0.8628)),
            ("O", (0.0095, 0.1491, 0.1835)),
            ("O", (0.2314, 0.1110, 0.5366)),
        ),
        "E. P. Meagher and G. A. Lager, Can. Mineral. 17, 77 (1979)",
    ),
    PublishedPhase(
        "Si3N4", "beta", "P6_3/m", _hexagonal(7.6018, 2.9066),
        (
            ("Si", (0.2323, 0.4096, 0.25)),
            ("N", (0.3337, 0.0323, 0.25)),
            ("N", (THIRD, TWO_THIRDS, 0.25)),
        ),
        "M. Billy, J. Labbe, A. Selvaraj and G. Roult, Mater. Res. Bull. 18, 921 (1983)",
    ),
    PublishedPhase(
        "Si3N4", "alpha", "P31c", _hexagonal(7.766, 5.615),
        # sites that were refined to be occupied by 96 to 99 % are full here
        (
            ("Si", (0.5130, 0.4305, 0.6580)),
            ("Si", (0.1680, 0.9150, 0.4504)),
            ("N", (0.6124, 0.9592, 0.4343)),
            ("N", (0.3199, 0.0046, 0.7045)),
            ("N", (TWO_THIRDS, THIRD, 0.6015)),
            ("N", (0.0, 0.0, 0.4520)),
        ),
        "I. Kohatsu and J. W. McCauley, Mater. Res. Bull. 9, 917 (1974), AMCSD 0014238",
    ),
    PublishedPhase(
        "SiO2", "quartz", "P3_221", _hexagonal(4.916, 5.4054),
        # the origin of the table is at silicon: here all z are greater by two thirds
        (("Si", (0.4697, 0.0, TWO_THIRDS)), ("O", (0.4135, 0.2669, 0.1191 + TWO_THIRDS))),
        "L. Levien, C. T. Prewitt and D. J. Weidner, Am. Mineral. 65, 920 (1980), AMCSD 0000789",
    ),
    PublishedPhase(
        "SiO2", "coesite", "C2/c", (7.1356, 12.3692, 7.1736, 90.0, 120.34, 90.0),
        (
            ("Si", (0.1403, 0.1083, 0.0723)),
            ("Si", (0.5068, 0.1580, 0.5407)),
            ("O", (0.0, 0.0, 0.0)),
            ("O", (0.5, 0.1163, 0.75)),
            ("O", (0.2661, 0.1234, 0.9401)),
            ("O", (0.3114, 0.1038, 0.3280)),
            ("O", (0.0172, 0.2117, 0.4782)),
        ),
        "L. Levien and C. T. Prewitt, Am. Mineral. 66, 324 (1981)",
    ),
    PublishedPhase(
        "SiO2", "stishovite", "P4_2/mnm", _tetragonal(4.1801, 2.6678),
        (("Si", (0.0, 0.0, 0.0)), ("O", (0.3067, 0.3067, 0.0))),
        "N. L. Ross, J.-F. Shu, R. M. Hazen and T. Gasparik, Am. Mineral. 75, 739 (1990), AMCSD "
        "0001306",
    ),
    PublishedPhase(
        "MgO", "periclase", "Fm-3m", _cubic(4.212),
        (("Mg", (0.0, 0.0, 0.0)), ("O", (0.5, 0.5, 0.5))),
        "R. M. Hazen, Am. Mineral. 61, 266 (1976)",
    ),
    PublishedPhase(
        "MgSiO3", "clinoenstatite", "P2_1/c", (9.606, 8.8131, 5.170, 90.0, 108.46, 90.0),
        (
            ("Mg", (0.2511, 0.6533, 0.2177)),
            ("Mg", (0.2558, 0.0131, 0.2146)),
            ("Si", (0.0433, 0.3409, 0.2945)),
            ("Si", (0.5534, 0.8372, 0.2300)),
            ("O", (0.8667, 0.3396, 0.1851)),
            ("O", (0.1228, 0.5009, 0.3218)),
            ("O", (0.1066, 0.2795, 0.6153)),
            ("O", (0.3762, 0.8399, 0.1246)),
            ("O", (0.6340, 0.9825, 0.3886)),
            ("O", (0.6053, 0.6943, 0.4540)),
        ),
        "Y. Ohashi, Phys. Chem. Miner. 10, 217 (1984)",
    ),
    PublishedPhase(
        "MgSiO3", "akimotoite", "R-3", _hexagonal(4.7284, 13.5591),
        (
            ("Mg", (0.0, 0.0, 0.35970)),
            ("Si", (0.0, 0.0, 0.15768)),
            ("O", (0.3220, 0.0361, 0.24077)),
        ),
        "H. Horiuchi, M. Hirono, E. Ito and Y. Matsui, Am. Mineral. 67, 788 (1982)",
    ),
    PublishedPhase(
        "MgSiO3", "bridgmanite", "Pnma", (4.9292, 6.8969, 4.7754, 90.0, 90.0, 90.0),
        (
            ("Mg", (0.5560, 0.25, 0.5141)),
            ("Si", (0.0, 0.5, 0.5)),
            ("O", (0.4660, 0.25, 0.1028)),
            ("O", (0.2014, 0.5531, 0.1961)),
        ),
        "H. Horiuchi, E. Ito and D. J. Weidner, Am. Mineral. 72, 357 (1987); axes of Pbnm there",
    ),
    PublishedPhase(
        "Mg2SiO4", "forsterite", "Pnma", (10.207, 5.980, 4.756, 90.0, 90.0, 90.0),
        (
            ("Mg", (0.0, 0.0, 0.0)),
            ("Mg", (0.2774, 0.25, 0.9915)),
            ("Si", (0.0940, 0.25, 0.4262)),
            ("O", (0.0913, 0.25, 0.7657)),
            ("O", (0.4474, 0.25, 0.2215)),
            ("O", (0.1628, 0.0331, 0.2777)),
        ),
        "K. Fujino, S. Sasaki, Y. Takeuchi and R. Sadanaga, Acta Cryst. B 37, 513 (1981); axes of "
        "Pbnm there",
    ),
    PublishedPhase(
        "Mg2SiO4", "ringwoodite", "Fd-3m:2", _cubic(8.0649),
        (
            ("Mg", (0.5, 0.5, 0.5)),
            ("Si", (0.125, 0.125, 0.125)),
            ("O", (0.2441, 0.2441, 0.2441)),
        ),
        "S. Sasaki, C. T. Prewitt, Y. Sato and E. Ito, J. Geophys. Res. 87, 7829 (1982)",
    ),
    PublishedPhase(
        "Mg2Si", "antifluorite", "Fm-3m", _cubic(6.338),
        (("Mg", (0.25, 0.25, 0.25)), ("Si", (0.0, 0.0, 0.0))),
        "E. A. Owen and G. D. Preston, Proc. Phys. Soc. 36, 341 (1924)",
    ),
    PublishedPhase(
        "GaN", "wurtzite", "P6_3mc", _hexagonal(3.190, 5.189),
        (("Ga", (THIRD, TWO_THIRDS, 0.0)), ("N", (THIRD, TWO_THIRDS, 0.377))),
        "H. Schulz and K. H. Thiemann, Solid State Commun. 23, 815 (1977)",
    ),
    PublishedPhase(
        "GaN", "zincblende", "F-43m", _cubic(4.50),
        (("Ga", (0.0, 0.0, 0.0)), ("N", (0.25, 0.25, 0.25))),
        "T. Lei, T. D. Moustakas, R. J. Graham, Y. He and S. J. Berkowitz, J. Appl. Phys. 71, 4933 "
        "(1992)",
    ),
)  # fmt: skip


def main() -> None:
    """Write the phases."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("known"))
    formulas = sorted({phase.formula for phase in PHASES})
    parser.add_argument("--formulas", nargs="+", choices=formulas, default=formulas)
    given = parser.parse_args()
    folder = given.out
    folder.mkdir(parents=True, exist_ok=True)
    for phase in [phase for phase in PHASES if phase.formula in given.formulas]:
        path = folder / f"{phase.formula}_{phase.name}.vasp"
        comment = f"{phase.formula} {phase.name}, {phase.source}"
        Poscar(phase.structure(), comment=comment).write_file(path)
        print(path)


if __name__ == "__main__":
    main()
