"""GPAW as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workflows.engines.ase.dispersion import without_dispersion
from workflows.engines.base import Purpose, SegmentSettings
from workflows.engines.gpaw.datasets import ELEMENTS
from workflows.engines.gpaw.level import GpawLevel, missing
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.names import base_name
from workflows.engines.plane_waves import Kind, PlaneWaveEngine, spins_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase.calculators.calculator import Calculator

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.engines.ase.relax import AseRelaxMaker
    from workflows.engines.ase.static import AseStaticMaker
    from workflows.engines.gpaw.calculator import GpawCalculator
    from workflows.engines.gpaw.dynamics import GpawDynamicsMaker


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
            name=self.name,
            settings=self.settings,
            kind=kind,
            plane_waves=self.known_plane_waves(),
            dispersion=self.dispersion,
            cost=self.cost,
        )

    def with_settings(self, settings: GpawSettings) -> GpawEngine:
        """Use the numbers of a protocol; the dispersion is that of their functional."""
        dispersion = self.dispersion
        if dispersion is not None:
            dispersion = replace(dispersion, functional=settings.xc.lower())
        return replace(self, settings=settings, dispersion=dispersion)

    def crystal_calculator(self) -> Calculator:
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
        gpaw: GpawCalculator = without_dispersion(calculator)  # type: ignore[assignment]
        gpaw.follow = False
        return calculator

    def magnetism(self) -> str | None:
        """Say whether its electrons have spins."""
        return spins_in_words(base_name(self.name), self.settings.magnetic)

    def molecular_dynamics(self, settings: SegmentSettings) -> GpawDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.gpaw.dynamics import GpawDynamicsMaker

        return GpawDynamicsMaker(
            level=replace(self, plane_waves=None).level("melt"),
            plane_waves=self.plane_waves,
            settings=settings,
        )

    def relax(self, limits: RelaxationLimits) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions."""
        return self.level("crystal").relax(limits)

    def static(self, purpose: Purpose = "melt") -> AseStaticMaker:
        """Maker of single evaluations."""
        return self.level(purpose).static(purpose)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        return self.level("melt").label_frames(frames)
