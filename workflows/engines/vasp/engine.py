"""VASP as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflows.engines.base import Purpose, SegmentSettings
from workflows.engines.plane_waves import PlaneWaveEngine, spins_in_words
from workflows.engines.vasp.potentials import known_elements
from workflows.engines.vasp.settings import VaspSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.engines.vasp.dynamics import VaspDynamicsMaker
    from workflows.engines.vasp.relax import VaspRelaxMaker
    from workflows.engines.vasp.static import VaspStaticMaker


@dataclass(frozen=True)
class VaspEngine(PlaneWaveEngine):
    """
    Density functional theory by VASP: PBE, projector augmented waves.

    The programs are atomate2's settings ``VASP_CMD`` and ``VASP_GAMMA_CMD``, the potentials those
    of pymatgen's ``PMG_VASP_PSP_DIR``. Neither is needed to write a workflow.

    Parameters
    ----------
    settings : VaspSettings
        A protocol's branch ``vasp``.
    """

    name: str = "vasp"
    settings: VaspSettings = field(default_factory=VaspSettings)

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a potential."""
        return known_elements()

    def magnetism(self) -> str | None:
        """Say whether its electrons have spins."""
        return spins_in_words(self.name, self.settings.magnetic)

    def molecular_dynamics(self, settings: SegmentSettings) -> VaspDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.vasp.dynamics import VaspDynamicsMaker
        from workflows.engines.vasp.level import Level

        return VaspDynamicsMaker(
            level=Level(self.settings, "melt"), plane_waves=self.plane_waves, settings=settings
        )

    def relax(self, limits: RelaxationLimits) -> VaspRelaxMaker:
        """Maker of a relaxation of cell and positions."""
        from workflows.engines.vasp.level import Level
        from workflows.engines.vasp.relax import VaspRelaxMaker

        return VaspRelaxMaker(
            level=Level(self.settings, "crystal"), plane_waves=self.plane_waves, limits=limits
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

        return label_one_by_one(frames, Level(self.settings, "melt", self.known_plane_waves()))
