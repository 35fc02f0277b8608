"""GPAW as a reference engine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import MissingEngineError, Purpose, SegmentSettings
from workflows.engines.gpaw.datasets import ELEMENTS, recommended_cutoffs
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.plane_waves import (
    Cutoffs,
    Kind,
    PlaneWaveEngine,
    choose_plane_waves,
    is_crystal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.engines.ase.relax import AseRelaxMaker
    from workflows.engines.ase.static import AseStaticMaker
    from workflows.engines.gpaw.calculator import GpawCalculator, Sampling
    from workflows.engines.gpaw.dynamics import GpawDynamicsMaker

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
    """

    name: str = "gpaw"
    settings: GpawSettings = field(default_factory=GpawSettings)
    kind: Kind = "melt"
    plane_waves: PlaneWaves | None = None

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a data set."""
        return ELEMENTS

    def missing(self) -> str | None:
        """Say what has to be installed; nothing if GPAW is there."""
        return missing()

    def build(self) -> GpawCalculator:
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

        return GpawCalculator(self.settings, self.sampling, follow=self.kind == "crystal")

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
        return atoms.calc.refit_basis(atoms)


@dataclass(frozen=True)
class GpawEngine(PlaneWaveEngine):
    """
    Density functional theory by GPAW: PBE, projector augmented waves, plane waves.

    Energies are free energies of the smeared electrons. GPAW runs in the process of its job, on
    one core: many jobs side by side use a machine. It is not needed to write a workflow.

    Parameters
    ----------
    settings : GpawSettings
        A protocol's branch ``gpaw``.

    References
    ----------
    J. J. Mortensen et al., J. Chem. Phys. 160, 092503 (2024).
    """

    name: str = "gpaw"
    settings: GpawSettings = field(default_factory=GpawSettings)

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a data set."""
        return ELEMENTS

    def missing(self) -> str | None:
        """Say what has to be installed; nothing if GPAW is there."""
        return missing()

    def level(self, kind: Kind) -> GpawLevel:
        """GPAW as one kind of calculation needs it."""
        return GpawLevel(
            settings=self.settings, kind=kind, plane_waves=self.known_plane_waves(), cost=self.cost
        )

    def crystal_calculator(self) -> GpawCalculator:
        """
        ASE calculator for relaxing crystals, many at a time, within this process.

        Each cell gets k-points of its own, since what comes next is another crystal.

        Raises
        ------
        MissingEngineError
            If GPAW is not installed.
        """
        silent = replace(self.level("crystal"), settings=replace(self.settings, log=False))
        calculator = silent.build()
        calculator.follow = False
        return calculator

    def molecular_dynamics(self, settings: SegmentSettings) -> GpawDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.gpaw.dynamics import GpawDynamicsMaker

        return GpawDynamicsMaker(engine=self, settings=settings)

    def relax(self, limits: RelaxationLimits) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions."""
        return self.level("crystal").relax(limits)

    def static(self, purpose: Purpose = "melt") -> AseStaticMaker:
        """Maker of single evaluations."""
        return self.level(purpose).static(purpose)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        return self.level("melt").label_frames(frames)


def missing() -> str | None:
    """Say what has to be installed; nothing if GPAW is there."""
    found = all(importlib.util.find_spec(name) for name in ("gpaw", "_gpaw"))
    return None if found else INSTALL
