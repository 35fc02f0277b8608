"""How well a calculation is done: basis, k-points and tags for a structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from monty.json import MSONable
from pymatgen.core import Structure

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.vasp.incar import Basis, compose, crystal_incar, melt_incar
from workflows.engines.vasp.inputs import (
    crystal_mesh,
    grouped_order,
    largest_enmax,
    read_potentials,
    write_inputs,
)
from workflows.engines.vasp.parallel import parallel_tags, resolve
from workflows.engines.vasp.settings import VaspSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymatgen.io.vasp import Potcar

Kind = Literal["melt", "crystal", "compared crystal", "accurate"]


@dataclass(frozen=True)
class Level(MSONable):
    """
    Settings and kind of a calculation.

    Parameters
    ----------
    settings
        Of the engine.
    kind
        ``melt``: as the dynamics. ``crystal``: for relaxing cells, with a cutoff that is safe
        against Pulay stress. ``compared crystal``: a crystal whose energy is compared with those
        of the melt, hence at their cutoff. ``accurate``: what others are measured by.
    plane_waves
        What the convergence test found, or what is asked for.
    """

    settings: VaspSettings = field(default_factory=VaspSettings)
    kind: Kind = "melt"
    plane_waves: PlaneWaves | None = None

    def basis(self, structure: Structure, potentials: Potcar) -> Basis:
        """Cutoff and k-points for a structure."""
        enmax = largest_enmax(potentials)
        found = self.plane_waves
        cutoff = self.settings.cutoff or (found.cutoff if found else None) or enmax
        mesh = found.mesh if found else (1, 1, 1)
        if self.kind == "accurate" and found is not None:
            cutoff = found.cutoff  # asked for, whatever the settings of the other levels
        crystal = self.settings.crystal
        if self.kind == "crystal":
            cutoff = max(crystal.cutoff or crystal.cutoff_factor * enmax, cutoff)
        if self.kind in ("crystal", "compared crystal"):
            mesh = crystal_mesh(structure.lattice.matrix, crystal.k_spacing)
        return Basis(cutoff, mesh)

    def incar(self, basis: Basis, symbols: list[str], tags: dict[str, Any]) -> dict[str, Any]:
        """All tags of a calculation; those of the task at hand are given."""
        make = melt_incar if self.kind == "melt" else crystal_incar
        common = make(self.settings, basis.cutoff, symbols)
        if self.kind == "compared crystal":  # the grids of the melt: its energy zero
            common["PREC"] = melt_incar(self.settings, basis.cutoff, symbols)["PREC"]
        k_points = int(np.prod(basis.mesh))
        cut = parallel_tags(*resolve(self.settings.parallel), k_points)
        return compose(self.settings, common, tags, cut)


@dataclass
class Calculation:
    """
    A structure at a level, ready to be written.

    Attributes
    ----------
    structure : Structure
        Atoms grouped by element.
    order : ndarray, shape (n_atoms,)
        Atom of the structure as it came for each atom here.
    level : Level
    potentials : Potcar
    basis : Basis
        Of this cell.
    """

    structure: Structure
    order: NDArray[np.int64]
    level: Level
    potentials: Potcar
    basis: Basis

    @classmethod
    def prepare(cls, structure: Structure, level: Level) -> Calculation:
        """Group the atoms and read the potentials."""
        order = grouped_order(structure)
        grouped = Structure.from_sites(
            [structure[int(i)] for i in order], properties=structure.properties
        )
        elements = list(dict.fromkeys(site.specie.symbol for site in grouped))
        potentials = read_potentials(elements, level.settings)
        return cls(grouped, order, level, potentials, level.basis(grouped, potentials))

    @property
    def symbols(self) -> list[str]:
        """Element of each atom."""
        return [site.specie.symbol for site in self.structure]

    def write(self, folder: Path, tags: dict[str, Any]) -> None:
        """Write the four files."""
        incar = self.level.incar(self.basis, self.symbols, tags)
        write_inputs(folder, self.structure, incar, self.basis.mesh, self.potentials)

    def ungrouped(self, values: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """Values of atoms in the order in which the structure came."""
        return np.take(values, np.argsort(self.order), axis=axis)
