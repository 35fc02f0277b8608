"""Valid files of all kinds that the commands read, of rock salt."""

from __future__ import annotations

import gzip
import io
import tempfile
from functools import cache
from pathlib import Path

import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

from launch.cluster.files import ClusterDescription
from launch.local.campaign import Campaign
from nnp.descriptors import SymmetryFunctions
from nnp.formats.simple_nn import write_simple_nn
from nnp.potential import Potential
from tests.nnp.samples import random_potential

RECORDED = Path(__file__).parents[1] / "fake_vasp" / "recorded"

#: In a file: the folder of the case.
HERE = "/@here@"

SETTINGS = {
    "quench": {"rate": 400.0, "end_temperature": 310.0},
    "liquid.duration": 1.5,
    "search": {"evolution": {"population": 20, "shares": {"random": 0.5, "heredity": 0.25}},
               "relaxer": {"max_force": 0.04, "check_interval": 40}},
    "train": {"options": {"hidden": [20, 20], "validation_fraction": 0.2, "l2": 1e-6}},
    "candidates": {"n_candidates": 8, "symmetry_tolerance": 0.05},
}  # fmt: skip
SITE = {
    "checkpoints": f"{HERE}/checkpoints",
    "resources": {"dft": {"default": {"walltime": "10:00:00", "nodes": 2}},
                  "nnp": {"train": {"walltime": "02:00:00", "nodes": 1}}},
    "seconds_per_step": {"vasp": 12.5},
}  # fmt: skip


@cache
def potential() -> Potential:
    """Return a potential of sodium and chlorine, with arbitrary weights."""
    return random_potential(
        SymmetryFunctions(("Cl", "Na"), ((0.01, 0.0), (0.5, 2.0)), ((0.01, 1.0, 1.0),), 5.0, 4.0),
        hidden=(4,),
    )


def frames(n: int = 6) -> list[Atoms]:
    """Rattled rock salt with the energies of the potential."""
    made = []
    for seed in range(n):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        atoms.rattle(0.1, seed=seed)
        result = potential().compute([atoms])
        stress = result.stresses[0]
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(result.energies[0]),
            forces=result.forces[0],
            stress=full_3x3_to_voigt_6_stress(stress),
        )
        made.append(atoms)
    return made


def _text(kind: str, structures: list[Atoms]) -> bytes:
    if kind == "cif":
        raw = io.BytesIO()
        write(raw, structures, format=kind)
        return raw.getvalue()
    text = io.StringIO()
    write(text, structures, format=kind)
    return text.getvalue().encode()


@cache
def files() -> dict[str, bytes]:
    """Return all valid files by the names that the commands know them by."""
    crystals = frames()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        potential().save(folder / "nacl.nnp")
        write_simple_nn(potential(), folder / "nacl.potential")
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
    found["frames.xyz"] = _text("extxyz", crystals)
    found["crystal.cif"] = _text("cif", crystals[:1])
    found["POSCAR"] = _text("vasp", crystals[:1])
    for recorded in ("vasprun.xml", "OUTCAR"):
        found[recorded] = gzip.decompress((RECORDED / "relax" / f"{recorded}.gz").read_bytes())
    found["settings.yaml"] = yaml.safe_dump(SETTINGS).encode()
    found["site/devitrify.yaml"] = yaml.safe_dump(SITE).encode()
    return found


@cache
def campaign() -> dict[str, bytes]:
    """Return the description of a campaign that has not run."""
    with tempfile.TemporaryDirectory() as name:
        Campaign.create_or_open(
            Path(name), formula="CuAu", engine="emt", protocol="quick", seed=0, settings={"a": 1.0}
        )
        return {"campaign/campaign.json": (Path(name) / "campaign.json").read_bytes()}


@cache
def configuration() -> dict[str, bytes]:
    """Return the configuration of a cluster whose database is nowhere."""
    site = ClusterDescription(
        kind="cpu", uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300",
        partitions={"dft": "p", "nnp": "p"},
    )  # fmt: skip
    written = site.files(Path(HERE) / "conf")
    return {f"conf/{path}": text.encode() for path, text in written.items()}
