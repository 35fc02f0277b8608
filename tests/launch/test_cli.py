"""The command line: what it prints, what it refuses, and how fast it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from launch import cli
from launch.versions import CAMPAIGN_VERSION, own_version


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process: exit code, standard output, standard error."""
    sys.argv = ["devitrify", *arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0 if code is None else 1), captured.out, captured.err


def test_help_answers_without_heavy_imports() -> None:
    """Half a second of CPU is the limit; each of these would take more than that."""
    code = (
        "import sys; sys.argv = ['devitrify', '--help']\nfrom launch.cli import main\ntry: main()\n"
    )
    code += "except SystemExit: pass\nprint([m for m in ('torch', 'numpy', 'pymatgen', 'ase', "
    code += "'fireworks', 'jobflow', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["LiAlCL4"], "did you mean LiAlCl4?"),
        (["LiAlCl4", "--engine", "emt"], "does not know Al|does not know Cl, Li"),
        (["LiAlCl4", "--engine", "nosuch"], "There is no engine 'nosuch'"),
        (["LiAlCl4", "--protocol", "fast"], "There is no protocol 'fast'"),
        (["LiAlCl4", "--set", "quensh.rate=3"], "did you mean 'quench.rate'"),
        (["LiAlCl4", "--set", "quench.rate"], "has no value"),
        (["LiAlCl4", "--config", "nosuch.yaml"], "cannot be read"),
        (["LiAlCl4", "--z", "one"], "--z takes whole numbers"),
        (["LiAlCl4", "--atoms-max", "2"], "too small"),
        (["LiAlCl4", "--pressures", "0;10"], "--pressures takes GPa with commas between them"),
        (["LiAlCl4", "--pressures", ""], "--pressures takes GPa with commas between them"),
        (["LiAlCl4", "--pressures", "0,nan"], "--pressures takes GPa from -1000 to 1000, not nan"),
        (["LiAlCl4", "--pressures", "0,2000"], "--pressures takes GPa from -1000 to 1000"),
        (["LiAlCl4", "--pressures", "5,0,5.0"], "--pressures has 5 GPa twice"),
        (["LiAlCl4", "--pressures", "0,5", "--pressure", "5"], "--pressure or --pressures, not"),
        (["MgO", "--pressures", ",".join(map(str, range(21)))], "20 are the most"),
        (["LiAlCl4", "--engine", "m:n", "--engine-arguments", "{"], "is not JSON"),
        (["LiAlCl4", "-p", "paper", "--sampler", "pair"], "take --protocol quick or economical"),
        (["CuAu", "-p", "economical", "--sampler", "nosuch"], "There is no engine 'nosuch'"),
        (["LiAlCl4", "-p", "economical", "--sampler", "emt"], "sampler emt does not know Cl, Li"),
        (["CuAu", "-p", "economical", "--sampler", "vasp"], "vasp is no --sampler; take chgnet or"),
        (
            ["CuAu", "-p", "economical", "--sampler", "pair", "--sampler-arguments", '{"a": 1}'],
            "--sampler-arguments are for calculators given as module:callable",
        ),
    ],
)
def test_bad_input_gets_one_sentence_and_no_folder(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(capsys, "run", *arguments)
    assert code == 1
    assert len(error.strip().splitlines()) == 1
    import re

    assert re.search(message.replace("?", r"\?"), error)
    assert not list(tmp_path.iterdir())


def test_a_list_of_one_pressure_is_that_pressure_and_any_order_will_do() -> None:
    from launch.commands.shared.prediction import PredictionOptions

    def settings(**typed: object) -> dict[str, object]:
        return PredictionOptions(formula="MgO", **typed).prediction().settings()

    assert settings(pressures="10") == settings(pressure=10.0)
    assert settings(pressures="0") == settings()
    assert settings(pressures="25, 0,10") == settings(pressures="0,10,25")
    assert settings(pressures="25,0,10")["pressures_GPa"] == [0.0, 10.0, 25.0]
    assert "pressures_GPa" not in settings(pressure=10.0)


def test_a_folder_that_cannot_be_made_gets_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, error = call(capsys, "run", "Cu", "-e", "emt", "--folder", str(tmp_path / "file/a"))
    assert code == 1
    assert len(error.strip().splitlines()) == 1


def test_protocols_print_every_number_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "protocol", "paper")
    assert code == 0
    assert any(line.split()[:3] == ["quench.rate", "100.0", "K/ps"] for line in out.splitlines())
    code, _, error = call(capsys, "protocol", "fast")
    assert (code, "quick, paper" in error or "paper, quick" in error) == (1, True)


def test_a_printed_protocol_is_a_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from launch.commands.shared.prediction import PredictionOptions

    _, out, _ = call(capsys, "protocol", "paper", "--yaml")
    path = tmp_path / "paper.yaml"
    path.write_text(out)
    assert yaml.safe_load(out)["quench.rate"] == 100.0
    as_read = PredictionOptions(formula="LiAlCl4", protocol="quick", config=path).prediction()
    paper = PredictionOptions(formula="LiAlCl4", protocol="paper").prediction()
    assert as_read.settings() == paper.settings()


def test_settings_are_overridden_in_order(tmp_path: Path) -> None:
    from launch.commands.shared.prediction import PredictionOptions

    path = tmp_path / "mine.yaml"
    path.write_text("quench: {rate: 50}\nliquid.duration: 7\n")
    options = PredictionOptions(
        formula="Mg2SiO4", overrides=["quench.rate=20"], config=path, seed=4
    )
    prediction = options.prediction()
    assert prediction.maker.quench.rate == 20.0
    assert prediction.maker.liquid.duration == 7.0
    assert prediction.settings()["seed"] == 4
    assert prediction.target.formula_units == (1, 2, 4)


def test_workflow_writes_a_file_for_lpad(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "wf.json"
    code, out, _ = call(capsys, "workflow", "LiAlCl4", "-o", str(path), "--campaign", "mine")
    assert code == 0
    assert "campaign mine" in out
    written = json.loads(path.read_text())
    assert written["metadata"]["campaign"] == "mine"
    for firework in written["fws"]:
        assert firework["spec"]["_category"] in ("dft", "nnp")
        assert firework["spec"]["campaign"] == "mine"
        assert firework["spec"]["stage"]
    code, _, error = call(capsys, "workflow", "LiAlCl4", "-o", str(tmp_path / "wf.txt"))
    assert (code, "must end in .json" in error) == (1, True)


def test_status_and_results_of_nothing_get_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in ("status", "results"):
        code, _, error = call(capsys, command, str(tmp_path))
        assert code == 1
        assert "There is no campaign" in error


def test_a_workflow_for_vasp_needs_neither_vasp_nor_heavy_imports(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['devitrify', 'workflow', 'LiAlCl4', '--engine', 'vasp', "
        "'--protocol', 'paper', '--set', 'vasp.potentials=Li_sv', '-o', 'wf.json']\n"
        "from launch.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('atomate2', 'custodian', 'emmet', 'chgnet') if m in sys.modules])"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ATOMATE2_", "PMG_", "FAKE_VASP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**environment, "PYTHONPATH": root},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.rstrip().endswith("[]"), done.stdout
    assert "engine vasp" in done.stdout
    text = (tmp_path / "wf.json").read_text()
    assert '"Li_sv"' in text


def test_settings_of_vasp_and_of_its_stages_are_shown_and_can_be_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, printed, _ = call(capsys, "protocol", "paper", "--yaml")
    assert code == 0
    values = yaml.safe_load(printed)
    assert values["convergence.max_energy"] == 20.0
    assert values["convergence.max_pressure"] == 10.0
    assert values["convergence.max_force"] == 0.3
    assert values["check.n_frames"] == 30
    assert values["check.cutoff"] == 700.0
    assert values["check.max_energy"] == 4.0
    assert values["vasp.potcar"] == "PBE_54"
    assert "vasp.parallel.openmp_threads" in values
    assert "vasp.supervision.walltime" in values


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = call(capsys, "--version")
    assert (code, printed) == (0, f"devitrify {own_version()}\n")
    code, printed, _ = call(capsys, "--version", "-v")
    found = dict(line.split(" ", 1) for line in printed.splitlines())
    assert code == 0
    assert found["devitrify"] == own_version()
    assert found["campaigns"] == f"of version {CAMPAIGN_VERSION}"
    assert found["numpy"] == np.__version__
    assert {"python", "ase", "chgnet", "spglib", "scipy", "secantusdb"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "Cu", "-o", "a.zip"], "There is no campaign in a folder Cu, and no database"),
        (["export", "Cu", "Cu", "-o", "a.zip"], "A campaign is named twice"),
        (["export", "Cu", "-o", "a.tar"], "a.tar must end in .zip"),
        (["export", "Cu", "-o", "none/a.zip"], "cannot be written"),
        (["export", "Cu", "-o", "mine.zip"], "mine.zip is there already"),
        (["export", "Cu", "-o", "mine.zip", "--overwrite"], "There is no campaign in a folder Cu"),
        (["export", "Cu", "-o", "a.zip", "--format", "tar"], "--format takes ase-db, optimade"),
        (["import", "none.zip"], "none.zip cannot be read (No such file or directory)"),
        (["import", "none.zip", "--db", "mongodb://h"], "name the folder, too"),
    ],
)
def test_what_cannot_travel_is_told_in_a_sentence(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path / "nowhere"))
    mine = tmp_path / "mine.zip"
    mine.write_bytes(b"mine")
    code, _, error = call(capsys, *arguments)
    assert code == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [mine]
    assert mine.read_bytes() == b"mine"
