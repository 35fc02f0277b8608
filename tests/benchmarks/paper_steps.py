"""The commands that reproduce the paper for one compound, in their order, resumed by folders."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.campaigns import DEVITRIFY, current_commit, run_timed
from tests.benchmarks.paper_numbers import COMPOUNDS, PaperCompound

#: Folders of the campaigns: of the paper; a copy that learns from a melt-quench of the potential;
#: what the product does by default.
PAPER, MELT, DEFAULT = "paper", "melt", "default"


@dataclass(frozen=True)
class Scale:
    """
    How long everything is.

    Attributes
    ----------
    settings : dict of str to object
        What is changed of the protocol.
    judge_generations : int
        Of the search by the reference engine that gives the judging set.
    judge_settings : dict of str to object
        Of the judgement.
    improve : dict of str to object
        Settings of the round that learns from the candidates.
    melt_labels : int
        Of the round that learns from a melt-quench by the potential; 0: it is left out.
    z : tuple of int
        Formula units of searches whose time is told; none: of the paper's.
    z_structures : int
        Relaxations of each of them.
    default : bool
        Whether there is a campaign by the default protocol, too.
    protocol : str
        Of the campaign.
    units : int or None
        Formula units in the cell of the campaign; none: the paper's.
    """

    settings: dict[str, object]
    judge_generations: int
    improve: dict[str, object]
    judge_settings: dict[str, object] = field(default_factory=dict)
    melt_labels: int = 0
    z: tuple[int, ...] = ()
    z_structures: int = 400
    default: bool = False
    protocol: str = "paper"
    units: int | None = None


#: Of a round of learning: 22 candidates relaxed to the end, and their strains.
LEARNING: dict[str, object] = {
    "improve.rounds": 1, "improve.relaxations": 22, "improve.relaxation_steps": 500,
    "improve.labels": 40, "improve.strained": 1.0, "improve.n_strained": 22,
    "improve.generations": 120,
}  # fmt: skip

SCALES: dict[str, Scale] = {
    # every step in seconds, by a pair potential: whether it works, not what comes out
    "tiny": Scale(
        settings={
            "dynamics.segment_steps": 200, "pack.n_atoms": 12, "melt.duration": 0.1,
            "melt.corrections": 1, "melting_temperature.duration": 0.4,
            "melting_temperature.highest": 2500, "melting_temperature.lowest": 1500,
            "melting_temperature.step": 1000, "volume.duration": 0.2, "volume.max_rounds": 1,
            "volume.max_pressure": 100, "volume.max_error": 100, "liquid.duration": 0.4,
            "quench.rate": 4000, "anneal.duration": 0.4, "train.options.angular_cutoff": 4.0,
            "train.options.max_epochs": 6, "search.evolution.generations": 2,
            "search.evolution.population": 6, "search.block": 4, "search.relaxer.max_steps": 100,
            "candidates.n_candidates": 2, "candidates.max_steps": 40,
        },
        judge_generations=1,
        judge_settings={"judge.search.evolution.population": 6, "judge.max_steps": 100,
                        "judge.search.max_steps": 60},
        improve=LEARNING
        | {"improve.relaxations": 2, "improve.relaxation_steps": 20, "improve.labels": 4,
           "improve.generations": 1},
        z=(1, 2), z_structures=8, units=1,
    ),
    # three quarters of an hour of CHGNet for LiAlCl4
    "short": Scale(
        settings={
            "pack.n_atoms": 48, "melt.duration": 1.0, "melt.corrections": 2,
            "melting_temperature.duration": 1.5, "melting_temperature.highest": 2500,
            "volume.duration": 1.5, "volume.max_pressure": 5, "volume.max_error": 5,
            "volume.max_rounds": 4, "liquid.duration": 4.0, "quench.rate": 300,
            "anneal.duration": 2.0, "sample.include_search_runs": True,
            "search.evolution.generations": 60, "candidates.n_candidates": 10,
        },
        judge_generations=2,
        improve=LEARNING
        | {"improve.relaxations": 10, "improve.relaxation_steps": 150, "improve.labels": 20,
           "improve.generations": 60},
        z=(1, 2, 4), z_structures=200,
    ),
    "paper": Scale(
        settings={"train.learning_curve": True},
        judge_generations=15,
        improve=LEARNING,
        melt_labels=60,
        z=(1, 2, 4, 8), z_structures=1000,
        default=True,
    ),
    # few labels by a dear engine, sampled by a cheap one: for GPAW on a few cores
    "labels": Scale(
        settings={
            "pack.n_atoms": 24, "active.labels": 150, "train.options.energy_weight": 10.0,
            "search.evolution.generations": 60, "candidates.n_candidates": 10,
        },
        judge_generations=0,
        improve={"improve.rounds": 2, "improve.relaxations": 6, "improve.relaxation_steps": 12,
                 "improve.labels": 20, "improve.generations": 60},
        protocol="economical",
        units=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """
    One command, or a copy of a campaign.

    Attributes
    ----------
    name : str
        What is kept of it bears this name.
    folder : Path
        Of the campaign or the search.
    words : tuple of str
        Behind ``devitrify``; none: `source` is copied to `folder`.
    source : Path or None
        Of a copy.
    facts : bool
        Whether what the campaign has by then is kept.
    """

    name: str
    folder: Path
    words: tuple[str, ...] = ()
    source: Path | None = None
    facts: bool = False


@dataclass(frozen=True)
class Reproduction:
    """
    The paper's work for one compound.

    Attributes
    ----------
    formula : str
        One of the paper's.
    engine : str
        Takes the place of VASP.
    scale : str
        One of :data:`SCALES`.
    out : Path
        Folder of all compounds.
    known : tuple of Path
        Files of known phases.
    options : tuple of str
        More for ``devitrify run``.
    """

    formula: str
    engine: str
    scale: str
    out: Path
    known: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def numbers(self) -> PaperCompound:
        """What the paper has."""
        return COMPOUNDS[self.formula]

    @property
    def folder(self) -> Path:
        """Folder of this compound."""
        return self.out / f"{self.formula}-{self.engine}-{self.scale}"

    @property
    def command(self) -> str:
        """What reproduces it, but for the folders of this machine."""
        known = " --known KNOWN" if self.known else ""
        more = f" -- {' '.join(self.options)}" if self.options else ""
        return (
            f"python -m tests.benchmarks.paper {self.formula} --engine {self.engine} "
            f"--scale {self.scale}{known} -o FOLDER{more}"
        )

    def steps(self) -> Iterator[Step]:
        """Yield what is to be done, in order."""
        scale = SCALES[self.scale]
        paper, melt = self.folder / PAPER, self.folder / MELT
        yield Step("first", paper, self._run(paper, {"until": "train"}))
        yield Step("judge first", paper, self.judge(paper), facts=True)
        if scale.melt_labels:
            few = {"improve.rounds": 1, "improve.relaxations": 1, "improve.relaxation_steps": 1,
                   "improve.labels": 0, "improve.melt_quench": scale.melt_labels,
                   "improve.generations": 1}  # fmt: skip
            yield Step("copy for the melt", melt, source=paper)
            yield Step("melt", melt, self._run(melt, {"until": "improve"} | few))
            yield Step("judge melt", melt, self.judge(melt), facts=True)
        yield Step("learnt", paper, self._run(paper, {"until": "candidates"} | scale.improve))
        yield Step("judge learnt", paper, self.judge(paper), facts=True)
        for z in scale.z:
            search = self.folder / f"z{z}"
            yield Step(
                f"z{z}", search,
                ("search", str(paper / "potential.nnp"), self.formula, "--z", str(z), "-n",
                 str(scale.z_structures), "-w", "1", "-o", str(search)),
            )  # fmt: skip
        if scale.default:
            default = self.folder / DEFAULT
            run = ("run", self.formula, "--z", self._units, "--engine", self.engine)
            yield Step("default", default, (*run, "-f", str(default), "-w", "1"))
            yield Step("judge default", default, self.judge(default), facts=True)

    @property
    def _units(self) -> str:
        return str(SCALES[self.scale].units or self.numbers.z)

    def _run(self, folder: Path, settings: dict[str, object]) -> tuple[str, ...]:
        scale = SCALES[self.scale]
        return (
            "run", self.formula, "--z", self._units, "--engine", self.engine, "--protocol",
            scale.protocol, "-f", str(folder), "-w", "1", *self.options,
            *_as_words(scale.settings | settings),
        )  # fmt: skip

    def judge(self, folder: Path) -> tuple[str, ...]:
        """
        Return the words of a judgement.

        Parameters
        ----------
        folder : Path
            Of the campaign.
        """
        scale = SCALES[self.scale]
        known = [word for path in self.known for word in ("--known", str(path))]
        # without known phases there must be something to judge by
        generations = scale.judge_generations or (0 if self.known else 1)
        return (
            "judge", str(folder), *known, "--generations", str(generations), "--random", "0", "-w",
            "1", *_as_words(scale.judge_settings),
        )  # fmt: skip


def _as_words(settings: dict[str, object]) -> tuple[str, ...]:
    return tuple(f"--set={path}={str(value).lower()}" for path, value in settings.items())


class StepFailedError(RuntimeError):
    """A command has ended with an error; the message says where to look."""


def perform(steps: Sequence[Step], done: Path, after: Callable[[Step], None]) -> None:
    """
    Do what has not been done.

    Parameters
    ----------
    steps : sequence of Step
    done : Path
        Folder where a file is left of each step that has ended, with the commit.
    after : callable
        Called with each step that has just ended.

    Raises
    ------
    StepFailedError
        If a command fails; the same call tries it again.
    """
    done.mkdir(parents=True, exist_ok=True)
    for step in steps:
        mark = done / f"{step.name.replace(' ', '-')}.txt"
        if mark.exists():
            continue
        print(f"{step.name}: {step.folder}", flush=True)
        if step.source is not None:
            _copy(step.source, step.folder)
        else:
            times = run_timed([*DEVITRIFY, *step.words], step.folder)
            if times.status:
                raise StepFailedError(
                    f"{step.name} ended with status {times.status}: see {step.folder}.log; the "
                    "same command goes on"
                )
        after(step)
        mark.write_text(f"{current_commit()}\n")


def _copy(source: Path, target: Path) -> None:
    """Copy a campaign that does not run, whole or not at all."""
    half = target.with_name(f"{target.name}.part")
    for old in (half, target):
        shutil.rmtree(old, ignore_errors=True)
    subprocess.run(["cp", "-r", str(source), str(half)], check=True)
    half.rename(target)
