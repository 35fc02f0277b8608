"""GPAW at one level of accuracy."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.ase.dispersion import DispersionCalculator, without_dispersion
from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import MissingEngineError
from workflows.engines.dispersion import Dispersion
from workflows.engines.gpaw.datasets import ELEMENTS, recommended_cutoffs
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.plane_waves import (
    Cutoffs,
    Kind,
    choose_plane_waves,
    is_crystal,
)

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from workflows.engines.gpaw.calculator import GpawCalculator, Sampling

#: What to do where GPAW is not installed.
INSTALL = (
    "GPAW is not installed in this environment: run 'make install-gpaw', or install libxc, "
    "OpenBLAS and FFTW with their headers and then the extra devitrify[gpaw] with GPAW_CONFIG "
    "naming launch/templates/gpaw_siteconfig.py"
)


@dataclass(frozen=True)
class GpawLevel(AseEngine):
    """
    GPAW at one level of accuracy, as an ASE engine.

    Parameters
    ----------
    settings : GpawSettings
        Of the engine.
    kind : str
        One of :data:`~workflows.engines.plane_waves.Kind`.
    plane_waves : PlaneWaves or None
        What the convergence test found, or what is asked for.
    dispersion : Dispersion or None
        What is added to the functional.
    """

    name: str = "gpaw"
    settings: GpawSettings = field(default_factory=GpawSettings)
    kind: Kind = "melt"
    plane_waves: PlaneWaves | None = None
    dispersion: Dispersion | None = None

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a data set."""
        return ELEMENTS

    def missing(self) -> str | None:
        """Say what has to be installed; nothing if GPAW is there."""
        return missing()

    def build(self) -> Calculator:
        """
        Build a calculator, a new one for each job: it remembers density and wave functions.

        Raises
        ------
        MissingEngineError
            If GPAW is not installed.
        """
        reason = missing()
        if reason:
            raise MissingEngineError(reason)
        from workflows.engines.gpaw.calculator import GpawCalculator

        gpaw = GpawCalculator(self.settings, self.sampling, follow=self.kind == "crystal")
        return gpaw if self.dispersion is None else DispersionCalculator(gpaw, self.dispersion)

    def sampling(self, atoms: Atoms) -> Sampling:
        """Cutoff and k-points for a cell."""
        from workflows.engines.gpaw.calculator import Sampling

        crystal = self.settings.crystal
        recommended, relaxation = recommended_cutoffs(set(atoms.symbols))
        cutoffs = Cutoffs(self.settings.cutoff, recommended, crystal.cutoff or relaxation)
        plane_waves = choose_plane_waves(
            self.kind, cutoffs, self.plane_waves, atoms.cell.array, crystal.k_spacing
        )
        return Sampling(plane_waves, is_crystal(self.kind) and crystal.symmetry)

    def refit_basis(self, atoms: Atoms) -> bool:
        """Begin anew if the cell has outgrown its k-points; whether it has."""
        gpaw: GpawCalculator = without_dispersion(atoms.calc)  # type: ignore[assignment]
        if not gpaw.refit_basis(atoms):
            return False
        atoms.calc.reset()
        return True


def missing() -> str | None:
    """Say what has to be installed; nothing if GPAW is there."""
    found = all(importlib.util.find_spec(name) for name in ("gpaw", "_gpaw"))
    return None if found else INSTALL
