"""How well a calculation is done: basis, k-points and tags for a structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable
from pymatgen.core import Structure

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.dispersion import Dispersion
from workflows.engines.names import name_with
from workflows.engines.plane_waves import Cutoffs, Kind, choose_plane_waves
from workflows.engines.vasp.incar import compose, dispersion_tags, level_tags
from workflows.engines.vasp.inputs import (
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


@dataclass(frozen=True)
class Level(MSONable):
    """
    Settings and kind of a calculation.

    Parameters
    ----------
    settings : VaspSettings
        Of the engine.
    kind : str
        One of :data:`~workflows.engines.plane_waves.Kind`.
    plane_waves : PlaneWaves or None
        What the convergence test found, or what is asked for.
    dispersion : Dispersion or None
        What is added to the functional.
    """

    settings: VaspSettings = field(default_factory=VaspSettings)
    kind: Kind = "melt"
    plane_waves: PlaneWaves | None = None
    dispersion: Dispersion | None = None

    @property
    def engine(self) -> str:
        """Name of the engine, for documents."""
        return name_with("vasp", None if self.dispersion is None else self.dispersion.damping)

    def basis(self, structure: Structure, potentials: Potcar) -> PlaneWaves:
        """Cutoff and k-points for a structure."""
        enmax, crystal = largest_enmax(potentials), self.settings.crystal
        relaxation = crystal.cutoff or crystal.cutoff_factor * enmax
        return choose_plane_waves(
            self.kind, Cutoffs(self.settings.cutoff, enmax, relaxation), self.plane_waves,
            structure.lattice.matrix, crystal.k_spacing,
        )  # fmt: skip

    def incar(self, basis: PlaneWaves, symbols: list[str], tags: dict[str, Any]) -> dict[str, Any]:
        """All tags of a calculation; those of the task at hand are given."""
        common = {
            **level_tags(self.settings, self.kind, basis.cutoff, symbols),
            **dispersion_tags(self.dispersion),
        }
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
        How well.
    potentials : Potcar
        In the order of the elements.
    basis : PlaneWaves
        Of this cell.
    """

    structure: Structure
    order: NDArray[np.int64]
    level: Level
    potentials: Potcar
    basis: PlaneWaves

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
