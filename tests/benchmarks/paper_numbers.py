"""
The figures that Hong et al., Phys. Rev. B 102, 224104 (2020), give: nothing here is measured by us.

Energies are in meV/atom, forces in eV/Å, stresses and pressures in kbar, temperatures in K, times
in ps or in seconds, as the names say.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperCompound:
    """
    What the paper says of one of its compounds.

    Attributes
    ----------
    formula, space_group : str
        Of the stable phase.
    z : int
        Formula units that its searches have in the cell.
    cutoff : int
        eV, in the dynamics; k-points are Gamma alone.
    melting_temperature : int
        K, as its dynamics decides.
    experimental_melting_temperature : int or None
        K; none where it gives none.
    pearson, rmse : float
        Of potential and DFT at the geometries of DFT, within 200 meV/atom.
    lowest_by_reference, lowest_by_potential : float
        meV/atom above the stable phase: of the search by DFT, and of that on the potential.
    force_threshold : float
        eV/Å, where training ends.
    other_phases : tuple of str
        Space groups of other known phases that were judged.
    band_gap : float
        eV, by a hybrid functional.
    """

    formula: str
    space_group: str
    z: int
    cutoff: int
    melting_temperature: int
    experimental_melting_temperature: int | None
    pearson: float
    rmse: float
    lowest_by_reference: float
    lowest_by_potential: float
    force_threshold: float = 0.2
    other_phases: tuple[str, ...] = ()
    band_gap: float = 0.0


COMPOUNDS: dict[str, PaperCompound] = {
    one.formula: one
    for one in (
        PaperCompound(
            "Ba2AgSi3", "Fddd", 4, 250, 1500, None, 0.769, 27.4, 46.5, 41.2, band_gap=0.25
        ),
        PaperCompound(
            "Mg2SiO4", "Pnma", 4, 450, 3500, 2174, 0.864, 29.6, 28.2, 27.7,
            other_phases=("Ibmm", "Fd-3m", "Cmc2_1"), band_gap=6.70,
        ),
        PaperCompound(
            "LiAlCl4", "Pmn2_1", 4, 300, 1500, 419, 0.977, 10.7, 1.9, 0.0,
            other_phases=("P2_1/c",), band_gap=7.17,
        ),
        PaperCompound(
            "InTe2O5F", "C222_1", 4, 500, 2000, None, 0.962, 63.7, 33.2, 11.5,
            force_threshold=0.4, band_gap=4.71,
        ),
    )
}  # fmt: skip

#: II.A: limits of the check of 30 frames against 3 × 3 × 3 and 700 eV.
CHECK = {"frames": 30, "energy": 4.0, "force": 0.12, "cutoff": 700, "mesh": 3}
#: II.A: how many frames there are.
FRAMES = (2400, 3200)
#: II.B: validation errors at which training ends.
THRESHOLDS = {"energy": 10.0, "force": 0.2, "stress": 10.0}
#: III.B: structures judged on average; the window of r and RMSE; the glass.
JUDGED_ON_AVERAGE, JUDGED_WINDOW = 274, 200.0
GLASS = (60.0, 180.0)
#: III.C, Fig. 5, Ba2AgSi3: candidates added, r before and after, energy of the third structure.
RETRAINING = {
    "candidates": 22, "pearson_before": 0.769, "pearson_after": 0.828,
    "third_before": 14.0, "third_after": 104.0, "third_by_reference": 93.0,
}  # fmt: skip
#: III.D: CPU seconds of a generation on the potential and by DFT; CPU seconds an atom of one
#: evaluation; how many times faster a search of 1000 generations is; days of the parts.
SECONDS_PER_GENERATION = {"LiAlCl4": (2072, 69_564), "InTe2O5F": (11_532, 244_646)}
SECONDS_PER_ATOM = {"potential": (1e-4, 3e-4), "reference": (0.1, 0.5)}
GAIN_OF_1000_GENERATIONS = 30
DAYS = {"training set": 2.0, "training": 0.5, "search": 1.0}
