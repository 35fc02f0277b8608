"""README and docs: links lead somewhere, commands exist, nothing is of one machine only."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from launch.cli import build_app
from workflows.chains.protocols import find_protocol
from workflows.settings import list_settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README_LINES = 180

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
#: Folders that only one machine has; a home, a scratch disk, a mount.
MACHINE_PATH = re.compile(r"(?<![\w.~$/}])/(?:home|root|work|tmp|mnt|scratch|Users|opt|data)\b")


def name(page: Path) -> str:
    """Path of a page within the project."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there; those into the web are left out."""
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


def commands(text: str) -> Iterator[tuple[str, bool]]:
    """
    Command lines of ``devitrify``, and whether they are whole.

    Those of fenced blocks are; code within a sentence may leave out what does not matter there.
    """
    blocks = "\n".join(FENCE.findall(text)).replace("\\\n", " ").splitlines()
    inline = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)))
    for lines, whole in ((blocks, True), (inline, False)):
        for line in lines:
            found = re.match(r"\s*(devitrify [a-z].*)", line)
            if found:
                yield found[1], whole


def complaint(line: str, whole: bool = True) -> str | None:
    """What ``devitrify`` has against the options of a command line; none if it would run it."""
    words = shlex.split(line, comments=True)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    name, arguments = words[0], words[1:]
    command = typer.main.get_command(build_app()).commands.get(name)  # type: ignore[attr-defined]
    if command is None:
        return f"There is no command {name}."
    try:
        command.make_context(name, arguments)
    except typer.Exit:  # of --help
        return None
    except Exception as error:
        describe = getattr(error, "format_message", None)
        message = describe() if describe else str(error)
        return None if not whole and message.startswith("Missing") else message
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_as_printed(page: Path) -> None:
    wrong = {line: complaint(line, whole) for line, whole in commands(page.read_text())}
    assert {line: reason for line, reason in wrong.items() if reason} == {}


def test_settings_exist() -> None:
    """What is printed behind ``--set`` names numbers of a protocol."""
    known = {setting.path for setting in list_settings(find_protocol("paper"))}
    named = {
        path
        for page in PAGES
        for line, _ in commands(page.read_text())
        if line.split()[1] in ("run", "workflow")
        for path in re.findall(r"--set ([\w.]+)=", line)
    }
    assert named
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_path_of_one_machine(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [line for line in lines if MACHINE_PATH.search(line)] == []


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text().splitlines()) <= README_LINES


def test_pages_are_linked_from_the_readme() -> None:
    linked = set(LINK.findall(PAGES[0].read_text()))
    assert {name(page) for page in PAGES[1:]} <= linked


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_mistakes_are_noticed(tmp_path: Path) -> None:
    """Each check fails on what it is meant to find."""
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](nothing.md) [d](https://a.org)\n")
    assert broken_links(page) == ["#three", "nothing.md"]
    text = "```\ndevitrify run MgO --sed 3   # a typo\ndevitrify run MgO \\\n  --seed 3\n```\n"
    found = list(commands(text + "`devitrify rnu` `devitrify run --seed 3`"))
    assert [complaint(*line) is None for line in found] == [False, True, False, True]
    assert complaint("devitrify run --seed 3") is not None
    assert complaint("devitrify run MgO --seed x") is not None
    assert MACHINE_PATH.search("see /home/someone/file")
    assert not MACHINE_PATH.search("see $WORK/opt and ~/scratch/home")


def test_the_changes_begin_with_this_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    headings = re.findall(r"^## (\d\S*)$", (ROOT / "docs" / "changelog.md").read_text(), re.M)
    assert headings[0] == version
