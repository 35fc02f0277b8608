"""GPAW as a reference engine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import Engine, MissingEngineError, Purpose
from workflows.engines.gpaw.datasets import known_elements, preset_cutoff, relaxation_cutoff
from workflows.engines.gpaw.options import GpawOptions
from workflows.engines.vasp.inputs import crystal_mesh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms
    from jobflow import OutputReference

    from nnp.frames import Frames
    from workflows.chains.prediction import StructurePredictionMaker
    from workflows.engines.ase.relax import AseRelaxMaker, AseStaticMaker
    from workflows.engines.gpaw.calculator import GpawCalculator, Sampling
    from workflows.engines.gpaw.dynamics import GpawDynamicsMaker
    from workflows.stages.dynamics import SegmentSettings

Kind = Literal["melt", "crystal", "compared crystal", "accurate"]

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
    options
        Of the engine.
    kind
        ``melt``: as the dynamics. ``crystal``: for relaxing cells, with a cutoff that is safe
        against Pulay stress. ``compared crystal``: a crystal whose energy is compared with those
        of the melt, hence at their cutoff. ``accurate``: what others are measured by.
    plane_waves
        What the convergence test found, or what is asked for.
    """

    name: str = "gpaw"
    options: GpawOptions = field(default_factory=GpawOptions)
    kind: Kind = "melt"
    plane_waves: PlaneWaves | None = None

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a data set."""
        return known_elements()

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

        return GpawCalculator(self.options, self.sampling, follow=self.kind == "crystal")

    def sampling(self, atoms: Atoms) -> Sampling:
        """Cutoff and k-points for a cell."""
        from workflows.engines.gpaw.calculator import Sampling

        found, crystal = self.plane_waves, self.options.crystal
        elements = set(atoms.symbols)
        cutoff = self.options.cutoff or (found.cutoff if found else preset_cutoff(elements))
        mesh = found.mesh if found else (1, 1, 1)
        if self.kind == "accurate" and found is not None:
            cutoff = found.cutoff  # asked for, whatever the options of the other levels
        if self.kind == "crystal":
            cutoff = max(crystal.cutoff or relaxation_cutoff(elements), cutoff)
        is_crystal = self.kind in ("crystal", "compared crystal")
        if is_crystal:
            mesh = crystal_mesh(atoms.cell.array, crystal.k_spacing)
        return Sampling(PlaneWaves(cutoff, mesh), is_crystal and crystal.symmetry)

    def renew(self, atoms: Atoms) -> bool:
        """Begin anew if the cell has outgrown its k-points; whether it has."""
        return atoms.calc.renew(atoms)


@dataclass(frozen=True)
class GpawEngine(Engine):
    """
    Density functional theory by GPAW: PBE, projector augmented waves, plane waves.

    Energies are free energies of the smeared electrons. GPAW runs in the process of its job, on
    one core: many jobs side by side use a machine. It is not needed to write a workflow.

    Parameters
    ----------
    options
        Numbers; a protocol's branch ``gpaw``.
    plane_waves
        Cutoff and k-points of the melt, or the reference to what will find them.

    References
    ----------
    J. J. Mortensen et al., J. Chem. Phys. 160, 092503 (2024).
    """

    name: str = "gpaw"
    options: GpawOptions = field(default_factory=GpawOptions)
    plane_waves: PlaneWaves | OutputReference | None = None

    def elements(self) -> frozenset[str] | None:
        """Symbols of the elements that have a data set."""
        return known_elements()

    def missing(self) -> str | None:
        """Say what has to be installed; nothing if GPAW is there."""
        return missing()

    @property
    def has_plane_waves(self) -> bool:
        """Whether a cutoff and k-points decide how good it is."""
        return True

    @property
    def settled(self) -> bool:
        """Whether cutoff and k-points are given."""
        return self.options.cutoff is not None or self.plane_waves is not None

    def configure(self, protocol: StructurePredictionMaker) -> GpawEngine:
        """Take the numbers of a protocol."""
        return replace(self, options=protocol.gpaw)

    def adopt(self, plane_waves: PlaneWaves | OutputReference) -> GpawEngine:
        """Use a cutoff and k-points in all but crystals."""
        return replace(self, plane_waves=plane_waves)

    def level(self, kind: Kind) -> GpawLevel:
        """
        GPAW as one kind of calculation needs it.

        Raises
        ------
        TypeError
            If cutoff and k-points are a reference, which only a job can look up.
        """
        if not isinstance(self.plane_waves, PlaneWaves | None):
            raise TypeError("cutoff and k-points are still to be found")
        return GpawLevel(options=self.options, kind=kind, plane_waves=self.plane_waves)

    def molecular_dynamics(self, settings: SegmentSettings) -> GpawDynamicsMaker:
        """Maker of one segment of molecular dynamics."""
        from workflows.engines.gpaw.dynamics import GpawDynamicsMaker

        return GpawDynamicsMaker(engine=self, settings=settings)

    def relax(self, max_force: float, max_stress: float, max_steps: int) -> AseRelaxMaker:
        """Maker of a relaxation of cell and positions, to eV/Å and kbar."""
        return self.level("crystal").relax(max_force, max_stress, max_steps)

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
