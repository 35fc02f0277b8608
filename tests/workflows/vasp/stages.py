"""INCAR files of all stages; ``python -m tests.workflows.vasp.stages`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Incar

from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.dispersion import Dispersion
from workflows.engines.plane_waves import crystal_mesh
from workflows.engines.vasp.incar import (
    dynamics_tags,
    relax_tags,
    static_tags,
    thermostat_mass,
)
from workflows.engines.vasp.level import Level
from workflows.engines.vasp.settings import Parallel, VaspSettings

GOLDEN = Path(__file__).with_name("golden")

#: Four nodes of Knights Landing, 64 of the 68 cores of each.
KNL = VaspSettings(parallel=Parallel(nodes=4, ranks=64, openmp_threads=1))

FOUND = PlaneWaves(300.0, (1, 1, 1))


def rock_salt(metal: str = "Na") -> Structure:
    """Rock salt, its conventional cell, atoms in the order of the sites."""
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), [metal, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


def incars() -> dict[str, str]:
    """Text of the INCAR of each stage."""
    mesh = crystal_mesh(rock_salt().lattice.matrix, 0.25)
    melt, crystal, compared = (
        PlaneWaves(300.0, (1, 1, 1)),
        PlaneWaves(341.25, mesh),
        PlaneWaves(300.0, mesh),
    )
    mass = thermostat_mass(100.0, 1500.0, 96, 13.5)
    salt = ["Na"] * 4 + ["Cl"] * 4
    magnet = ["Fe", "O"]
    liquid = dynamics_tags(1000, 2.0, 1500.0, 1500.0, mass)
    packed = dynamics_tags(500, 2.0, 4000.0, 4000.0, None)
    quench = dynamics_tags(1000, 2.0, 1500.0, 1300.0, mass)
    spin = VaspSettings(magnetic=True, incar=("ALGO=Normal", "nelm=200"))
    stages = {
        "liquid": Level(KNL, "melt", FOUND).incar(melt, salt, liquid),
        "melt": Level(KNL, "melt", FOUND).incar(melt, salt, packed),
        "quench": Level(KNL, "melt", FOUND).incar(melt, salt, quench),
        "label": Level(KNL, "melt", FOUND).incar(melt, salt, static_tags()),
        "candidate": Level(KNL, "crystal").incar(crystal, salt, relax_tags(0.02, 500)),
        "candidate_pressure": Level(KNL, "crystal").incar(
            crystal, salt, relax_tags(0.02, 500, 200.0)
        ),
        "candidate_d3bj": Level(KNL, "crystal", dispersion=Dispersion("d3bj", "pbe")).incar(
            crystal, salt, relax_tags(0.02, 500)
        ),
        "liquid_d3zero": Level(KNL, "melt", FOUND, Dispersion("d3zero", "pbe")).incar(
            melt, salt, liquid
        ),
        "search": Level(KNL, "crystal").incar(crystal, salt, relax_tags(0.1, 400)),
        "judge": Level(KNL, "compared crystal", FOUND).incar(compared, salt, static_tags()),
        "check": Level(KNL, "accurate").incar(PlaneWaves(700.0, (3, 3, 3)), salt, static_tags()),
        "magnetic": Level(spin, "crystal").incar(crystal, magnet, static_tags()),
    }
    return {name: str(Incar(tags)) for name, tags in stages.items()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in incars().items():
        (GOLDEN / f"{name}.INCAR").write_text(text)
