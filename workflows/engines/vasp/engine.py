"""VASP as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.base import Engine, Purpose
from workflows.engines.vasp.potentials import known_elements
from workflows.engines.vasp.settings import VaspSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobflow import OutputReference

    from nnp.frames import Frames
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.engines.vasp.dynamics import VaspDynamicsMaker
    from workflows.engines.vasp.relax import VaspRelaxMaker
    from workflows.engines.vasp.static import VaspStaticMaker
    from workflows.stages.dynamics import SegmentSettings


@dataclass(frozen=True)
class VaspEngine(Engine):
    """
    Density functional theory by VASP: PBE, projector augmented waves.

    The programs are atomate2's settings ``VASP_CMD`` and ``VASP_GAMMA_CMD``, the potentials those
    of pymatgen's ``PMG_VASP_PSP_DIR``. Neither is needed to write a workflow.

    Parameters
    ----------
    settings
        Numbers; a protocol's branch ``vasp``.
    plane_waves
        Cutoff and k-points of the melt, or the reference to what will find them.
    """

    name: str = "vasp"
    settings: VaspSettings = field(default_factory=VaspSettings)
    plane_waves: PlaneWaves | OutputReference | None = None

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a potential."""
        return known_elements()

    @property
    def has_plane_waves(self) -> bool:
        """Whether a cutoff and k-points decide how good it is."""
        return True

    @property
    def settled(self) -> bool:
        """Whether cutoff and k-points are given."""
        return self.settings.cutoff is not None or self.plane_waves is not None

    def configure(self, protocol: StructurePredictionMaker) -> VaspEngine:
        """Take the numbers of a protocol."""
        return replace(self, settings=protocol.vasp)

    def adopt(self, plane_waves: PlaneWaves | OutputReference) -> VaspEngine:
        """Use a cutoff and k-points in all but crystals."""
        return replace(self, plane_waves=plane_waves)

    def molecular_dynamics(self, settings: SegmentSettings) -> VaspDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.vasp.dynamics import VaspDynamicsMaker
        from workflows.engines.vasp.level import Level

        return VaspDynamicsMaker(
            level=Level(self.settings, "melt"), plane_waves=self.plane_waves, settings=settings
        )

    def relax(self, max_force: float, max_stress: float, max_steps: int) -> VaspRelaxMaker:
        """Maker of a relaxation of cell and positions, to eV/Å and kbar."""
        from workflows.engines.vasp.level import Level
        from workflows.engines.vasp.relax import VaspRelaxMaker

        return VaspRelaxMaker(
            level=Level(self.settings, "crystal"),
            plane_waves=self.plane_waves,
            max_force=max_force,
            max_stress=max_stress,
            max_steps=max_steps,
        )

    def static(self, purpose: Purpose = "melt") -> VaspStaticMaker:
        """Maker of single evaluations."""
        from workflows.engines.vasp.level import Level
        from workflows.engines.vasp.static import VaspStaticMaker

        return VaspStaticMaker(level=Level(self.settings, purpose), plane_waves=self.plane_waves)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        from workflows.engines.vasp.level import Level
        from workflows.engines.vasp.static import label_one_by_one

        if not isinstance(self.plane_waves, PlaneWaves | None):
            raise TypeError("cutoff and k-points are still to be found")
        return label_one_by_one(frames, Level(self.settings, "melt", self.plane_waves))
