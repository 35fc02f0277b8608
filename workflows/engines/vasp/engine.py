"""VASP as a reference engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workflows.engines.base import Purpose, SegmentSettings
from workflows.engines.names import base_name
from workflows.engines.plane_waves import PlaneWaveEngine, spins_in_words
from workflows.engines.vasp.potentials import known_elements
from workflows.engines.vasp.settings import VaspSettings
from workflows.settings import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nnp.frames import Frames
    from search.relax.limits import RelaxationLimits
    from workflows.engines.plane_waves import Kind
    from workflows.engines.vasp.dynamics import VaspDynamicsMaker
    from workflows.engines.vasp.level import Level
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

    def with_settings(self, settings: VaspSettings) -> VaspEngine:
        """
        Use the numbers of a protocol.

        Raises
        ------
        SettingError
            If they ask for another dispersion than the engine has.
        """
        tags = {entry.partition("=")[0].strip().upper() for entry in settings.incar}
        if self.dispersion is not None and "IVDW" in tags:
            raise SettingError(
                "'vasp.incar' asks for a dispersion by IVDW, and --dispersion for another one; "
                "leave one of them out"
            )
        return replace(self, settings=settings)

    def level(self, kind: Kind) -> Level:
        """VASP as one kind of calculation needs it; cutoff and k-points are still to be found."""
        from workflows.engines.vasp.level import Level

        return Level(self.settings, kind, dispersion=self.dispersion)

    def magnetism(self) -> str | None:
        """Say whether its electrons have spins."""
        return spins_in_words(base_name(self.name), self.settings.magnetic)

    def molecular_dynamics(self, settings: SegmentSettings) -> VaspDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.vasp.dynamics import VaspDynamicsMaker

        return VaspDynamicsMaker(
            level=self.level("melt"), plane_waves=self.plane_waves, settings=settings
        )

    def relax(self, limits: RelaxationLimits) -> VaspRelaxMaker:
        """Maker of a relaxation of cell and positions."""
        from workflows.engines.vasp.relax import VaspRelaxMaker

        return VaspRelaxMaker(
            level=self.level("crystal"), plane_waves=self.plane_waves, limits=limits
        )

    def static(self, purpose: Purpose = "melt") -> VaspStaticMaker:
        """Maker of single evaluations."""
        from workflows.engines.vasp.static import VaspStaticMaker

        return VaspStaticMaker(level=self.level(purpose), plane_waves=self.plane_waves)

    def label_frames(self, frames: Frames) -> Iterator[Frames | str]:
        """Evaluate a batch of configurations one after the other, within the current job."""
        from workflows.engines.vasp.static import label_one_by_one

        level = replace(self.level("melt"), plane_waves=self.known_plane_waves())
        return label_one_by_one(frames, level)
