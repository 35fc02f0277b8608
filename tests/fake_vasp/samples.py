"""Structures and settings for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure


def salt(stretch: float = 1.0, rattle: float = 0.05) -> Structure:
    """Eight atoms of NaCl, somewhat off their sites."""
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.3 * stretch), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_sorted_structure()
    generator = np.random.default_rng(1)
    for index in range(len(structure)):
        structure.translate_sites([index], rattle * generator.standard_normal(3), frac_coords=False)
    return structure


def run_kwargs(**more: Any) -> dict[str, Any]:
    """Arguments of atomate2's ``run_vasp``: custodian looks often, as runs here are short."""
    return {"custodian_kwargs": {"polling_time_step": 0.2, "monitor_freq": 1}, **more}
