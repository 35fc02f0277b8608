"""Where a relaxation ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from monty.json import MSONable


@dataclass(frozen=True)
class RelaxationLimits(MSONable):
    """
    When a relaxation of cell and positions has converged, and when it is given up.

    Parameters
    ----------
    max_force : float
        Largest force on an atom that is let pass, eV/Å.
    max_stress : float
        Largest stress component that is let pass, kbar.
    max_steps : int
        Steps after which it ends unconverged.
    pressure : float
        From outside, kbar: what is minimised is the enthalpy, and the stress that must vanish is
        what the pressure does not balance.
    """

    max_force: float = field(
        default=0.1,
        metadata={
            "range": (1e-5, 10.0),
            "unit": "eV/Å",
            "help": "largest force on an atom when converged",
        },
    )
    max_stress: float = field(
        default=20.0,
        metadata={
            "range": (1e-4, 1000.0),
            "unit": "kbar",
            "help": "largest stress component when converged",
        },
    )
    max_steps: int = field(
        default=400,
        metadata={
            "range": (1, 100_000),
            "unit": "steps",
            "help": "energy evaluations at most per structure",
        },
    )
    pressure: float = field(default=0.0, metadata={"unit": "kbar", "hidden": True})
