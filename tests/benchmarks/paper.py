"""
The paper's work for one of its compounds, and the section of docs/reproduction.md about it.

    python -m tests.benchmarks.paper LiAlCl4 --engine chgnet --scale paper --known KNOWN -o FOLDER
    python -m tests.benchmarks.paper LiAlCl4 --engine pair --scale tiny -o FOLDER
    python -m tests.benchmarks.paper LiAlCl4 --engine gpaw --scale labels --known KNOWN -o FOLDER
    python -m tests.benchmarks.paper LiAlCl4 --engine chgnet --scale paper -o FOLDER --section-only
    python -m tests.benchmarks.paper Mg2SiO4 --known KNOWN -o FOLDER --default CAMPAIGN
    python -m tests.benchmarks.paper page FOLDER... -o docs/reproduction.md

Runs ``devitrify run --protocol paper``, ``judge`` and ``search`` one after the other in
FOLDER/COMPOUND-ENGINE-SCALE; a second call goes on where the first was stopped, for days if need
be. KNOWN is a folder of known phases, ``FORMULA_NAME.vasp``. What stands behind ``--`` goes to
``devitrify run``. After each step the section is written anew, ``section.md`` in that folder, of
what there is by then; ``--section-only`` runs nothing. ``--default`` judges a campaign that has
been made with the default protocol (in a copy) and runs nothing else; with ``--own-candidates`` the
judging set is the known phases and the candidates of that campaign, in the place of a search by the
engine that takes hours. The potential has chosen these: their figures are no figures of the paper's
kind, and the section says so.

``page`` joins sections under the introduction and copies their judging sets beside the tests, from
which the headline figures are computed anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pymatgen.core import Structure

from nnp.storage.files import write_atomically
from tests.benchmarks.campaigns import current_commit
from tests.benchmarks.paper_facts import evaluation_times, facts_of, keep, kept
from tests.benchmarks.paper_numbers import COMPOUNDS
from tests.benchmarks.paper_page import write_page
from tests.benchmarks.paper_ranking import judge_by_ranking
from tests.benchmarks.paper_sections import section
from tests.benchmarks.paper_steps import (
    DEFAULT,
    PAPER,
    SCALES,
    Reproduction,
    Step,
    StepFailedError,
    perform,
)
from tests.benchmarks.paper_tables import NAMES, Kept
from workflows.engines.registry import find_engine

#: Folders beside the campaigns: what is kept of them, and which steps have ended.
FACTS, DONE = "facts", "done"


def record(work: Reproduction, step: Step) -> None:
    """
    Keep what a step has brought, and write the section.

    Parameters
    ----------
    work : Reproduction
    step : Step
        That has just ended.
    """
    if step.facts:
        keep(facts_of(step.folder), step.name.replace(" ", "-"), step.folder, work.folder / FACTS)
    if step.name == "judge learnt":
        _keep_times(work)
    write_section(work)


def _keep_times(work: Reproduction) -> None:
    """Measure evaluations on a crystal of the ranking, where the engine has a calculator here."""
    crystals = sorted((work.folder / PAPER / "structures").glob("*.cif"))
    if not crystals or work.engine == "gpaw" or not hasattr(find_engine(work.engine), "build"):
        return
    potential = work.folder / PAPER / "potential.nnp"
    times = evaluation_times(potential, work.engine, Structure.from_file(crystals[0]))
    write_atomically(work.folder / FACTS / "times.json", json.dumps(times))


def write_section(work: Reproduction, more: str = "") -> str:
    """
    Write what there is by now to ``section.md``, and return it.

    Parameters
    ----------
    work : Reproduction
    more : str
        Of the command.
    """
    searches = {}
    for z in SCALES[work.scale].z:
        path = work.folder / f"z{z}" / "summary.json"
        if path.exists():
            searches[z] = json.loads(path.read_text())
    times = work.folder / FACTS / "times.json"
    text = section(
        Kept(
            work.numbers,
            kept(list(NAMES), work.folder / FACTS),
            searches,
            json.loads(times.read_text()) if times.exists() else [],
            work.command + more,
        )
    )
    work.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(work.folder / "section.md", text)
    return text


def steps_of(work: Reproduction, default: Path | None) -> list[Step]:
    """
    List what is to be done.

    Parameters
    ----------
    work : Reproduction
    default : Path or None
        A campaign of the default protocol that there is already: it alone is judged, in a copy.
    """
    if default is None:
        return list(work.steps())
    folder = work.folder / DEFAULT
    return [
        Step("copy of the default", folder, source=default),
        Step("judge default", folder, work.judge(folder), facts=True),
    ]


def keep_ranking(work: Reproduction, campaign: Path, commit: str | None) -> None:
    """
    Judge a campaign of the default protocol by its own candidates, in a copy; keep what comes out.

    Parameters
    ----------
    work : Reproduction
    campaign : Path
    commit : str or None
        That the campaign was run at; none: this one.
    """
    folder, done = work.folder / DEFAULT, work.folder / DONE
    copy = Step("copy of the default", folder, source=campaign)
    perform([copy], done, lambda step: record(work, step))
    facts = facts_of(folder)
    if commit:
        facts["commits"] = [commit, f"judged at {current_commit()}"]
    facts["judge"] = judge_by_ranking(folder, work.known, facts["engine"])
    keep(facts, "judge-default", folder, work.folder / FACTS)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Split the command line into options of the benchmark and of ``devitrify run``."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("compound", choices=[*COMPOUNDS, "page"])
    parser.add_argument("folders", nargs="*", type=Path, help="of compounds, for the page")
    parser.add_argument("--engine", default="chgnet")
    parser.add_argument("--scale", choices=list(SCALES), default="paper")
    parser.add_argument("--known", type=Path, help="folder of known phases, FORMULA_NAME.vasp")
    parser.add_argument("--section-only", action="store_true", help="run nothing")
    parser.add_argument("--default", type=Path, help="a campaign of the default protocol")
    parser.add_argument("--own-candidates", action="store_true", help="judge --default by them")
    parser.add_argument("--campaign-commit", help="that --default was run at")
    parser.add_argument("-o", "--out", type=Path, default=Path("paper"))
    return parser.parse_args(arguments[:split]), tuple(arguments[split + 1 :])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    chosen, options = parse(sys.argv[1:] if arguments is None else arguments)
    if chosen.compound == "page":
        write_page(chosen.folders, chosen.out)
        return
    known = sorted(chosen.known.glob(f"{chosen.compound}_*.vasp")) if chosen.known else []
    if chosen.known and not known:
        sys.exit(f"{chosen.known} has no file {chosen.compound}_NAME.vasp: give another --known.")
    work = Reproduction(
        chosen.compound, chosen.engine, chosen.scale, chosen.out, tuple(known), options
    )
    if not chosen.section_only:
        try:
            if chosen.default and chosen.own_candidates:
                keep_ranking(work, chosen.default, chosen.campaign_commit)
            else:
                steps = steps_of(work, chosen.default)
                perform(steps, work.folder / DONE, lambda step: record(work, step))
        except StepFailedError as error:
            sys.exit(f"{error}.")
    more = " --default CAMPAIGN" if chosen.default else ""
    print(write_section(work, more + " --own-candidates" * chosen.own_candidates))


if __name__ == "__main__":
    main()
