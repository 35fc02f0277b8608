"""
Known phases of some formulas, from published lattices and positions.

    python -m tests.benchmarks.known -o FOLDER

Writes each as ``FORMULA_NAME.vasp``. They are experimental structures, or nearly: an engine has to
relax them before its energies are compared.
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
        "Si3N4", "beta", "P6_3/m", _hexagonal(7.608, 2.9107),
        (
            ("Si", (0.1733, 0.7694, 0.25)),
            ("N", (0.3323, 0.0314, 0.25)),
            ("N", (THIRD, TWO_THIRDS, 0.25)),
        ),
        "R. Grün, Acta Cryst. B 35, 800 (1979)",
    ),
    PublishedPhase(
        "Si3N4", "alpha", "P31c", _hexagonal(7.766, 5.615),
        (
            ("Si", (0.0821, 0.5089, 0.6585)),
            ("Si", (0.2563, 0.1712, 0.4509)),
            ("N", (0.6558, 0.6075, 0.4320)),
            ("N", (0.3154, 0.3192, 0.6962)),
            ("N", (0.0, 0.0, 0.4503)),
            ("N", (THIRD, TWO_THIRDS, 0.5926)),
        ),
        "K. Kato, Z. Inoue, K. Kijima, I. Kawada, H. Tanaka and T. Yamane, J. Am. Ceram. Soc. 58, "
        "90 (1975)",
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
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for phase in PHASES:
        path = folder / f"{phase.formula}_{phase.name}.vasp"
        comment = f"{phase.formula} {phase.name}, {phase.source}"
        Poscar(phase.structure(), comment=comment).write_file(path)
        print(path)


if __name__ == "__main__":
    main()
