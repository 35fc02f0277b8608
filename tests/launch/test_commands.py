"""The commands: which there are, what each is told, and what a new one takes."""

from __future__ import annotations

import inspect
import keyword
import sys
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import pytest
import typer

from launch import cli, commands
from tests.launch.test_cli import call

#: What each command is told: arguments in capitals, options by their names.
PREDICTION = (
    "FORMULA --protocol -p --engine -e --engine-arguments --dispersion --sampler "
    "--sampler-arguments --config -c --set -s --z --atoms-max --space-groups --prototypes "
    "--pressure --pressures --seed"
)
SYSTEM = "--composition-range --charge-balance"
PREDICTION += f" {SYSTEM} --known -k"
WORDS = {
    "clean": "FOLDER --campaign --yes -y --config --db",
    "compare": "FOLDER FILES --known -k --workers -w --db",
    "doctor": "--folder -f --formula --prepare",
    "evaluate": "POTENTIAL STRUCTURES --output -o --training -t --threads --energy-key --pressure",
    "export": "CAMPAIGNS --output -o --format --overwrite --db --config",
    "import": "FILE FOLDER --db --trust --config",
    "init": "--site --db --database --folder -f --partition --nnp-partition --account --qos "
    "--constraint --walltime --nnp-walltime --nodes --cores --layout --modules --vasp-cmd "
    "--vasp-gamma-cmd --potcars --work --signal-seconds",
    "judge": "CAMPAIGN --known -k --generations --random --engine -e --engine-arguments "
    "--dispersion --set -s --workers -w --output -o --config --db --pressure",
    "protocol": "NAME --yaml",
    "reconcile": "--config --watch --interval",
    "results": "FOLDER --formula --campaign --stage --above-best --above-hull --format --html "
    "--output -o --config --db",
    "run": f"{PREDICTION} --workers -w --folder -f --db",
    "search": "POTENTIAL FORMULA --output -o --structures -n --population --z --atoms-max "
    "--space-groups --prototypes --pressure --pressures --dispersion "
    "--caution --max-uncertainty "
    "--islands --workers -w --seed --seed-structures --calculator-arguments --set -s --best "
    f"{SYSTEM}",
    "status": "FOLDER --db --json --watch --interval --campaign --config --size",
    "train": "FRAMES --output -o --set -s --seed --threads --simple-nn --list-options --energy-key",
    "workflow": f"{PREDICTION} --output -o --campaign --list --add --launchpad",
}
GREETING = '''
"""A command like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from launch.commands.shared.options import command_of


@dataclass(frozen=True, kw_only=True)
class GreetOptions:
    """What it is told."""

    name: Annotated[str, typer.Option(help="Of whom.")] = "you"


@command_of(GreetOptions)
def greet(options: GreetOptions) -> None:
    """Greet somebody."""
    typer.echo(f"good day, {options.name}")
'''


def words(name: str) -> set[str]:
    """Return the names of a command's options, and its arguments in capitals."""
    command = typer.main.get_command(cli.build_app()).commands[name]
    found: set[str] = set()
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            found.add(str(parameter.name).upper())
        else:
            found |= set(parameter.opts) | set(parameter.secondary_opts)
    return found


def test_these_are_the_commands() -> None:
    assert sorted(name for name, _ in cli.find_commands()) == sorted(WORDS)


def test_help_lists_the_commands_as_a_user_needs_them(capsys: pytest.CaptureFixture[str]) -> None:
    listed = call(capsys, "--help")[1].partition("Commands:")[2]
    names = [line.split()[0] for line in listed.splitlines() if line[:3].strip()]
    assert tuple(names) == cli.ORDER


@pytest.mark.parametrize("name", sorted(WORDS))
def test_what_a_command_is_told(name: str) -> None:
    assert words(name) == set(WORDS[name].split())


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_command_is_a_dataclass_of_options_and_a_function(name: str) -> None:
    function = f"{name}_" if keyword.iskeyword(name) else name
    module = import_module(f"launch.commands.{function}")
    kind = getattr(module, f"{name.capitalize()}Options")
    assert is_dataclass(kind)
    told = inspect.signature(getattr(module, function)).parameters
    assert set(told) == set(kind.__dataclass_fields__)
    optional = [parameter.default is not inspect.Parameter.empty for parameter in told.values()]
    assert optional == sorted(optional), "what is required comes first"


def test_a_new_command_is_one_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet.py").write_text(GREETING)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert call(capsys, "greet", "--name", "Ada")[:2] == (0, "good day, Ada\n")
    assert call(capsys, "--help")[1].splitlines()[-1].split()[0] == "greet"
    monkeypatch.delitem(sys.modules, "launch.commands.greet")


def test_options_are_spelled_as_they_were_typed(tmp_path: Path) -> None:
    """All of the command, so that what is resumed by it is the same campaign."""
    from launch.commands.run import RunOptions
    from launch.commands.shared.options import words_of

    assert words_of(RunOptions(formula="Cu")) == ["Cu"]
    options = RunOptions(
        formula="Mg2SiO4",
        z="1,4",
        seed=4,
        pressure=-2.5,
        dispersion="d3bj",
        space_groups="62",
        config=tmp_path / "my file.yaml",
        overrides=["train.options.members=2", "improve.rounds=1"],
    )
    words = words_of(options)
    typed = dict(zip(words[1::2], words[2::2], strict=True))
    assert words[0] == "Mg2SiO4"
    assert words.count("--set") == 2
    assert typed == {
        "--z": "1,4",
        "--seed": "4",
        "--pressure": "-2.5",
        "--dispersion": "d3bj",
        "--space-groups": "62",
        "--config": str(tmp_path / "my file.yaml"),
        "--set": "improve.rounds=1",
    }
