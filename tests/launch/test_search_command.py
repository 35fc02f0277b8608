"""The search by itself, on an ASE calculator."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ase.calculators.emt import EMT
from ase.io import read

from launch import cli
from launch.commands.search import SearchOptions
from nnp.descriptors import SymmetryFunctions
from nnp.units import KBAR
from tests.nnp.samples import random_potential
from tests.search.ensemble import gold_and_copper


def call(*arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    sys.argv = ["devitrify", "search", *arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_copper_is_face_centred_cubic_and_the_search_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["emt", "Cu", "--z", "1,2", "--population", "8", "--seed", "3", "-o", str(tmp_path)]
    assert call(*options, "-n", "16", "-s", "relaxer.max_force=0.05") == 0
    first = capsys.readouterr().out
    assert "16/16" in first
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["structures"] == 16
    energies = [record["energy"] for record in summary["new_bests"]]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] == pytest.approx(-0.007, abs=0.003)
    assert (tmp_path / "landscape.png").exists()
    assert (tmp_path / "island_1.json").exists()  # one island goes the way of many
    best = next(tmp_path.glob("01_Cu_*_225.cif"))
    assert read(best).get_volume() / len(read(best)) == pytest.approx(11.6, rel=0.03)

    assert call(*options, "-n", "16", "-s", "relaxer.max_force=0.05") == 0
    assert "generation" not in capsys.readouterr().out.split("Cu: the")[0]

    # a larger budget goes on, other settings do not
    assert call(*options, "-n", "24", "-s", "relaxer.max_force=0.05") == 0
    printed = capsys.readouterr().out
    assert "24/24" in printed
    assert " 8/24" not in printed
    assert call(*options, "-n", "24", "-s", "relaxer.max_force=0.1") == 1
    assert "use another --output" in capsys.readouterr().err


@pytest.mark.parametrize("islands", ["1", "2"])
def test_another_formula_or_seed_does_not_go_on_with_the_search(
    islands: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("-o", str(tmp_path), "-n", "8", "--population", "4", "--z", "2", "-w", "1")
    assert call("emt", "Cu", *common, "--islands", islands) == 0
    capsys.readouterr()
    for other in (("emt", "Ag", *common), ("emt", "Cu", *common, "--seed", "7")):
        assert call(*other, "--islands", islands) == 1
        assert "another formula, pressure, seed, potential or settings" in capsys.readouterr().err


def test_a_search_under_pressure_says_enthalpy_and_goes_on_under_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["emt", "Cu", "--z", "1,2", "--population", "8", "-n", "24", "-o", str(tmp_path)]
    assert call(*options, "--pressure", "50") == 0
    printed = capsys.readouterr().out
    assert "eV/atom (enthalpy)" in printed
    assert "best of 24 at 50 GPa" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["pressure_GPa"] == 50.0
    enthalpies = [record["enthalpy"] for record in summary["new_bests"]]
    assert enthalpies == sorted(enthalpies, reverse=True)
    best = summary["best"][0]
    atoms = read(next(tmp_path.glob("01_Cu_*.cif")))
    atoms.calc = EMT()
    energy = atoms.get_potential_energy() / len(atoms)
    assert best["energy"] == pytest.approx(energy, abs=1e-6)
    volume = atoms.get_volume() / len(atoms)
    assert best["enthalpy"] == pytest.approx(energy + 500.0 / KBAR * volume, abs=1e-5)
    assert -atoms.get_stress()[:3].mean() * KBAR == pytest.approx(500.0, abs=1.0)

    for other in (["--pressure", "40"], []):
        assert call(*options, *other) == 1
        assert "another formula, pressure" in capsys.readouterr().err


@pytest.mark.parametrize("pressure", ["nan", "inf", "1001", "-1e9"])
def test_a_pressure_that_nobody_means_gets_a_sentence(
    pressure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("emt", "Cu", "-o", str(tmp_path / "none"), "--pressure", pressure) == 1
    printed = capsys.readouterr().err
    assert "--pressure takes GPa from -1000 to 1000" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_search_of_an_earlier_version_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "search.json").write_bytes(b"one population")
    common = ("emt", "Cu", "-n", "8", "--population", "4", "--z", "2", "-w", "1")
    assert call(*common, "-o", str(old)) == 1
    assert "saved by an earlier version; use another --output" in capsys.readouterr().err
    assert [path.name for path in old.iterdir()] == ["search.json"]

    new = tmp_path / "new"
    assert call(*common, "-o", str(new)) == 0
    record, state = new / "settings.json", (new / "island_1.json").read_bytes()
    settings = json.loads(record.read_text())
    for version in ({}, {"version": settings.pop("version") + 1}):
        record.write_text(json.dumps({**settings, **version}))
        capsys.readouterr()
        assert call(*common, "-o", str(new)) == 1
        assert "saved by an earlier version" in capsys.readouterr().err
    assert (new / "island_1.json").read_bytes() == state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch.nnp", "Cu"], "There is no file nosuch.nnp"),
        (["emt", "LiCl"], "does not know"),
        (["emt", "Cu", "--set", "relaxer.max_forces=1"], "did you mean 'relaxer.max_force'"),
        (["emt", "Cu", "--set", "rate=1"], "There is no setting 'rate'; did you mean"),
        (["emt", "Cu", "--set", "foo=1"], "There is no setting 'foo'; did you mean"),
        (["emt", "Cu", "--z", "two"], "--z takes whole numbers"),
        (["no.such:Thing", "Cu"], "cannot be imported"),
        (["ase.calculators.morse:MorsePotential", "Cu", "--calculator-arguments", "3"], "JSON"),
        (["emt", "Cu", "--seed-structures", "nosuch.cif"], "There is no file nosuch.cif"),
        (["emt", "Cu", "--seed-structures", __file__], "cannot be read as structures"),
        (["emt", "Cu", "--islands", "3", "-n", "2"], "too few for 3 islands"),
        (["emt", "Cu", "--set", "evolution.prototypes=nowhere"], "nowhere is neither"),
        (["emt", "Cu", "--prototypes", "nowhere"], "nowhere is neither"),
        (["emt", "Cu", "--space-groups", "231"], "numbered from 1 to 230, not 231"),
        (["emt", "Cu", "--space-groups", "Pnmaa"], "there is no space group 'Pnmaa'"),
        (["emt", "Cu", "--space-groups", "Pnma", "--z", "1"], "can hold Cu with 1 formula units"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments, "-o", str(tmp_path / "x")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_seeds_of_the_user_come_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ase.build import bulk
    from ase.io import write

    for name in ("gold.cif", "POSCAR_gold", "gold.extxyz"):
        write(tmp_path / name, bulk("Au", "fcc", a=4.2), format=_format(name))
    seeds = [word for n in ("gold.cif", "POSCAR_gold", "gold.extxyz")
             for word in ("--seed-structures", str(tmp_path / n))]  # fmt: skip
    out = tmp_path / "out"
    assert (
        call("emt", "Au", "--z", "1", "--population", "4", "-n", "4", *seeds, "-o", str(out)) == 0
    )
    summary = json.loads((out / "summary.json").read_text())
    assert summary["new_bests"][0]["operator"] == "seed"
    assert summary["new_bests"][0]["space_group"] == 225
    assert summary["discarded"]["duplicate"] >= 2
    assert (out / "operators.png").exists()
    capsys.readouterr()
    assert call("emt", "Cu", "--z", "1", *seeds[:2], "-o", str(tmp_path / "other")) == 1
    assert "another composition" in capsys.readouterr().err


def _format(name: str) -> str:
    return {"gold.cif": "cif", "POSCAR_gold": "vasp", "gold.extxyz": "extxyz"}[name]


@pytest.mark.parametrize("typed", ["AuCu", "Cu2Au2"])
def test_another_spelling_goes_on_with_the_search(typed: str, tmp_path: Path) -> None:
    common = ("-o", str(tmp_path), "-n", "2", "--population", "2", "--z", "1", "-w", "1")
    assert call("emt", "CuAu", *common) == 0
    assert call("emt", typed, *common) == 0


def test_a_known_phase_is_found_at_its_energy_and_listed_once(tmp_path: Path) -> None:
    """L1_0 CuAu from several starts: ASE relaxes it to -0.01144 eV/atom."""
    from ase import Atoms
    from ase.io import write

    places = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    starts = []
    for k, (a, c) in enumerate(((3.75, 3.75), (4.0, 3.6), (3.9, 3.9), (3.85, 4.1))):
        starts.append(Atoms("CuAu2Cu", scaled_positions=places, cell=[a, a, c], pbc=True))
        starts[-1].symbols = ["Cu", "Au", "Au", "Cu"]
        starts[-1].rattle(0.03, seed=k)
    write(tmp_path / "l10.extxyz", starts)
    out = tmp_path / "out"
    options = ("--z", "2", "--population", "4", "-n", "4", "-w", "1", "-o", str(out))
    assert call("emt", "CuAu", *options, "--seed-structures", str(tmp_path / "l10.extxyz")) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert [round(row["energy"], 4) for row in summary["best"]].count(-0.0114) == 1
    assert summary["best"][0]["energy"] == pytest.approx(-0.01144, abs=1e-4)
    assert all(row["converged"] for row in summary["best"])


def test_what_is_not_under_the_tight_limits_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--z", "1", "--population", "2", "-n", "2", "-w", "1", "-o", str(tmp_path))
    assert call("emt", "CuAu", *options, "-s", "relaxer.max_steps=2") == 0
    printed = capsys.readouterr().out
    assert "1 *" in printed
    assert "* not relaxed to the tight limits" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert not summary["best"][0]["converged"]
    assert summary["relaxed_on_to_tight_limits"] > 0


def test_seeds_that_are_no_crystals_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ase import Atoms
    from ase.io import write

    near = [[0, 0, 0], [0, 0, 0.3]]
    for atoms, message in (
        (Atoms("Cu", cell=[3, 3, 3]), "is not periodic"),
        (Atoms("Cu2", near, cell=[3, 3, 3], pbc=True), "only 0.30 Å apart"),
        (Atoms("Cu", cell=[3, 3, 0], pbc=True), "a cell without volume"),
        (Atoms("CuAu", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True), "another composition"),
        (Atoms(cell=[3, 3, 3], pbc=True), "announces 0 atoms"),
    ):
        write(tmp_path / "seed.extxyz", atoms)
        assert call("emt", "Cu", "-o", str(tmp_path / "out"), "--seed-structures",
                    str(tmp_path / "seed.extxyz")) == 1  # fmt: skip
        error = capsys.readouterr().err
        assert message in error
        assert "seed.extxyz" in error
        assert len(error.strip().splitlines()) == 1


def test_a_search_that_finds_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--z", "1", "--population", "2", "-n", "2", "-w", "1", "-o", str(tmp_path))
    assert call("tests.launch.test_search_command:Nowhere", "Cu", *options) == 1
    printed = capsys.readouterr()
    assert "No structure could be relaxed (2 times" in printed.err
    assert "nan" not in printed.out


class Nowhere(EMT):
    """A potential that is nowhere defined."""

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        """Compute, and forget."""
        super().calculate(*arguments, **keywords)
        self.results["energy"] = self.results["free_energy"] = float("nan")


def test_a_potential_without_stresses_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = SymmetryFunctions.standard(("Mg", "O"))
    potential = random_potential(functions)
    potential = dataclasses.replace(potential, record={"n_stresses": 0})
    potential.save(tmp_path / "x.nnp")
    assert call(str(tmp_path / "x.nnp"), "MgO", "-o", str(tmp_path / "out")) == 1
    assert "was trained without stresses" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"seed": 0}', "\x00"])
@pytest.mark.parametrize("name", ["settings.json", "island_1.json", "exchange.json"])
def test_a_folder_with_a_broken_file_gets_a_sentence(
    name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--z", "1", "--population", "2", "-w", "1", "-o", str(tmp_path))
    assert call("emt", "Cu", *options, "-n", "2") == 0
    (tmp_path / name).write_text(content)
    capsys.readouterr()
    assert call("emt", "Cu", *options, "-n", "4") == 1
    error = capsys.readouterr().err
    assert "folder" in error or "another --output" in error
    assert len(error.strip().splitlines()) == 1


def test_broken_times_of_earlier_runs_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--z", "1", "--population", "2", "-w", "1", "-o", str(tmp_path))
    assert call("emt", "Cu", *options, "-n", "2") == 0
    for content in ("{", "[1]", '[{"island": 0}]'):
        (tmp_path / "progress.json").write_text(content)
        assert call("emt", "Cu", *options, "-n", "2") == 0
        assert "progress.json is broken" in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert call("emt", "Cu", "-o", str(tmp_path / "file")) == 1
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.slow
def test_islands_end_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["emt", "Cu", "--z", "1,2", "--population", "4", "-o", str(tmp_path),
               "--islands", "2", "-w", "2"]  # fmt: skip
    assert call(*command, "-n", "9") == 0
    printed = capsys.readouterr().out
    assert "island 2" in printed
    assert "9/9" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["structures"] == 9
    assert summary["islands"] == len(summary["operators"]) == 2
    energies = [record["energy"] for record in summary["new_bests"]]
    assert energies == sorted(energies, reverse=True)
    assert summary["cpu_seconds"] > 0
    assert next(tmp_path.glob("01_Cu_*_225.cif")).exists()
    assert call(*command, "-n", "13") == 0
    assert json.loads((tmp_path / "summary.json").read_text())["structures"] == 13
    assert call(*command[:-3], "1", "-n", "13") == 1
    assert "use another --output" in capsys.readouterr().err


def test_calculator_by_import_path_with_arguments(tmp_path: Path) -> None:
    options = ["ase.calculators.lj:LennardJones", "Ar", "--z", "1", "--population", "4", "-n", "4"]
    arguments = '{"sigma": 3.4, "epsilon": 0.1, "rc": 8.0, "smooth": true}'
    assert call(*options, "--calculator-arguments", arguments, "-o", str(tmp_path)) == 0
    best = json.loads((tmp_path / "summary.json").read_text())["new_bests"][-1]["energy"]
    assert -1.0 < best < -0.5


@pytest.mark.slow
@pytest.mark.skipif(
    "DEVITRIFY_REFERENCE" not in os.environ,
    reason="DEVITRIFY_REFERENCE does not name the folder of the reference data",
)
def test_simple_nn_file_and_potential_of_ours(tmp_path: Path) -> None:
    """Both kinds of file give the same search."""
    from nnp.formats.simple_nn import read_simple_nn

    theirs = Path(os.environ["DEVITRIFY_REFERENCE"]) / "spinner_mg2sio4" / "potential_saved"
    ours = tmp_path / "ours.nnp"
    read_simple_nn(theirs).save(ours)
    best = []
    for potential in (theirs, ours):
        out = tmp_path / f"out_{potential.name}"
        options = ["--z", "1", "--population", "6", "-n", "6", "-w", "1", "-o", str(out)]
        assert call(str(potential), "Mg2SiO4", *options) == 0
        best.append(json.loads((out / "summary.json").read_text())["new_bests"][-1]["energy"])
    assert best[0] == pytest.approx(best[1], abs=1e-6)
    assert best[0] < -5.0


def test_what_an_ensemble_does_not_know_is_kept_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold_and_copper().save(tmp_path / "some.nnp")
    out = tmp_path / "out"
    options = [str(tmp_path / "some.nnp"), "CuAu", "--z", "2", "--population", "8", "-n", "32"]
    options += ["-w", "1", "-o", str(out)]
    cautious = [*options, "--caution", "2", "--max-uncertainty", "0.1"]
    assert call(*cautious, "-s", "evolution.patience=3") == 0
    printed = capsys.readouterr().out
    assert "±" in printed
    assert "ends: " in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["discarded"]["beyond what the potential knows"] > 0
    assert all(row["uncertainty"] <= 0.1 for row in summary["best"])
    worst = [row["energy"] + 2 * row["uncertainty"] for row in summary["best"]]
    assert worst == sorted(worst)
    assert summary["ended"] in (["structures"], ["nothing new for 3 generations"])
    unknown = read(out / "unknown.extxyz", ":")
    assert len(unknown) == summary["unknown_structures"] > 0
    assert all(atoms.info["uncertainty"] > 0.1 for atoms in unknown)
    energies = [atoms.info["energy_per_atom"] for atoms in unknown]
    assert energies == sorted(energies)
    # where nothing is known the lowest of the unknown are reported, and that is said
    strict = [*options[:-1], str(tmp_path / "strict"), "--max-uncertainty", "0.001"]
    assert call(*strict) == 0
    assert "All structures are more uncertain than" in capsys.readouterr().out
    summary = json.loads((tmp_path / "strict" / "summary.json").read_text())
    assert len(summary["best"]) == min(20, summary["unknown_structures"])
    # another trust is another search
    assert call(*options, "-s", "evolution.patience=3") == 1
    assert "use another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--caution", "-1", "'caution' must be from 0 to 100"),
        ("--caution", "nan", "'caution' must be a finite number"),
        ("--max-uncertainty", "0", "'max_uncertainty' must be from 0.0001 to 100 eV/atom"),
        ("--max-uncertainty", "much", "'max_uncertainty' must be of type float"),
    ],
)
def test_a_trust_that_makes_no_sense_gets_one_sentence(
    option: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("emt", "Cu", option, value, "-o", str(tmp_path / "x")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_prototype_that_cannot_be_read_gets_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "salt.cif").write_bytes(b"\x00no crystal")
    arguments = ("--prototypes", str(tmp_path / "types"), "-o", str(tmp_path / "x"))
    assert call("emt", "CuAu", *arguments) == 1
    error = capsys.readouterr().err
    assert "salt.cif" in error
    assert len(error.strip().splitlines()) == 1


def test_what_came_of_prototypes_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--z", "1,2", "--prototypes", "aflow", "-n", "60", "--best", "8", "-o")
    assert call("emt", "CuAu", *options, str(tmp_path)) == 0
    assert "prototype" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    by_operator = {row["operator"]: row["of_prototype"] for row in summary["best"]}
    assert by_operator["prototype"] is True
    assert by_operator.get("random", False) is False


def test_a_search_from_before_the_last_options_goes_on(tmp_path: Path) -> None:
    arguments = ("emt", "Cu", "--z", "1", "--population", "4", "-n")
    assert call(*arguments, "4", "-o", str(tmp_path)) == 0
    record = tmp_path / "settings.json"
    settings = json.loads(record.read_text())
    del settings["evolution"]["space_groups"], settings["relaxer"]["lbfgs"]
    del settings["relaxer"]["limits"]["pressure"], settings["pressure"]
    record.write_text(json.dumps(settings))
    assert call(*arguments, "8", "-o", str(tmp_path)) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["structures"] == 8
    other = (*arguments, "8", "--space-groups", "225", "-o", str(tmp_path))
    assert call(*other) == 1


def test_a_search_with_dispersion_is_another_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["emt", "Cu", "--z", "1", "--population", "2", "-n", "2", "-o", str(tmp_path)]
    options += ["-s", "relaxer.max_force=0.3"]
    assert call(*options, "--dispersion", "d3bj:pbe") == 0
    best = json.loads((tmp_path / "summary.json").read_text())["best"][0]
    assert best["energy"] < -0.2  # EMT's own is zero for copper
    for other in ([], ["--dispersion", "d3zero:pbe"], ["--dispersion", "none"]):
        assert call(*options, *other) == 1
        assert "use another --output" in capsys.readouterr().err
    levels = {
        SearchOptions(potential="emt", formula="Cu", folder=tmp_path, dispersion=text).level
        for text in ("d3bj:PBE", "d3bj:pbe")
    }
    assert levels == {"emt+d3bj:pbe"}
    assert call("emt", "Cu", "-o", str(tmp_path / "other"), "--dispersion", "d3bj") == 1
    assert "--dispersion d3bj:pbe" in capsys.readouterr().err
    potential = tmp_path / "my.nnp"
    assert call(str(potential), "Cu", "-o", str(tmp_path), "--dispersion", "d3bj") == 1
    assert "the dispersion of the frames" in capsys.readouterr().err


def test_searches_at_several_pressures_end_with_phases_and_transitions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Magnesia by pairs: caesium chloride takes the place of rock salt at 65.5 GPa."""
    options = [
        "tests.search.pair_energy:oxide_calculator", "MgO", "--z", "1", "--population", "8",
        "-n", "16", "-w", "1", "--seed", "1", "-o", str(tmp_path),
    ]  # fmt: skip
    assert call(*options, "--pressures", "100,0") == 0
    printed = capsys.readouterr().out
    assert "best of 16 at 100 GPa" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["pressures_kbar"] == [0.0, 1000.0]
    lowest = {
        c["pressure"]: c["space_group"] for c in summary["candidates"] if c["rank"] == 1
    }  # fmt: skip
    assert lowest == {0.0: "Fm-3m", 1000.0: "Pm-3m"}
    last = summary["transitions"][-1]
    assert last["pressure_kbar"] == pytest.approx(655.0, abs=3.0)
    assert (tmp_path / "pressures.png").exists()
    assert list(tmp_path.glob("structures/100GPa/01_MgO_Z1_Pm-3m.cif"))
    assert (tmp_path / "100GPa" / "island_1.json").exists()

    # again it only follows the phases; others do not go on with it
    assert call(*options, "--pressures", "0,100") == 0
    assert "generation" not in capsys.readouterr().out.split("MgO: the")[0]
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert call(*options) == 1
    assert "holds searches at several pressures" in capsys.readouterr().err
    assert call(*options[:-1], str(tmp_path / "0GPa"), "--pressures", "0,100") == 1
    assert "holds a search at one pressure" in capsys.readouterr().err
