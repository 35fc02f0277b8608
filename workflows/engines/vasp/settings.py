"""Settings of the VASP engine that a protocol can override."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from monty.json import MSONable

from workflows.engines.plane_waves import given_cutoff


@dataclass(frozen=True)
class Parallel(MSONable):
    """
    How VASP is started on the machine; it decides KPAR and NCORE.

    Parameters
    ----------
    nodes : int or None
        None: as SLURM says, else one.
    ranks : int or None
        MPI ranks on a node; none: as SLURM says, else one.
    openmp_threads : int or None
        OpenMP threads of a rank; none: as ``OMP_NUM_THREADS`` says, else one.
    """

    nodes: int | None = field(
        default=None, metadata={"range": (1, 10_000), "help": "none: of SLURM"}
    )
    ranks: int | None = field(
        default=None, metadata={"range": (1, 1024), "help": "on a node; none: of SLURM"}
    )
    openmp_threads: int | None = field(
        default=None, metadata={"range": (1, 1024), "help": "of a rank; none: OMP_NUM_THREADS"}
    )


@dataclass(frozen=True)
class Supervision(MSONable):
    """
    How a run of VASP is watched.

    Parameters
    ----------
    polling : float
        s between two looks at whether VASP still runs.
    monitor : float
        s between two looks at its output.
    hang_timeout : float
        s without output after which VASP counts as hung.
    walltime : float or None
        s that a job may take; none: until SLURM ends the allocation, if it runs under SLURM.
    buffer : float
        s kept for writing files before that.
    restarts : int
        Times that a calculation is taken up again after an error.
    unconverged_in_a_row : int
        Steps of dynamics without electronic convergence, one after the other, that end a run.
    """

    polling: float = field(default=2.0, metadata={"range": (0.01, 3600.0), "unit": "s"})
    monitor: float = field(default=60.0, metadata={"range": (0.01, 86_400.0), "unit": "s"})
    hang_timeout: float = field(
        default=3600.0,
        metadata={"range": (1.0, 1e7), "unit": "s", "help": "without output: VASP hangs"},
    )
    walltime: float | None = field(
        default=None,
        metadata={
            "range": (1.0, 1e8),
            "unit": "s",
            "help": "of a job; none: of SLURM's allocation",
        },
    )
    buffer: float = field(
        default=300.0,
        metadata={
            "range": (0.0, 1e6),
            "unit": "s",
            "help": "kept for writing files before the end",
        },
    )
    restarts: int = field(
        default=4, metadata={"range": (0, 100), "help": "of one calculation after errors"}
    )
    unconverged_in_a_row: int = field(
        default=5, metadata={"range": (1, 1_000_000), "help": "steps of dynamics that end a run"}
    )


@dataclass(frozen=True)
class CrystalSettings(MSONable):
    """
    Basis and tolerances for crystals, whose cells are relaxed.

    Parameters
    ----------
    k_spacing : float
        1/Å between k-points, 2π included.
    cutoff : float or None
        eV; none: ``cutoff_factor`` times the largest ENMAX of the potentials, or the converged
        cutoff of the melt if that is higher.
    cutoff_factor : float
        By which the stress of a basis that does not follow the cell (Pulay's) becomes harmless.
    energy_tolerance : float
        eV, of the electronic loop.
    """

    k_spacing: float = field(
        default=0.25, metadata={"range": (0.01, 5.0), "unit": "1/Å", "help": "2π included"}
    )
    cutoff: float | None = field(
        default=None,
        metadata={"range": (50.0, 5000.0), "unit": "eV", "help": "none: from the potentials"},
    )
    cutoff_factor: float = field(
        default=1.3, metadata={"range": (0.5, 10.0), "help": "of the largest ENMAX"}
    )
    energy_tolerance: float = field(
        default=1e-6, metadata={"range": (1e-12, 0.1), "unit": "eV", "help": "EDIFF"}
    )


@dataclass(frozen=True)
class MeltSettings(MSONable):
    """
    Precision of molecular dynamics and of all that is compared with it.

    Parameters
    ----------
    energy_tolerance : float
        eV, of the electronic loop.
    recompute : bool
        Sampled frames without electronic convergence get a static run; else they are dropped.
    max_unconverged : float
        Fraction of steps without electronic convergence beyond which a segment fails.
    """

    energy_tolerance: float = field(
        default=1e-5, metadata={"range": (1e-12, 0.1), "unit": "eV", "help": "EDIFF"}
    )
    recompute: bool = field(
        default=True, metadata={"help": "sampled frames without electronic convergence"}
    )
    max_unconverged: float = field(
        default=0.2,
        metadata={"range": (0.0, 1.0), "help": "fraction of steps beyond which a segment fails"},
    )


@dataclass(frozen=True)
class VaspSettings(MSONable):
    """
    All settings of the VASP engine.

    Parameters
    ----------
    cutoff : float or None
        eV, of all but crystals; none: what the convergence test finds, or without one the
        largest ENMAX of the potentials.
    potcar : str
        Set of potentials, by pymatgen's name.
    potentials : tuple of str
        Potentials to take instead of the usual ones, e.g. ``Li_sv``.
    magnetic : bool
        Spin-polarised; the paper's compounds are not magnetic.
    smearing : float
        eV, width of the Gaussian smearing.
    max_electronic_steps : int
        NELM.
    incar : tuple of str
        Further tags, ``TAG=VALUE``; they win over our own.
    keep_wavefunctions : bool
        Keep the WAVECAR of a segment after the next one has used it.
    parallel : Parallel
        How VASP is started.
    supervision : Supervision
        How it is watched.
    melt : MeltSettings
        Precision of the melt, and of what is compared with it.
    crystal : CrystalSettings
        Precision of crystals.
    """

    cutoff: float | None = given_cutoff()
    potcar: Literal["PBE", "PBE_52", "PBE_54", "PBE_64"] = field(
        default="PBE_54", metadata={"help": "set of potentials"}
    )
    potentials: tuple[str, ...] = field(
        default=(), metadata={"help": "in place of the usual ones, e.g. Li_sv,Mg_pv"}
    )
    magnetic: bool = field(default=False, metadata={"help": "spin-polarised"})
    smearing: float = field(default=0.05, metadata={"range": (0.001, 5.0), "unit": "eV"})
    max_electronic_steps: int = field(default=100, metadata={"range": (1, 10_000), "help": "NELM"})
    incar: tuple[str, ...] = field(default=(), metadata={"help": "further tags, TAG=VALUE"})
    keep_wavefunctions: bool = field(
        default=False, metadata={"help": "keep WAVECAR after the next segment has used it"}
    )
    parallel: Parallel = field(default_factory=Parallel)
    supervision: Supervision = field(default_factory=Supervision)
    melt: MeltSettings = field(default_factory=MeltSettings)
    crystal: CrystalSettings = field(default_factory=CrystalSettings)

    def __post_init__(self) -> None:
        # JSON has no tuples
        object.__setattr__(self, "potentials", tuple(self.potentials))
        object.__setattr__(self, "incar", tuple(self.incar))
        for entry in self.incar:
            if "=" not in entry:
                raise ValueError(f"{entry!r} is no INCAR tag; write TAG=VALUE")
            tag, _, value = (part.strip() for part in entry.partition("="))
            if tag.upper() == "PSTRESS":
                raise ValueError("PSTRESS is what --pressure says, of all stages; leave it out")
            # of other kinds of dispersion nothing is known here but the tag
            damping = {"11": "d3zero", "12": "d3bj"}.get(value)
            if tag.upper() == "IVDW" and damping:
                raise ValueError(
                    f"IVDW = {value} is --dispersion {damping}, which results are labelled with; "
                    "leave it out"
                )
        from workflows.engines.vasp.potentials import choose

        choose([], self.potentials)  # raises where one is of no element
