"""The superheated melt: random atoms lose their memory at a bearable pressure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Flow, Job, Maker, job
from pymatgen.core import Structure

from search.relax.pressure import STIFFENING
from workflows.documents.dynamics import SegmentDocument
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.dynamics import DynamicsMaker, mean_pressure
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference


def scale_volume(structure: Structure, volume: float) -> Structure:
    """
    Scale a cell isotropically; fractional coordinates and velocities stay.

    Parameters
    ----------
    structure : Structure
        Any, with unwrapped positions.
    volume : float
        Å³ of the whole cell.
    """
    factor = (volume / structure.volume) ** (1 / 3)
    return Structure(
        structure.lattice.matrix * factor,
        structure.species,
        structure.frac_coords,
        to_unit_cell=False,
        site_properties=structure.site_properties,
    )


def stiffened(bulk_modulus: float, pressure: float) -> float:
    """
    Bulk modulus (kbar) under a pressure, which most solids and melts answer alike.

    Parameters
    ----------
    bulk_modulus : float
        kbar, without pressure.
    pressure : float
        kbar; tension is taken for none.
    """
    return bulk_modulus + STIFFENING * max(0.0, pressure)


def relieve(
    structure: Structure,
    pressure: float,
    max_pressure: float,
    bulk_modulus: float,
    max_change: float,
    target: float = 0.0,
) -> Structure:
    """
    Scale a cell to take away what its pressure is off by, beyond a limit.

    Parameters
    ----------
    structure : Structure
        Configuration to scale.
    pressure : float
        kbar
    max_pressure : float
        kbar beside the one aimed at that is let pass.
    bulk_modulus : float
        kbar, assumed where there is no pressure.
    max_change : float
        Largest relative change of the volume.
    target : float
        Pressure that is aimed at, kbar.
    """
    off = pressure - target
    excess = np.sign(off) * max(0.0, abs(off) - max_pressure)
    modulus = stiffened(bulk_modulus, target)
    change = float(np.clip(excess / modulus, -max_change, max_change))
    return scale_volume(structure, structure.volume * (1 + change))


@dataclass
class MeltMaker(Maker):
    """
    Superheat packed atoms, correcting the volume coarsely on the way.

    At 4000 K many melts would boil at zero pressure, so the correction only takes away pressures
    beyond a limit on either side of the pressure aimed at; the volume stage finds the volume at the
    melting temperature.

    Parameters
    ----------
    temperature : float
        K
    duration : float
        ps in all.
    corrections : int
        Number of times the volume is corrected; the run is cut into one part more.
    max_pressure : float
        kbar that is let pass.
    max_change : float
        Largest relative change of the volume in one correction.
    bulk_modulus : float
        kbar, assumed for turning a pressure into a change of volume; more under pressure.
    pressure : float
        That is aimed at, kbar.
    """

    name: str = "melt"
    temperature: float = field(default=4000.0, metadata={"range": (1.0, 20_000.0), "unit": "K"})
    duration: float = field(
        default=5.0, metadata={"range": (0.001, 1e5), "unit": "ps", "help": "in all"}
    )
    corrections: int = field(
        default=4, metadata={"range": (0, 100), "help": "corrections of the volume"}
    )
    max_pressure: float = field(
        default=50.0,
        metadata={"range": (0.0, 1000.0), "unit": "kbar", "help": "let pass without a correction"},
    )
    max_change: float = field(
        default=0.2, metadata={"range": (0.001, 0.9), "help": "of the volume in one correction"}
    )
    bulk_modulus: float = field(
        default=200.0,
        metadata={"range": (1.0, 10_000.0), "unit": "kbar", "help": "assumed for the corrections"},
    )
    pressure: float = field(default=0.0, metadata={"unit": "kbar", "hidden": True})

    def make(self, structure: Structure | OutputReference, dynamics: DynamicsMaker) -> Flow:
        """
        Melt.

        Parameters
        ----------
        structure : Structure or OutputReference
            Packed atoms.
        dynamics : DynamicsMaker
            Makes the runs.

        Returns
        -------
        Flow
            Its output is the molten configuration with velocities.
        """
        parts = self.corrections + 1
        runs: list[Flow | Job] = []
        current = structure
        for number in range(parts):
            run = dynamics.make(
                current,
                self.temperature,
                self.duration / parts,
                stage="melt",
                key=f"part {number + 1}",
            )
            runs.append(run)
            current = run.output["structure"]
            if number < self.corrections:
                correction = tag(self.correct(current, run.output["segments"]), STAGES["melt"])
                correction.name = f"melt volume {number + 1}"
                runs.append(correction)
                current = correction.output
        return Flow(runs, output=current, name="melt")

    def cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        """Expected cost of the runs and of the corrections between them."""
        parts = self.corrections + 1
        return [
            dynamics.cost(context, "melt", parts, self.duration / parts),
            decisions("melt", self.corrections),
        ]

    @job
    def correct(self, structure: Structure, segments: list[SegmentDocument]) -> Structure:
        """
        Scale the volume if the pressure is beyond the limit.

        Parameters
        ----------
        structure : Structure
            Configuration to scale.
        segments : list of SegmentDocument
            The run before it; its second half gives the pressure.
        """
        pressure, _ = mean_pressure(segments, discard=0.5)
        return relieve(
            structure, pressure, self.max_pressure, self.bulk_modulus, self.max_change,
            self.pressure,
        )  # fmt: skip
