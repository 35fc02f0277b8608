"""The INCAR of every kind of calculation, each tag decided here and nothing inherited."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scipy import constants

from workflows.engines.plane_waves import starting_moment

if TYPE_CHECKING:
    from workflows.engines.dispersion import Dispersion
    from workflows.engines.plane_waves import Kind
    from workflows.engines.vasp.settings import VaspSettings

#: IVDW by the damping of D3.
DISPERSION_TAGS = {"d3zero": 11, "d3bj": 12}
#: What is tried, in this order, where the electrons do not converge or VASP gives up: ever
#: slower and safer minimisers, the first on new orbitals. None changes energies or dynamics.
REMEDIES: tuple[dict[str, Any], ...] = (
    {},
    {"ALGO": "Normal", "ISTART": 0, "ICHARG": 2},
    {"ALGO": "All", "ISTART": 0, "ICHARG": 2},
)


def level_tags(
    settings: VaspSettings, kind: Kind, cutoff: float, symbols: Sequence[str]
) -> dict[str, Any]:
    """
    Tags of a calculation of one kind.

    In the melt, and whatever is compared with it, real-space projectors and normal precision, as
    befits cells of 100 atoms; no symmetry. For crystals accurate precision, symmetry used; but the
    grids of the melt, and with them its energy zero, where energies are compared with the melt's.

    Parameters
    ----------
    settings : VaspSettings
        Of the engine.
    kind : str
        What the calculation is for.
    cutoff : float
        eV
    symbols : sequence of str
        Element of each atom, in the order of the POSCAR.
    """
    melt = kind == "melt"
    precision = settings.melt if melt else settings.crystal
    return {
        **_common(settings, cutoff, symbols),
        "PREC": "Normal" if kind in ("melt", "compared crystal") else "Accurate",
        "ALGO": "Fast" if melt else "Normal",
        "LREAL": "Auto" if melt else False,
        "EDIFF": precision.energy_tolerance,
        "ISYM": 0 if melt else 2,
    }


def _common(settings: VaspSettings, cutoff: float, symbols: Sequence[str]) -> dict[str, Any]:
    tags: dict[str, Any] = {
        "GGA": "PE",
        "ENCUT": float(cutoff),
        "ISMEAR": 0,
        "SIGMA": settings.smearing,
        "LASPH": True,
        "NELM": settings.max_electronic_steps,
        "NELMIN": 4,
        "ISTART": 0,
        "ICHARG": 2,
        "LCHARG": False,
        "LWAVE": True,
        "ISPIN": 2 if settings.magnetic else 1,
    }
    if settings.magnetic:
        tags["MAGMOM"] = [starting_moment(symbol) for symbol in symbols]
    return tags


def dispersion_tags(dispersion: Dispersion | None) -> dict[str, Any]:
    """Tags of D3, whose parameters VASP takes by GGA; none for none."""
    return {} if dispersion is None else {"IVDW": DISPERSION_TAGS[dispersion.damping]}


def moment_tags(magnetic: bool) -> dict[str, Any]:
    """Tag that has the moments of the atoms written into OUTCAR; none without moments."""
    return {"LORBIT": 11} if magnetic else {}


def static_tags() -> dict[str, Any]:
    """Tags of a single evaluation with stress."""
    return {"IBRION": -1, "NSW": 0, "ISIF": 2}


def relax_tags(max_force: float, max_steps: int, pressure: float = 0.0) -> dict[str, Any]:
    """
    Tags of a relaxation of cell and positions by conjugate gradients.

    Parameters
    ----------
    max_force : float
        eV/Å
    max_steps : int
        Ionic steps.
    pressure : float
        From outside, kbar.
    """
    tags = {"IBRION": 2, "NSW": max_steps, "ISIF": 3, "POTIM": 0.3, "EDIFFG": -abs(max_force)}
    return {**tags, "PSTRESS": round(pressure, 6)} if pressure else tags


def dynamics_tags(
    n_steps: int, time_step: float, start: float, end: float, mass: float | None
) -> dict[str, Any]:
    """
    Tags of molecular dynamics at constant volume.

    A ramp scales the velocities: that they follow a line from TEBEG to TEEND is promised for
    ``SMASS = -1`` only, whatever the Nosé-Hoover thermostat makes of TEEND.

    Parameters
    ----------
    n_steps : int
        Steps.
    time_step : float
        fs
    start, end : float
        Target temperature in K, linear in between.
    mass : float or None
        Of the Nosé-Hoover thermostat, in VASP's unit, for runs at one temperature; none:
        velocities are scaled to the target at each step.

    References
    ----------
    VASP Wiki, pages SMASS and TEEND: T = TEBEG + (TEEND - TEBEG) NSTEP / NSW with SMASS = -1.
    """
    thermostat: dict[str, Any]
    if mass is None:
        thermostat = {"MDALGO": 0, "SMASS": -1, "NBLOCK": 1}
    elif start != end:
        # the manual scales where NSTEP modulo NBLOCK is one: literally, at no step if NBLOCK is 1
        thermostat = {"MDALGO": 0, "SMASS": -1, "NBLOCK": 2}
    else:
        thermostat = {"MDALGO": 2, "SMASS": round(mass, 6), "NBLOCK": 1}
    return {
        "IBRION": 0,
        "NSW": n_steps,
        "ISIF": 2,
        "POTIM": time_step,
        **thermostat,
        "TEBEG": round(start, 3),
        "TEEND": round(end, 3),
        "MAXMIX": 40,
        "IWAVPR": 12,
    }


def thermostat_mass(period: float, temperature: float, n_atoms: int, edge: float) -> float:
    """
    Mass of the Nosé thermostat, in VASP's unit, that oscillates with a given period.

    Parameters
    ----------
    period : float
        fs
    temperature : float
        K
    n_atoms : int
        Number of atoms; their centre of mass rests.
    edge : float
        Length of the first lattice vector in Å, VASP's unit of length here.

    References
    ----------
    S. Nosé, J. Chem. Phys. 81, 511 (1984).
    """
    freedom = 3 * n_atoms - 3
    squared_velocity = 2 * freedom * constants.k * temperature / constants.atomic_mass
    return (period * 1e-15 / (2 * math.pi * edge * 1e-10)) ** 2 * squared_velocity


def compose(settings: VaspSettings, *parts: Mapping[str, Any]) -> dict[str, Any]:
    """
    Join tags, later ones winning, and the user's over all.

    Parameters
    ----------
    settings : VaspSettings
        Of the engine; its ``incar`` entries come last.
    parts : mapping
        Tags.
    """
    tags: dict[str, Any] = {}
    for part in parts:
        tags.update(part)
    for entry in settings.incar:
        tag, _, value = entry.partition("=")
        tags[tag.strip().upper()] = value.strip()
    return tags
