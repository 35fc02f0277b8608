"""Searches and whole campaigns under pressure, by the commands that people type."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS

from nnp.units import KBAR
from tests.benchmarks.pressure import random_enthalpies
from tests.integration.conftest import RUN, SHORT
from tests.integration.kills import kill_and_resume

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_copper_at_20_gpa_from_its_formula(devitrify: Command, tmp_path: Path) -> None:
    run = devitrify("run", "Cu", *RUN, "--pressure", "20", "--folder", "copper")
    assert run.returncode == 0, run.stderr
    assert "Cu, Z = 1, 2 at 20 GPa" in run.stdout
    assert "crystal structures by emt enthalpy at 20 GPa" in run.stdout
    folder = tmp_path / "copper"
    summary = json.loads((folder / "summary.json").read_text())
    # the liquid is at the pressure within what small.yaml lets pass
    assert summary["liquid_pressure_kbar"][0] == pytest.approx(200.0, abs=20.0)
    frames = read(folder / "frames.extxyz", index=":")
    liquid = [atoms for atoms in frames if atoms.info["stage"] == "liquid"]
    # labels have no pressure in them: the stress of the atoms is there as it is, all of the
    # pressure but for that of an ideal gas
    mean = -np.mean([atoms.get_stress()[:3].mean() for atoms in liquid])
    gas = units.kB * summary["melting_temperature_K"] / summary["liquid_volume_A3_atom"]
    assert (mean + gas) * KBAR == pytest.approx(200.0, abs=50.0)
    for atoms in liquid[:3]:
        labelled = atoms.get_potential_energy()
        atoms.calc = EMT()
        assert labelled == pytest.approx(atoms.get_potential_energy(), abs=1e-5)

    best = summary["candidates"][0]
    # nothing is below the close packings, and four small generations come near them
    close_packed = bulk("Cu", "fcc", a=3.45)
    close_packed.calc = EMT()
    compressed = FrechetCellFilter(close_packed, scalar_pressure=200.0 / KBAR)
    assert BFGS(compressed, logfile=None).run(fmax=1e-4, steps=200)
    lowest = float(compressed.get_potential_energy())
    assert lowest - 0.005 < best["enthalpy"] < lowest + 0.1
    assert best["pressure"] == 200.0
    enthalpy = best["energy"] + 200.0 / KBAR * best["volume"]
    assert best["enthalpy"] == pytest.approx(enthalpy, abs=1e-6)
    assert best["fitness"] == best["enthalpy"]
    crystal = read(next((folder / "structures").glob("01_*.cif")))
    crystal.calc = EMT()
    assert crystal.get_potential_energy() / len(crystal) == pytest.approx(best["energy"], abs=1e-6)
    np.testing.assert_allclose(crystal.get_stress()[:3] * KBAR, -200.0, atol=4.0)
    np.testing.assert_allclose(crystal.get_stress()[3:] * KBAR, 0.0, atol=4.0)

    # nobody goes on with it at another pressure
    for other in (["--pressure", "10"], []):
        refused = devitrify("run", "Cu", *RUN, *other, "--folder", "copper")
        assert refused.returncode == 1
        assert "pressure_GPa 20.0, not" in refused.stderr


@pytest.mark.slow
def test_copper_at_two_pressures_shares_its_potential(devitrify: Command, tmp_path: Path) -> None:
    """With a round of learning; killed in the search, and resumed."""
    learning = ("improve.rounds=1", "improve.relaxations=1", "improve.labels=2",
                "improve.relaxation_steps=3", "improve.generations=1")  # fmt: skip
    options = [*SHORT, *(word for setting in learning for word in ("--set", setting))]
    kill_and_resume(devitrify, tmp_path / "copper", "search", *options, "--pressures",
                            "20,0")  # fmt: skip
    folder = tmp_path / "copper"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["pressures_kbar"] == [0.0, 200.0]
    # two melts, at the pressures within what small.yaml lets pass; one training set of both
    for melt in summary["melts"]:
        assert melt["liquid_pressure_kbar"][0] == pytest.approx(melt["pressure_kbar"], abs=40.0)
    frames = read(folder / "frames.extxyz", index=":")
    volumes = [a.get_volume() / len(a) for a in frames if a.info["stage"] == "liquid"]
    assert max(volumes) > 1.05 * min(volumes)
    # face-centred copper has a point at both, to which ASE's own optimiser leads
    (first,) = [phase for phase in summary["phases"] if phase["phase"] == 1]
    assert [point["pressure"] for point in first["points"]] == [0.0, 200.0]
    for pressure in (0.0, 200.0):
        best = next(c for c in summary["candidates"] if (c["pressure"], c["rank"]) == (pressure, 1))
        crystal = read(next((folder / f"structures/{pressure / 10:g}GPa").glob("01_*.cif")))
        crystal.calc = EMT()
        energy = crystal.get_potential_energy() / len(crystal)
        assert best["energy"] == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(crystal.get_stress()[:3] * KBAR, -pressure, atol=5.0)
    assert (folder / "plots" / "pressures.png").exists()
    refused = devitrify("run", "Cu", *RUN, *options, "--pressures", "0,10", "--folder", "copper")
    assert refused.returncode == 1
    assert "pressures_GPa" in refused.stderr

    # its potential is judged at each, by enthalpies; the lowest is told
    write(tmp_path / "fcc.vasp", bulk("Cu", "fcc", a=3.6))
    judge = ("judge", "copper", "--known", "fcc.vasp", "--generations", "0", "--random", "0")
    judged = devitrify(*judge)
    assert judged.returncode == 0, judged.stderr
    enthalpies = {}
    for pressure in (0.0, 200.0):
        points = folder / "judge" / f"{pressure / 10:g}GPa" / "judge.json"
        found = json.loads(points.read_text())
        assert found["pressure"] == pressure
        (point,) = found["points"]
        enthalpies[pressure] = point["reference_energy"]
    assert enthalpies[200.0] > enthalpies[0.0] + 1.0  # 20 GPa times about 11 Å³
    assert json.loads((folder / "judge.json").read_text())["pressure"] == 0.0
    refused = devitrify(*judge, "--pressure", "7")
    assert refused.returncode == 1
    assert "is at 0 GPa, 20 GPa, not 7 GPa" in refused.stderr


@pytest.mark.slow
def test_spinel_at_100_gpa_is_below_all_random_relaxations(
    devitrify: Command, tmp_path: Path
) -> None:
    """28 atoms; ``python -m tests.benchmarks.pressure`` does it with 5,000."""
    run = devitrify(
        "search", "tests.search.pair_energy:oxide_calculator", "MgAl2O4", "--z", "4",
        "--pressure", "100", "-n", "300", "--seed", "0", "-w", "1", "-o", "spinel", timeout=1800,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    best = json.loads((tmp_path / "spinel" / "summary.json").read_text())["best"][0]
    chance = random_enthalpies(300)
    assert len(chance) > 100
    assert best["enthalpy"] <= min(chance) + 1e-5
    assert best["enthalpy"] == pytest.approx(best["energy"] + 1000.0 / KBAR * best["volume"])
