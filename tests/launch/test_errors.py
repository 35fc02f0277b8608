"""Every expected error is one sentence; what nobody expects is kept, and said where it is."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from launch import cli
from launch.database.failures import failures
from launch.database.server import Server
from launch.errors import CampaignError, as_sentence, explain
from launch.local.campaign import Campaign
from launch.shell import command_line
from launch.yaml_files import read_mapping
from tests.launch.test_cli import call
from tests.launch.test_retries import launchpad
from workflows.jobs.site import SiteError
from workflows.settings import SettingError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CampaignError("Do this."), "Do this."),
        (SettingError("there is no setting 'a'; did you mean 'b'?"),
         "There is no setting 'a'; did you mean 'b'?"),
        (SiteError("the site settings cannot be read"), "The site settings cannot be read."),
        (ServerSelectionTimeoutError("me:s3cret@host"),
         "The database does not answer (ServerSelectionTimeoutError): see devitrify doctor."),
        (OperationFailure("s3cret"),
         "The database refuses this (OperationFailure): see devitrify doctor."),
        (OSError(28, "No space left on device", "/tmp/a"),
         "No space left on device /tmp/a; nothing that was computed is lost: put that right and "
         "give the same command again."),
        (MemoryError(), "There is not enough memory for this: ask for less, or run it on a larger "
         "machine."),
        (KeyError("a"), None),
    ],
)  # fmt: skip
def test_the_sentence_for_an_error(error: Exception, sentence: str | None) -> None:
    assert explain(error) == sentence


def test_sentences_end_once() -> None:
    assert [as_sentence(text) for text in ("a", "b.", "c?")] == ["A.", "B.", "C?"]


@pytest.mark.parametrize("text", ["bad/a.cif is empty", "a.cif is empty", "./a is empty"])
def test_names_of_files_keep_their_first_letter(text: str) -> None:
    assert as_sentence(text) == f"{text}."


def break_down(error: Exception) -> None:
    """Have the command line fail."""
    raise error


def test_a_defect_is_kept_and_its_place_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(cli, "find_commands", lambda: break_down(KeyError("s3cret")))
    code, out, error = call(capsys, "status")
    assert (code, out) == (1, "")
    assert len(error.splitlines()) == 1
    assert "KeyError in launch/cli.py, line" in error
    assert "s3cret" not in error
    kept = tmp_path / "devitrify" / "errors.log"
    assert str(kept) in error
    assert "Traceback" in kept.read_text()
    assert "s3cret" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """As a file's name from a disk of another machine."""
    done = subprocess.run(
        [sys.executable, "-m", "launch.cli", "train", b"fram\xe9s.xyz"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: What was typed holds bytes that are no UTF-8 text")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "Cu", "--seed", str(2**63)),
        ("run", "Cu", "--seed", "-1"),
        ("run", "Cu", "--atoms-max", "9" * 20),
        ("run", "Cu", "--z", "9" * 20),
        ("run", "Cu", "--engine", "builtins:exit"),
        ("run", "Cu", "--engine", "os:abort"),
        ("run", "Cu", "-p", "economical", "--sampler", "builtins:list"),
        ("run", "Cu", "--engine", "numpy:zeros", "--engine-arguments", '{"shape": 3}'),
        ("search", "os:abort", "Cu", "-o", "x"),
        ("run", "Cu", "--config", "/dev/zero"),
        ("workflow", "Cu", "-e", "emt", "-o", "nowhere/x.json"),
        ("workflow", "Cu", "-e", "emt", "-o", "x.json", "-s", "search.evolution.prototypes=no"),
        ("workflow", "Fe2O3@", "-e", "pair", "-o", "x.json"),
        ("workflow", "MgSO4·7H2O", "-e", "pair", "-o", "x.json"),
        ("init", "--site", "local", "--db", "mongodb://h/", "--folder", "x", "--database", "a b"),
        ("run", "Cu", "--z", "0"),
        ("run", "Cu", "--z", "-1"),
        ("train", "x", "--threads", "0"),
        ("train", "x", "--seed", "-1"),
        ("search", "emt", "Cu", "-o", "x", "--z", "1" * 5000),
        ("search", "emt", "Cu", "-o", "x", "--calculator-arguments", "[" * 3000),
        ("search", "emt", "Cu", "-o", "x", "--population", "0"),
        ("search", "emt", "Cu", "-o", "x", "--islands", "9" * 20),
        ("search", "emt", "Cu", "-o", "x", "--structures", "9" * 20),
        ("search", "emt", "Cu", "-o", "x", "--best", "0"),
        ("search", "emt", "CuAu", "-o", "x", "--z", "1000"),
        ("search", "emt", "Cu", "-o", "x", "--set", "relaxer.check_interval=0"),
        ("run", "Cu999999Au", "-e", "emt"),
        ("run", "CuAu", "-e", "emt", "--set", "melting_temperature.highest=400"),
        ("run", "CuAu", "-e", "emt", "--set", "search.evolution.prototypes=nowhere"),
        ("run", "CuAu", "-e", "emt", "--prototypes", "nowhere"),
        ("run", "CuAu", "-e", "emt", "--space-groups", "0"),
        ("run", "CuAu", "-e", "emt", "--space-groups", "Pnmaa"),
        ("workflow", "CuAu", "-e", "emt", "--space-groups", "Ia-3d", "--z", "1", "-o", "x.json"),
        ("run", "CuAu", "-e", "emt", "--set", "replicas=100000"),
        ("train", "x", "--set", "hidden=100000"),
        ("train", "x", "--set", "radial_cutoff=1e4"),
        (
            "train",
            "x",
            "--set",
            "energy_weight=0",
            "--set",
            "force_weight=0",
            "--set",
            "stress_weight=0",
        ),
    ],
)
def test_options_without_sense_are_refused_at_once(
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(capsys, *arguments)
    assert code in (1, 2)
    assert "Error" in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "line 2 has an alias"),
        ("a: 1\nb: 2\na: 3\n", "line 3 gives 'a' a second time"),
        ("a: 2026-99-99\n", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("a: [1\n", "is not YAML"),
        ("- 1\n", "must map names"),
        ("3: 4\n", "must map names"),
        ("? [a]\n: 1\n", "is not YAML"),
        ("#" * 2_000_000, "too large"),
    ],
)
def test_configuration_files_that_cannot_be_meant(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(CampaignError) as error:
        read_mapping(path)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_configuration_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("quench: {rate: 50}\nliquid.duration: 7\n")
    assert read_mapping(path) == {"quench": {"rate": 50}, "liquid.duration": 7}
    path.write_text("")
    assert read_mapping(path) == {}
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(CampaignError, match="is not YAML"):
        read_mapping(path)
    path.write_text("host: {s3cret")
    with pytest.raises(CampaignError) as error:
        read_mapping(path, quote=False)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "3", '{"pid": "a", "created": 1, "port": 1}', "[" * 100_000,
        '{"pid": 1e400, "created": 1, "port": 1}', '{"pid": [], "created": 1, "port": 1}',
    ],
)  # fmt: skip
def test_records_of_servers_that_are_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    path.write_text(text)
    assert Server.read(path) is None


@pytest.mark.parametrize("pid", [-1, 0, 10**30])
def test_records_of_servers_that_cannot_be(pid: int) -> None:
    assert Server(pid, 0.0, 1).process() is None


@pytest.mark.parametrize("exception", [None, "text", 3, [], {"_stacktrace": 3}, {}])
def test_failures_of_any_form_are_listed(exception: object) -> None:
    pad = launchpad({"launch_id": 1, "launch_dir": "/", "action": {"stored_data": exception}})
    pad.fireworks = pad.launches.database.fireworks
    pad.fireworks.insert_one(
        {"fw_id": 1, "name": "a", "state": "FIZZLED", "launches": [1],
         "spec": {"_exception_details": exception}}
    )  # fmt: skip
    (failure,) = failures(pad)
    assert failure.reason == "no reason recorded"


def test_printed_commands_can_be_pasted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my conf (1)"
    code, out, error = call(capsys, "init", "--site", "local", "--db", "mongodb://127.0.0.1:1/",
                            "--folder", str(folder))  # fmt: skip
    assert code == 0, error
    profile, doctor = (line.partition(": ")[2] for line in out.splitlines()[-2:])
    assert shlex.split(profile) == [".", str(folder / "env.sh")]
    assert shlex.split(doctor) == ["devitrify", "doctor", "--folder", str(folder)]
    code, out, error = call(capsys, "workflow", "Cu", "--engine", "emt", "-o", "wf 1.json")
    assert code == 0, error
    assert shlex.split(out.splitlines()[-1].partition(": ")[2]) == ["lpad", "add", "wf 1.json"]
    code, _, error = call(capsys, "status", "no (campaign)")
    assert code == 1
    command = shlex.split(error.rpartition(": ")[2])
    assert command[:2] == ["devitrify", "run"]
    assert command[-1] == str(tmp_path / "no (campaign)")


def test_a_path_is_no_option() -> None:
    assert command_line("lpad", "add", Path("-o.json")) == "lpad add ./-o.json"


@pytest.mark.parametrize(
    "command",
    [
        ("run", "D2O", "--engine", "pair"),
        ("search", "pair", "D2O", "-o", "D2O"),
        ("workflow", "D2O", "--engine", "pair", "-o", "wf.json"),
        ("results", "folder", "--formula", "D2O"),
    ],
)
def test_isotopes_are_refused_by_every_command(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    new_campaign: Callable[..., Campaign],
    command: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    if command[0] == "results":
        campaign = new_campaign("folder")
        with campaign.database():  # that there is one to ask
            pass
    code, _, error = call(capsys, *command)
    assert code == 1
    assert "D2O names an isotope, D," in error
    assert "write H2O" in error
    assert not (tmp_path / "wf.json").exists()
    assert not (tmp_path / "D2O").exists()
