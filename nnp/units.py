"""Units: eV, Å and fs everywhere, but pressures are told in kbar, as users of VASP expect."""

from __future__ import annotations

from ase import units

KBAR = 1.0 / (units.GPa / 10.0)
"""Kilobar in one eV/Å³."""
