"""Campaigns of chemical systems, by the commands that people type."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS

from launch.cli import main
from tests.integration.conftest import SETTINGS, SHORT
from tests.integration.kills import kill_and_resume_all

Command = Callable[..., "subprocess.CompletedProcess[str]"]

SYSTEM = ["--engine", "emt", "--config", str(SETTINGS), "--seed", "1", "--atoms-max", "4"]
LEARNING = [
    word
    for setting in (
        *("improve.rounds=1", "improve.relaxations=2", "improve.labels=2", "system.melts=3"),
        *("improve.relaxation_steps=3", "improve.generations=1", "candidates.n_candidates=4"),
        "search.evolution.population=8",
    )
    for word in ("--set", setting)
]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command line in this process; returns its exit code."""

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["devitrify", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Files of three formats with the phases that are stable by EMT at the ends, and Cu3Au."""
    folder = tmp_path / "known"
    folder.mkdir()
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    write(folder / "copper.cif", bulk("Cu", "fcc", a=3.6))
    write(folder / "gold.vasp", bulk("Au", "fcc", a=4.1), format="vasp")
    alloy = Atoms("AuCu3", scaled_positions=sites, cell=np.eye(3) * 3.75, pbc=True)
    write(folder / "alloy.extxyz", alloy)
    return folder


def relaxed_energy(path: Path) -> float:
    """Energy (eV/atom) of a crystal as ASE's own optimiser finds it."""
    atoms = read(path)
    atoms.calc = EMT()
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=300)
    return atoms.get_potential_energy() / len(atoms)


@pytest.mark.slow
def test_copper_and_gold_killed_in_the_search_and_resumed(
    devitrify: Command, tmp_path: Path, known: Path
) -> None:
    options = [*SHORT, *LEARNING, "--known", str(known)]
    kill_and_resume_all(devitrify, tmp_path / "alloys", "search", "Cu-Au", *SYSTEM, *options)
    folder = tmp_path / "alloys"
    summary = json.loads((folder / "summary.json").read_text())
    # three melts, each with its own temperature and volume; one training set of all
    assert {melt["formula"] for melt in summary["melts"]} == {"Cu", "Au", "CuAu"}
    frames = read(folder / "frames.extxyz", index=":")
    melted = {a.get_chemical_formula(empirical=True) for a in frames if a.info["stage"] == "liquid"}
    assert melted == {"Cu", "Au", "AuCu"}
    # known phases by EMT at ASE's own minima, and the hull between them
    energies = {name: relaxed_energy(path) for path in known.iterdir() for name in [path.stem]}
    rows = list(csv.DictReader((folder / "hull.csv").open()))
    given = {row["known"]: float(row["energy_eV_atom"]) for row in rows if row["given"] == "True"}
    assert given == pytest.approx(energies, abs=1e-4)
    (hull,) = summary["hulls"]
    assert {"Cu", "Au"} <= set(hull["stable"])
    # the references may be lower than what is given: hexagonal gold is, by EMT
    copper, gold = (
        min(float(row["energy_eV_atom"]) for row in rows if row["formula"] == formula)
        for formula in ("Cu", "Au")
    )
    formation = energies["alloy"] - (3 * copper + gold) / 4
    alloy = next(row for row in rows if row["known"] == "alloy" and row["given"] == "True")
    assert float(alloy["formation_eV_atom"]) == pytest.approx(formation, abs=2e-4)
    # distances from the hull fit the energies of the crystals that are written
    for candidate in summary["candidates"]:
        assert candidate["above_hull"] >= -1e-6
        assert candidate["formula"] in {"Cu", "Au", "CuAu", "Cu2Au", "CuAu2", "Cu3Au", "CuAu3"}
        found = list(folder.glob(f"structures/{candidate['rank']:02d}_*.cif"))
        assert bool(found) == (candidate["above_hull"] <= 50.0)
        for path in found:
            crystal = read(path)
            crystal.calc = EMT()
            energy = crystal.get_potential_energy() / len(crystal)
            assert candidate["energy"] == pytest.approx(energy, abs=1e-5)
    assert (folder / "plots" / "hull.png").exists()
    assert "The convex hull" in (folder / "report.html").read_text()

    printed = devitrify("results", "alloys")
    assert "Cu-Au: convex hull by emt energy" in printed.stdout
    status = devitrify("status", "alloys")
    assert "Cu-Au" in status.stdout
    refused = devitrify("run", "Cu-Au", *SYSTEM, *options[:-2], "--folder", "alloys")
    assert refused.returncode == 1
    assert "known" in refused.stderr
    compared = devitrify("compare", "alloys", "--known", str(known))
    assert compared.returncode == 1
    assert "is of a system" in compared.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Cu-"], "a dash with nothing beside it"),
        (["Cu-Cu"], "has a block twice (Cu)"),
        (["Cu-Xx"], "of no elements there are"),
        (["Cu-U"], "engine emt does not know U"),
        (["Cu0.5Au-Au"], "block 'Cu0.5Au'"),
        (["Cu-Au-CuAu"], "can be written by the blocks before it"),
        (["Cu3Au-Au", "--atoms-max", "3"], "too small for Cu3Au-Au"),
        (["Cu-Au", "--composition-range", "Ag=0:1"], "is of nothing that Cu-Au has"),
        (["Cu-Au", "--composition-range", "Cu=0.8:0.2"], "is empty or leaves 0 to 1"),
        (["Cu-Au", "--composition-range", "Cu"], "does not parse"),
        (["Cu-Au", "--z", "2"], "--z is for formulas"),
        (["CuAu", "--composition-range", "Cu=0:1"], "--composition-range is for systems"),
        (["CuAu", "--known", "nowhere"], "devitrify compare"),
        (["Cu-Au", "--known", "nowhere"], "There is no file nowhere"),
        (["Cu-Au", "--prototypes", "aflow"], "is for a formula, and not for a system"),
        (["Cu-Au", "--set", "until=judge"], "is for a formula, and not for a system"),
    ],
)
def test_bad_systems_blocks_and_ranges_are_refused_in_a_sentence(
    typed: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    path = tmp_path / "workflow.json"
    assert typed("workflow", *words, "--engine", "emt", "-o", str(path)) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not path.exists()


def test_a_workflow_of_a_system_is_for_a_launchpad(
    typed: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from fireworks import Workflow

    path = tmp_path / "workflow.json"
    words = ("workflow", "Cu-Au", "--engine", "emt", "--atoms-max", "4", "-o", str(path))
    assert typed(*words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "5 melts: Cu, Au, CuAu" in printed
    workflow = Workflow.from_file(str(path))
    names = {firework.name for firework in workflow.fws}
    assert {"pack of Cu", "pack of Au", "pack of CuAu"} <= names
    assert {f.spec["formula"] for f in workflow.fws if "formula" in f.spec} <= {"Cu-Au"}
