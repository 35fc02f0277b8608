"""What a run does: the tags of INCAR with VASP's defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fake_vasp.incar import Incar, InputError

Kind = Literal["static", "relax", "md"]


@dataclass(frozen=True)
class Settings:
    """
    What a run does, with VASP's defaults.

    Energies in eV, lengths in Å, times in fs, pressures in kbar, frictions in 1/ps, temperatures
    in K. Names are the tags in lower case.
    """

    nsw: int
    ibrion: int
    isif: int
    encut: float
    ediff: float
    ediffg: float
    nelm: int
    nelmin: int
    nelmdl: int
    algo: str
    ismear: int
    sigma: float
    ispin: int
    istart: int
    icharg: int
    potim: float
    mdalgo: int
    smass: float
    tebeg: float
    teend: float
    langevin_gamma: tuple[float, ...]
    langevin_gamma_l: float
    andersen_prob: float
    pmass: float
    pstress: float
    ivdw: int
    nblock: int
    lwave: bool
    lcharg: bool
    nelect: float
    nbands: int
    nedos: int
    magmom: tuple[float, ...]
    incar: Incar = field(repr=False)

    @property
    def kind(self) -> Kind:
        """Single point, relaxation or molecular dynamics."""
        if self.nsw <= 0 or self.ibrion == -1:
            return "static"
        return "md" if self.ibrion == 0 else "relax"

    @property
    def moments(self) -> tuple[float, ...]:
        """What becomes of the moments that were begun with (μB): four fifths of each."""
        return tuple(0.8 * moment for moment in self.magmom)

    @property
    def n_steps(self) -> int:
        """Largest number of ionic steps."""
        return 1 if self.kind == "static" else self.nsw

    def parameters(self) -> dict[str, Any]:
        """Full list of parameters as vasprun.xml has them."""
        incar = self.incar
        return {
            "SYSTEM": incar.text("SYSTEM", "unknown system"),
            "PREC": incar.text("PREC", "normal").lower(),
            "ENMAX": self.encut,
            "EDIFF": self.ediff,
            "IALGO": 38 if self.algo.upper().startswith("N") else 68,
            "NBANDS": self.nbands,
            "NELECT": self.nelect,
            "ISPIN": self.ispin,
            "MAGMOM": list(self.magmom),
            "NELM": self.nelm,
            "NELMIN": self.nelmin,
            "NELMDL": self.nelmdl,
            "ISTART": self.istart,
            "ICHARG": self.icharg,
            "ISMEAR": self.ismear,
            "SIGMA": self.sigma,
            "EDIFFG": self.ediffg,
            "NSW": self.nsw,
            "IBRION": self.ibrion,
            "ISIF": self.isif,
            "POTIM": self.potim,
            "MDALGO": self.mdalgo,
            "TEBEG": self.tebeg,
            "TEEND": self.teend,
            "SMASS": self.smass,
            "PSTRESS": self.pstress,
            "NBLOCK": self.nblock,
            "KBLOCK": incar.integer("KBLOCK", max(self.nsw, 1)),
            "LREAL": incar.logical("LREAL", False),
            "LORBIT": incar.integer("LORBIT", 0),
            "NEDOS": self.nedos,
            "ISYM": incar.integer("ISYM", 2),
            "LWAVE": self.lwave,
            "LCHARG": self.lcharg,
            "LASPH": incar.logical("LASPH", False),
            "GGA": incar.text("GGA", "--"),
            "METAGGA": incar.text("METAGGA", "--"),
            "IVDW": self.ivdw,
            "LDAU": False,
            "LHFCALC": False,
            "AEXX": 0.0,
            "LUSE_VDW": False,
            "LEPSILON": False,
            "LNONCOLLINEAR": False,
            "LSORBIT": False,
        }


#: Tags that ask for physics which is not here; silence would give wrong results.
_NOT_DONE = ("LDAU", "LHFCALC", "LNONCOLLINEAR", "LSORBIT", "LEPSILON", "LOPTICS", "ML_LMLFF")


def settings_of(
    incar: Incar, counts: list[int], valences: list[float], largest_cutoff: float, has_wavecar: bool
) -> Settings:
    """
    Work out the settings of a run.

    Parameters
    ----------
    incar : Incar
        The tags.
    counts, valences : list of int, list of float
        Atoms and electrons an atom, by type.
    largest_cutoff : float
        Largest ENMAX of the pseudopotentials in eV.
    has_wavecar : bool
        Whether there are wavefunctions to start from.

    Raises
    ------
    InputError
        If a tag asks for something that is not done here.
    """
    n_atoms = sum(counts)
    nsw = incar.integer("NSW", 0)
    ibrion = incar.integer("IBRION", -1 if nsw in (-1, 0) else 0)
    isif = incar.integer("ISIF", 0 if ibrion == 0 else 2)
    mdalgo = incar.integer("MDALGO", 0)
    _check(incar, ibrion, isif, mdalgo)
    nelect = incar.number("NELECT", sum(n * z for n, z in zip(counts, valences, strict=True)))
    ediff = incar.number("EDIFF", 1e-4)
    tebeg = incar.number("TEBEG", 1e-4)
    istart = incar.integer("ISTART", int(has_wavecar))
    ispin = incar.integer("ISPIN", 1)
    magmom = (incar.numbers("MAGMOM", [1.0] * n_atoms) + [1.0] * n_atoms)[:n_atoms]
    return Settings(
        nsw=nsw,
        ibrion=ibrion,
        isif=isif,
        encut=incar.number("ENCUT", largest_cutoff),
        ediff=ediff,
        ediffg=incar.number("EDIFFG", 10 * ediff),
        nelm=incar.integer("NELM", 60),
        nelmin=incar.integer("NELMIN", 2),
        nelmdl=incar.integer("NELMDL", 0 if istart and has_wavecar else -5),
        algo=incar.text("ALGO", "Normal"),
        ismear=incar.integer("ISMEAR", 1),
        sigma=incar.number("SIGMA", 0.2),
        ispin=ispin,
        istart=istart,
        icharg=incar.integer("ICHARG", 0 if istart and has_wavecar else 2),
        potim=incar.number("POTIM", 0.5),
        mdalgo=mdalgo,
        smass=incar.number("SMASS", -3.0 if mdalgo != 2 else 0.0),
        tebeg=tebeg,
        teend=incar.number("TEEND", tebeg),
        langevin_gamma=tuple(
            (incar.numbers("LANGEVIN_GAMMA", []) + [0.0] * len(counts))[: len(counts)]
        ),
        langevin_gamma_l=incar.number("LANGEVIN_GAMMA_L", 0.0),
        andersen_prob=incar.number("ANDERSEN_PROB", 0.0),
        pmass=incar.number("PMASS", 1000.0),
        pstress=incar.number("PSTRESS", 0.0),
        ivdw=incar.integer("IVDW", 0),
        nblock=max(1, incar.integer("NBLOCK", 1)),
        lwave=incar.logical("LWAVE", True),
        lcharg=incar.logical("LCHARG", True),
        nelect=nelect,
        nbands=incar.integer("NBANDS", max(int(nelect / 2 + n_atoms / 2), int(0.6 * nelect)) + 1),
        nedos=incar.integer("NEDOS", 301),
        magmom=tuple(magmom) if ispin == 2 else (0.0,) * n_atoms,
        incar=incar,
    )


def _check(incar: Incar, ibrion: int, isif: int, mdalgo: int) -> None:
    """Refuse what is not done here."""
    for name in _NOT_DONE:
        if incar.logical(name, False):
            raise InputError(f"fake_vasp does not do {name}")
    if ibrion not in (-1, 0, 1, 2, 3):
        raise InputError(f"fake_vasp does not do IBRION = {ibrion}")
    if incar.integer("IVDW", 0) not in (0, 11, 12):
        raise InputError(f"fake_vasp does not do IVDW = {incar.integer('IVDW', 0)}")
    if isif not in ((0, 1, 2, 3) if ibrion == 0 else (0, 1, 2, 3, 4)):
        raise InputError(f"fake_vasp does not do ISIF = {isif} with IBRION = {ibrion}")
    if ibrion == 0 and mdalgo not in (0, 1, 2, 3):
        raise InputError(f"fake_vasp does not do MDALGO = {mdalgo}")
    if ibrion == 0 and isif == 3 and mdalgo != 3:
        raise InputError("ISIF = 3 in molecular dynamics needs MDALGO = 3")
