"""Atoms packed at random into a cubic box: where a campaign starts."""

from __future__ import annotations

import math
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jobflow import Maker, job
from pymatgen.core import Composition, DummySpecies, Element, Species, Structure

from search.relax.pressure import compressed
from workflows.jobs.tags import derive_seed

#: Å³ per atom in inorganic crystals of the elements that form small anions: their elements are
#: gases or molecular solids, whose molar volumes say nothing about compounds.
ANION_VOLUMES = {
    "H": 5.1,
    "C": 10.0,
    "N": 11.8,
    "O": 11.4,
    "F": 11.2,
    "P": 20.0,
    "S": 25.2,
    "Cl": 25.8,
    "Se": 30.3,
    "Br": 32.7,
    "Te": 38.0,
    "I": 46.2,
}

#: Cations shrink beside anions: fraction of their molar volume as elements.
CATION_FRACTION = 0.6

#: A packing of some hundred atoms takes a fraction of a second, or is never found.
PACKMOL_SECONDS = 60

#: Å³ per cm³/mol.
MOLAR = 1.66054


def estimate_volume(composition: Composition, pressure: float = 0.0) -> float:
    """
    Guess the volume per atom of a compound from the volumes of its elements.

    Good to some ten per cent, which is all that a melt with a pressure correction needs.

    Parameters
    ----------
    composition : Composition
        Any amounts.
    pressure : float
        From outside, kbar: as compounds are compressed on average.

    Returns
    -------
    float
        Å³ per atom.
    """
    has_anion = any(element.symbol in ANION_VOLUMES for element in composition)
    total = 0.0
    for element, amount in composition.items():
        total += amount * _atomic_volume(element, has_anion)
    return compressed(total / composition.num_atoms, pressure)


def _atomic_volume(element: Element | Species | DummySpecies, beside_anions: bool) -> float:
    if element.symbol in ANION_VOLUMES:
        return ANION_VOLUMES[element.symbol]
    molar = element.molar_volume
    volume = 20.0 if molar is None or math.isnan(float(molar)) else float(molar) * MOLAR
    return volume * (CATION_FRACTION if beside_anions else 1.0)


@dataclass
class PackMaker(Maker):
    """
    Random packing of whole formula units with Packmol.

    Parameters
    ----------
    n_atoms : int
        Number of atoms aimed at; the nearest whole number of formula units is taken.
    volume_per_atom : float or None
        Å³; none: estimated from the elements.
    min_distance : float
        Å between any two atoms; lowered where the box is too small for it.
    seed : int
        Seed of the campaign.
    pressure : float
        From outside, kbar; the estimate counts with it.
    """

    name: str = "pack"
    n_atoms: int = field(
        default=100, metadata={"range": (2, 10_000), "help": "number of atoms aimed at"}
    )
    volume_per_atom: float | None = field(
        default=None,
        metadata={
            "range": (1.0, 1000.0),
            "unit": "Å³",
            "help": "none: estimated from the elements",
        },
    )
    min_distance: float = field(
        default=1.9,
        metadata={"range": (0.1, 5.0), "unit": "Å", "help": "between any two atoms at the start"},
    )
    seed: int = field(default=0, metadata={"hidden": True})
    pressure: float = field(default=0.0, metadata={"unit": "kbar", "hidden": True})

    def formula_units(self, formula: str) -> int:
        """Number of formula units nearest to the number of atoms aimed at, at least one."""
        return max(1, round(self.n_atoms / Composition(formula).reduced_composition.num_atoms))

    def count_atoms(self, formula: str) -> int:
        """Number of atoms that are packed."""
        unit = Composition(formula).reduced_composition.num_atoms
        return int(self.formula_units(formula) * unit)

    @job
    def make(self, formula: str) -> Structure:
        """
        Pack the atoms.

        Parameters
        ----------
        formula : str
            Chemical formula; its reduced form is one formula unit.

        Raises
        ------
        RuntimeError
            If Packmol finds no packing even at a much smaller distance.
        """
        unit = Composition(formula).reduced_composition
        amounts = {
            element.symbol: int(amount) * self.formula_units(formula)
            for element, amount in unit.items()
        }
        volume = self.volume_per_atom or estimate_volume(unit, self.pressure)
        edge = (volume * sum(amounts.values())) ** (1 / 3)
        # spheres of this diameter fill a third of the box: dense enough, and quick to find
        distance = min(self.min_distance, (volume * 2 / math.pi) ** (1 / 3))
        positions = pack_atoms(amounts, edge, distance, derive_seed(self.seed, "pack"))
        species = [symbol for symbol, amount in amounts.items() for _ in range(amount)]
        return Structure(np.eye(3) * edge, species, positions, coords_are_cartesian=True)


def pack_atoms(amounts: dict[str, int], edge: float, distance: float, seed: int) -> np.ndarray:
    """
    Place atoms at random in a periodic cubic box, none closer than a distance.

    Parameters
    ----------
    amounts : dict
        Number of atoms by symbol.
    edge : float
        Å
    distance : float
        Å; lowered where the box is too dense for it to be possible, and by a tenth, up to five
        times, where no packing is found.
    seed : int
        Of Packmol.

    Returns
    -------
    ndarray, shape (n_atoms, 3)
        Positions in Å, grouped by symbol in the order given.

    Raises
    ------
    RuntimeError
        If no packing was found.
    """
    distance = min(distance, 0.85 * edge / sum(amounts.values()) ** (1 / 3))
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            positions = _packmol(path, amounts, edge, distance, seed % 2**30 + 1)
        if positions is not None:
            return positions
        distance *= 0.9
    raise RuntimeError(
        f"no packing of {sum(amounts.values())} atoms in a box of {edge:.1f} Å was found; "
        "raise pack.volume_per_atom"
    )


def _packmol(
    folder: Path, amounts: dict[str, int], edge: float, distance: float, seed: int
) -> np.ndarray | None:
    """Run Packmol once; none if it found no packing."""
    lines = [
        f"tolerance {distance:.4f}", f"seed {seed}", "filetype xyz", "output packed.xyz",
        f"pbc 0.0 0.0 0.0 {edge:.5f} {edge:.5f} {edge:.5f}",
    ]  # fmt: skip
    for symbol, amount in amounts.items():
        (folder / f"{symbol}.xyz").write_text(f"1\n\n{symbol} 0.0 0.0 0.0\n")
        lines += [
            f"structure {symbol}.xyz", f"  number {amount}",
            f"  inside box 0.0 0.0 0.0 {edge:.5f} {edge:.5f} {edge:.5f}", "end structure",
        ]  # fmt: skip
    script = folder / "packmol.inp"
    script.write_text("\n".join(lines) + "\n")
    with script.open() as stdin:  # Packmol rewinds its input, which a pipe cannot do
        try:
            process = subprocess.run(
                [packmol_executable()], stdin=stdin, cwd=folder, capture_output=True,
                timeout=PACKMOL_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    packed = folder / "packed.xyz"
    if process.returncode != 0 or not packed.exists():
        return None
    rows = packed.read_text().split("\n")[2 : 2 + sum(amounts.values())]
    return np.array([row.split()[1:4] for row in rows], dtype=float)


def packmol_executable() -> str:
    """Path of the Packmol program that the packmol package installs."""
    import shutil
    import sys

    beside = Path(sys.executable).with_name("packmol")
    found = str(beside) if beside.exists() else shutil.which("packmol")
    if found is None:
        raise RuntimeError("the program packmol was not found; pip install packmol")
    return found
