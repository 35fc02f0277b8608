"""Command lines with spoilt files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.fuzz import samples
from tests.fuzz.case import Case, Wanted
from tests.fuzz.mutations import MUTATIONS

FEW = ("--set", "max_epochs=2", "--set", "hidden=4", "--threads", "1")
SEARCH = ("search", "nacl.nnp", "NaCl", "-o", "out", "--seed-structures")


@dataclass(frozen=True)
class Kind:
    """
    A kind of file, and how it is read.

    Parameters
    ----------
    name : str
        Of the file that is spoilt.
    commands : tuple of tuples of str
        One of them is typed.
    strict : bool
        Whether each change of its content must be noticed: it has a checksum.
    environment : tuple of tuples of str
        Variables that are set: names and values.
    weight : float
        How often it is spoilt.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    strict: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    weight: float = 1.0


def _of_structures(name: str) -> tuple[tuple[str, ...], ...]:
    return (("evaluate", "nacl.nnp", name, "--threads", "1"), (*SEARCH, name))


def _of_labels(name: str) -> tuple[tuple[str, ...], ...]:
    return (("evaluate", "nacl.nnp", name, "--threads", "1"), ("train", name, *FEW))


WORKFLOW = ("workflow", "CuAu", "-e", "emt", "-o", "wf.json")
DOCTOR = ("doctor", "--folder", "conf")
KINDS = (
    Kind("frames.xyz", (*_of_labels("frames.xyz"), *_of_structures("frames.xyz"))),
    Kind("crystal.cif", _of_structures("crystal.cif")),
    Kind("POSCAR", _of_structures("POSCAR")),
    Kind("vasprun.xml", _of_labels("vasprun.xml")),
    Kind("OUTCAR", _of_labels("OUTCAR")),
    Kind("nacl.nnp", (("evaluate", "nacl.nnp", "frames.xyz"),), strict=True),
    Kind("nacl.potential", (("evaluate", "nacl.potential", "frames.xyz"),)),
    Kind("settings.yaml", ((*WORKFLOW, "--config", "settings.yaml"),)),
    Kind("site/devitrify.yaml", (WORKFLOW,), environment=(("DEVITRIFY_CONFIG", "site"),)),
    Kind("campaign/campaign.json", (("status", "campaign"), ("results", "campaign"))),
    Kind("conf/my_launchpad.yaml", (("status", "--config", "conf"), DOCTOR), weight=0.4),
    Kind("conf/jobflow.yaml", (("results", "--config", "conf"), DOCTOR), weight=0.4),
    Kind("conf/FW_config.yaml", (("status", "--config", "conf"), DOCTOR), weight=0.4),
)  # fmt: skip

#: Files that no command can take whole, since nothing answers or nothing has run.
NOTHING_THERE = ("campaign/", "conf/")


def file_case(seed: int, number: int) -> Case:
    """
    Make up a command line with a spoilt file.

    Parameters
    ----------
    seed, number : int
        The same ones, the same case.
    """
    rng = Random(f"file {seed} {number}")
    name = f"file {number}"
    if rng.random() < 0.06:
        return _bomb(name, rng)
    kind = rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
    files = {**samples.files(), **samples.campaign(), **samples.configuration()}
    whole = files[kind.name]
    why = "whole"
    wanted: Wanted = "accept"
    if rng.random() > 0.05:
        why = rng.choice(list(MUTATIONS))
        files[kind.name] = MUTATIONS[why](whole, rng)
        wanted = _wanted(kind, whole, files[kind.name])
    elif kind.name.startswith(NOTHING_THERE):
        wanted = "either"
    return Case(
        name, rng.choice(kind.commands), wanted, f"{kind.name} {why}", files, dict(kind.environment)
    )


def _wanted(kind: Kind, whole: bytes, spoilt: bytes) -> Wanted:
    """Say what should become of a spoilt file."""
    if kind.strict and spoilt != whole:
        return "refuse"
    if not spoilt.strip() and not kind.name.endswith(".yaml"):
        return "refuse"
    return "either"


def _bomb(name: str, rng: Random) -> Case:
    """Make a small file that stands for a huge one."""
    aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    entities = (
        '<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "'
        + "x" * 100
        + '">'
        + "".join(
            f'<!ENTITY {after} "{("&" + before + ";") * 50}">'
            for before, after in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + "]><modeling><i>&i;</i></modeling>"
    )
    header = b'1000000000\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy=1\n'
    choices: list[Callable[[], tuple[str, str, tuple[str, ...]]]] = [
        lambda: ("settings.yaml", aliases, (*WORKFLOW, "-c", "settings.yaml")),
        lambda: ("site/devitrify.yaml", aliases, WORKFLOW),
        lambda: ("settings.yaml", "a: " + "9" * 100_000, (*WORKFLOW, "-c", "settings.yaml")),
        lambda: ("settings.yaml", "{a: " * 900, (*WORKFLOW, "-c", "settings.yaml")),
        lambda: ("conf/my_launchpad.yaml", aliases, ("status", "--config", "conf")),
        lambda: ("vasprun.xml", entities, ("train", "vasprun.xml", *FEW)),
        lambda: ("vasprun.xml", entities, ("evaluate", "nacl.nnp", "vasprun.xml")),
        lambda: ("frames.xyz", (header + b"Na 0 0 0\n").decode(), ("train", "frames.xyz", *FEW)),
        lambda: ("frames.xyz", header.decode(), ("evaluate", "nacl.nnp", "frames.xyz")),
        lambda: ("POSCAR", "a\n1\n9 0 0\n0 9 0\n0 0 9\nNa\n2000000000\nDirect\n0 0 0\n",
                 ("evaluate", "nacl.nnp", "POSCAR")),
        lambda: ("campaign/campaign.json", "[" * 100_000, ("status", "campaign")),
        lambda: ("campaign/campaign.json", json.dumps({"version": 1}), ("status", "campaign")),
    ]  # fmt: skip
    spoilt, text, command = rng.choice(choices)()
    files = {**samples.files(), **samples.campaign(), **samples.configuration()}
    site = {"DEVITRIFY_CONFIG": "site"} if spoilt.startswith("site") else {}
    return Case(
        name,
        command,
        "refuse",
        f"{spoilt} stands for a huge one",
        {**files, spoilt: text.encode()},
        site,
    )
