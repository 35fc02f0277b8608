"""Command lines: all commands, all options, all settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from tests.fuzz import samples
from tests.fuzz.case import Case, Wanted
from tests.fuzz.values import (
    ENGINES,
    FORMULAS,
    NO_ENGINES,
    NO_FILES,
    NO_FORMULAS,
    NO_JSON,
    NO_NUMBERS,
    NO_OUTPUTS,
    ODD_NUMBERS,
    WORDS,
    near,
    spell,
)
from workflows.settings import Setting, list_settings

#: A piece of a command line, what should become of it, and what is odd about it.
Piece = tuple[list[str], Wanted, str]

#: Settings whose own neighbourhood leads to others that must change with them.
BOUND = ("melting_temperature.", "quench.end", "convergence.", "dynamics.")


@cache
def _settings(kind: str) -> tuple[Setting, ...]:
    """Return the numbers that ``--set`` reaches in a command."""
    if kind == "train":
        from nnp.training.options import TrainingOptions

        return tuple(list_settings(TrainingOptions()))
    if kind == "search":
        from search.options import EvolutionOptions
        from search.relax.relaxer import Relaxer

        return (
            *list_settings(EvolutionOptions(), "evolution."),
            *list_settings(Relaxer(), "relaxer."),
        )
    from workflows.chains.protocols import find_protocol

    return tuple(list_settings(find_protocol("quick")))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _set(kind: str, rng: Random) -> Piece:
    """Change one setting."""
    setting = rng.choice(_settings(kind))
    path, value = setting.path, setting.value
    numbers = _is_number(value) or (
        isinstance(value, tuple) and all(map(_is_number, value)) and value
    )
    lot = rng.random()
    if lot < 0.1:
        path = rng.choice([path + "x", path.rpartition(".")[0], "", path + ".x", rng.choice(WORDS)])
        known = {setting.path for setting in _settings(kind)}
        return ["--set", f"{path}=1"], "either" if path in known else "refuse", "no such setting"
    if lot < 0.15:
        return ["--set", rng.choice([path, "=", "", "=1", path + "\udcff"])], "refuse", "no value"
    if not numbers:
        if lot < 0.5 and value not in (None, ()):
            return ["--set", f"{path}={spell(value)}"], "accept", "as it is"
        return ["--set", f"{path}={rng.choice(WORDS + NO_NUMBERS + ODD_NUMBERS)}"], "either", "odd"
    if lot < 0.5:
        odd = rng.choice(NO_NUMBERS)
        whole = isinstance(value, tuple) and odd in ("-", "1,2,3,4,5")
        return ["--set", f"{path}={odd}"], "either" if whole else "refuse", "no number"
    if lot < 0.7:
        return ["--set", f"{path}={rng.choice(ODD_NUMBERS)}"], "either", "an odd number"
    if _is_number(value) and not path.startswith(BOUND):
        return ["--set", f"{path}={near(value, rng)}"], "accept", "a number near the usual one"
    return ["--set", f"{path}={spell(value)}"], "accept", "as it is"


def _choice(option: str, good: tuple[str, ...], bad: tuple[str, ...], rng: Random) -> Piece:
    if rng.random() < 0.5:
        return [option, rng.choice(good)], "accept", option
    return [option, rng.choice(bad)], "refuse", option


def _number(option: str, good: tuple[str, ...], rng: Random) -> Piece:
    """Give an option that takes a number."""
    lot = rng.random()
    if lot < 0.5:
        return [option, rng.choice(good)], "accept", option
    if lot < 0.8:
        odd = rng.choice(NO_NUMBERS)
        several = option == "--z" and odd == "1,2,3,4,5"
        return [option, odd], "either" if several else "refuse", option
    return [option, rng.choice(ODD_NUMBERS)], "either", option


def _engine(rng: Random) -> Piece:
    lot = rng.random()
    if lot < 0.4:
        return ["-e", "emt"], "accept", "engine"
    if lot < 0.7:
        return ["-e", rng.choice(NO_ENGINES)], "refuse", "engine"
    return ["-e", rng.choice(ENGINES)], "either", "engine"


def _prediction(rng: Random) -> list[Piece]:
    """Give what ``run`` and ``workflow`` are told alike."""
    formula: Piece = ([rng.choice(FORMULAS)], "accept", "formula")
    if rng.random() < 0.2:
        formula = ["--", rng.choice(NO_FORMULAS)], "refuse", "formula"
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--z", ("1", "1,2", "4"), rng),
        lambda: _number("--atoms-max", ("8", "20", "200"), rng),
        lambda: _number("--seed", ("0", "5", str(2**63 - 1)), rng),
        lambda: (
            ["--seed", rng.choice([str(2**63), str(2**64), "-" + "9" * 30])],
            "refuse",
            "seed",
        ),
        lambda: _choice("-p", ("quick", "paper"), ("", "fast", "\udcff", "QUICK"), rng),
        lambda: (["--engine-arguments", rng.choice(NO_JSON)], "refuse", "JSON"),
        lambda: (["--config", rng.choice(NO_FILES)], "either", "no file"),
        lambda: (
            ["--sampler", rng.choice((*NO_ENGINES, *ENGINES))],
            "refuse",
            "no use of a sampler",
        ),
        lambda: (["-p", "economical", "--sampler", rng.choice(NO_ENGINES)], "refuse", "sampler"),
    ]
    pieces = [_set("run", rng) for _ in range(rng.choice([0, 1, 1, 1, 1, 2]))]
    pieces += [rng.choice(makers)() for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    if not any("-e" in words for words, _, _ in pieces):
        pieces.append(_engine(rng) if rng.random() < 0.2 else (["-e", "emt"], "accept", "engine"))
    return [*pieces, formula]


def _workflow(rng: Random) -> list[Piece]:
    output: Piece = (["-o", rng.choice(["a.json", "a.yaml", "b.yml"])], "accept", "output")
    if rng.random() < 0.1:
        output = ["-o", rng.choice((*NO_OUTPUTS, "a.txt", "no/such/a.json"))], "refuse", "output"
    more: list[Piece] = (
        [(["--campaign", rng.choice(WORDS)], "either", "name")] if rng.random() < 0.1 else []
    )
    return [output, *more, *_prediction(rng)]


def _run(rng: Random) -> list[Piece]:
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--workers", ("1", "2"), rng),
        lambda: (["--folder", rng.choice(["x", "a b", "é"])], "accept", "folder"),
        lambda: (["--folder", rng.choice(NO_OUTPUTS)], "either", "folder"),
        lambda: (["--db", rng.choice(WORDS)], "either", "database"),
    ]
    return [*[rng.choice(makers)() for _ in range(rng.choice([0, 1]))], *_prediction(rng)]


def _search(rng: Random) -> list[Piece]:
    potential: Piece = (["emt"], "accept", "potential")
    if rng.random() < 0.2:
        bad = (*(name for name in NO_ENGINES if name), *NO_FILES[:5], "vasp")
        potential = (
            [rng.choice([name for name in bad if not name.startswith("-")])],
            "refuse",
            "potential",
        )
    formula: Piece = ([rng.choice(FORMULAS)], "accept", "formula")
    if rng.random() < 0.15:
        words = [word for word in NO_FORMULAS if not word.startswith("-")]
        formula = [rng.choice(words)], "refuse", "formula"
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--structures", ("10", "1000"), rng),
        lambda: _number("--population", ("4", "30"), rng),
        lambda: _number("--islands", ("1", "2"), rng),
        lambda: _number("--workers", ("1", "2"), rng),
        lambda: _number("--seed", ("0", "7"), rng),
        lambda: _number("--best", ("5", "20"), rng),
        lambda: _number("--z", ("1", "1,2"), rng),
        lambda: _number("--atoms-max", ("8", "20"), rng),
        lambda: (["--calculator-arguments", rng.choice(NO_JSON)], "refuse", "JSON"),
        lambda: (["--seed-structures", rng.choice(NO_FILES)], "refuse", "seeds"),
    ]
    pieces = [_set("search", rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
    pieces += [rng.choice(makers)() for _ in range(rng.choice([0, 1, 1, 2]))]
    return [potential, formula, (["-o", "out"], "accept", "output"), *pieces]


def _train(rng: Random) -> list[Piece]:
    frames: Piece = (["frames.xyz"], "accept", "frames")
    if rng.random() < 0.1:
        frames = [rng.choice([name for name in NO_FILES if name])], "refuse", "frames"
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--seed", ("0", "7"), rng),
        lambda: _number("--threads", ("1", "2"), rng),
        lambda: (["-o", rng.choice(NO_OUTPUTS)], "either", "output"),
        lambda: (["--simple-nn", rng.choice(NO_OUTPUTS)], "either", "output"),
        lambda: (["--list-options"], "either", "list"),
    ]
    pieces = [_set("train", rng) for _ in range(rng.choice([0, 1, 1, 2]))]
    return [frames, *pieces, *[rng.choice(makers)() for _ in range(rng.choice([0, 1]))]]


def _evaluate(rng: Random) -> list[Piece]:
    pieces: list[Piece] = [
        (["nacl.nnp"], "accept", "potential"),
        (["frames.xyz"], "accept", "frames"),
    ]
    bad = [name for name in NO_FILES if name]
    lot = rng.random()
    if lot < 0.3:
        pieces[0] = [rng.choice(bad)], "refuse", "potential"
    elif lot < 0.6:
        pieces[1] = [rng.choice(bad)], "refuse", "structures"
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--threads", ("1", "2"), rng),
        lambda: (["-o", rng.choice(NO_OUTPUTS)], "either", "output"),
        lambda: (["--training", rng.choice(bad)], "refuse", "training"),
        lambda: (["--training", "frames.xyz"], "accept", "training"),
    ]
    return [*pieces, rng.choice(makers)()]


def _init(rng: Random) -> list[Piece]:
    site: Piece = (["--site", rng.choice(["cpu", "knl"]), "--partition", "p"], "accept", "site")
    if rng.random() < 0.3:
        site = ["--site", rng.choice(WORDS)], "refuse", "site"
    db: Piece = (["--db", "mongodb://u:p@h:1/"], "accept", "database")
    if rng.random() < 0.3:
        db = (
            [
                "--db",
                rng.choice(
                    [w for w in WORDS if w] + ["mongodb://a:b@c@d/", "mongodb://[", "http://x"]
                ),
            ],
            "refuse",
            "database",
        )
    makers: list[Callable[[], Piece]] = [
        lambda: _number("--cores", ("1", "64"), rng),
        lambda: _number("--nodes", ("1", "4"), rng),
        lambda: _number("--signal-seconds", ("60", "300"), rng),
        lambda: _choice(
            "--walltime",
            ("12:00:00", "1-00:00:00"),
            ("x", "-1", "12", "0:0:0", "\udcff", "99:99:99"),
            rng,
        ),
        lambda: (["--layout", rng.choice(WORDS)], "either", "layout"),
        lambda: (["--account", rng.choice(WORDS)], "either", "account"),
        lambda: (["--constraint", rng.choice(WORDS)], "either", "constraint"),
        lambda: (["--modules", rng.choice(WORDS)], "either", "modules"),
        lambda: (["--vasp-cmd", rng.choice(WORDS)], "either", "command"),
        lambda: (["--work", rng.choice(WORDS)], "either", "work"),
        lambda: (["--database", rng.choice(WORDS)], "either", "name"),
    ]
    pieces = [rng.choice(makers)() for _ in range(rng.choice([0, 1, 2]))]
    return [site, db, (["--folder", "conf"], "accept", "folder"), *pieces]


def _others(rng: Random) -> list[Piece]:
    """Type a command that looks at something."""
    word = rng.choice(WORDS)
    number = rng.choice(NO_NUMBERS)
    choices: list[list[Piece]] = [
        [(["protocol", rng.choice(["quick", "paper", "economical"])], "accept", "protocol")],
        [(["protocol", "--", word], "refuse", "protocol")],
        [(["status", "--", rng.choice(NO_FILES)], "refuse", "folder")],
        [(["results", "--", rng.choice(NO_FILES)], "refuse", "folder")],
        [(["results", ".", "--format", word], "refuse", "format")],
        [(["results", ".", "--stage", word], "refuse", "stage")],
        [(["results", ".", "--above-best", number], "refuse", "number")],
        [(["export", "-o", "x.zip", "--", rng.choice(NO_FILES)], "refuse", "folder")],
        [(["export", ".", "-o", "x.zip", "--format", word], "refuse", "format")],
        [(["export", ".", "-o", rng.choice(NO_OUTPUTS)], "refuse", "output")],
        [(["import", "--", rng.choice(NO_FILES)], "refuse", "file")],
        [(["status", "--interval", number], "refuse", "interval")],
        [
            (
                ["reconcile", "--watch", "--config", "conf", "--interval", number],
                "refuse",
                "interval",
            )
        ],
        [(["status", "--watch", "--config", "conf", "--interval", number], "refuse", "interval")],
        [(["status", "--config", word], "refuse", "config")],
        [(["doctor", "--folder", word], "refuse", "config")],
        [
            (
                ["doctor", "--folder", "conf", "--formula", rng.choice(NO_FORMULAS)],
                "refuse",
                "config",
            )
        ],
        [([word], "either", "command")],
        [(["run", f"--{word}"], "refuse", "option")],
        [([rng.choice(["status", "run", "search"]), "--help"], "accept", "help")],
    ]
    return rng.choice(choices)


#: Commands, how often each is typed, and the files that it finds.
COMMANDS: dict[str, tuple[float, Callable[[Random], list[Piece]]]] = {
    "workflow": (0.3, _workflow), "run": (0.15, _run), "search": (0.2, _search),
    "train": (0.12, _train), "evaluate": (0.05, _evaluate), "init": (0.08, _init),
    "": (0.1, _others),
}  # fmt: skip


def command_case(seed: int, number: int) -> Case:
    """
    Make up a command line.

    Parameters
    ----------
    seed, number : int
        The same ones, the same case.
    """
    rng = Random(f"command {seed} {number}")
    weights = [weight for weight, _ in COMMANDS.values()]
    name = rng.choices(list(COMMANDS), weights)[0]
    pieces = COMMANDS[name][1](rng)
    words = [name] if name else []
    # what follows a lone -- is no option
    pieces.sort(key=lambda piece: "--" in piece[0][:1])
    for typed, _, _ in pieces:
        words += typed
    wanted, why = _worst(pieces)
    files = samples.files() if name in ("train", "evaluate") else {}
    files |= samples.configuration() if "conf" in words and name != "init" else {}
    if _is_ambiguous(words) or "--list-options" in words:
        wanted = "either"
    return Case(f"command {number}", tuple(words), wanted, why, files)


def _is_ambiguous(words: list[str]) -> bool:
    """Whether an option is given twice, of which the last counts, or two exclude each other."""
    options = [word for word in words if word.startswith("-") and word not in ("--set", "--")]
    return len(options) > len(set(options)) or {"--z", "--atoms-max"} <= set(options)


def _worst(pieces: list[Piece]) -> tuple[Wanted, str]:
    """Return what should come of pieces together."""
    for wanted in ("refuse", "either"):
        found = [why for _, each, why in pieces if each == wanted]
        if found:
            return wanted, "; ".join(found)
    return "accept", ""
