"""Settings of the GPAW engine that a protocol can override."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from monty.json import MSONable

from workflows.engines.plane_waves import given_cutoff


@dataclass(frozen=True)
class CrystalSettings(MSONable):
    """
    Basis for crystals, whose cells are relaxed.

    Parameters
    ----------
    k_spacing : float
        1/Å between k-points, 2π included.
    cutoff : float or None
        eV, of relaxations; none: what keeps the stress of a basis that does not follow the cell
        (Pulay's) harmless for the elements at hand, or the cutoff of the melt if that is higher.
    symmetry : bool
        Leave out k-points that the point group makes equal.
    """

    k_spacing: float = field(
        default=0.25, metadata={"range": (0.01, 5.0), "unit": "1/Å", "help": "2π included"}
    )
    cutoff: float | None = field(
        default=None,
        metadata={"range": (50.0, 5000.0), "unit": "eV", "help": "none: by the elements"},
    )
    symmetry: bool = field(default=True, metadata={"help": "leave out equivalent k-points"})


@dataclass(frozen=True)
class GpawSettings(MSONable):
    """
    All settings of the GPAW engine.

    Parameters
    ----------
    cutoff : float or None
        eV, of all but relaxations of crystals; none: what the convergence test finds, or without
        one a preset by the elements.
    xc : str
        Exchange and correlation. The data sets are those of PBE in either case.
    magnetic : bool
        Spin-polarised; the paper's compounds are not magnetic.
    smearing : float
        eV, width of the Gaussian smearing.
    density_tolerance : float
        Electrons per valence electron by which the density may still change.
    energy_tolerance : float
        eV per valence electron by which the energy may still change.
    max_electronic_steps : int
        After which a calculation is taken up with more careful mixing, and in the end given up.
    log : bool
        Write GPAW's own log, ``gpaw.txt``, into the folder of the job.
    crystal : CrystalSettings
        Basis for crystals.
    """

    cutoff: float | None = given_cutoff()
    xc: Literal["PBE", "PBEsol"] = field(
        default="PBE", metadata={"help": "exchange and correlation"}
    )
    magnetic: bool = field(default=False, metadata={"help": "spin-polarised"})
    smearing: float = field(default=0.05, metadata={"range": (0.001, 5.0), "unit": "eV"})
    density_tolerance: float = field(
        default=1e-4, metadata={"range": (1e-12, 0.1), "help": "electrons per valence electron"}
    )
    energy_tolerance: float = field(
        default=5e-4, metadata={"range": (1e-12, 0.1), "unit": "eV", "help": "per valence electron"}
    )
    max_electronic_steps: int = field(
        default=100, metadata={"range": (1, 10_000), "help": "of one attempt"}
    )
    log: bool = field(default=True, metadata={"help": "gpaw.txt in the folder of the job"})
    crystal: CrystalSettings = field(default_factory=CrystalSettings)
