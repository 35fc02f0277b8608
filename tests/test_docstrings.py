"""Docstrings are in one dialect: numpydoc, the summary on a line of its own, types given."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("nnp", "search", "workflows", "launch", "tests")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def complaints(source: str) -> list[str]:
    """Return what is amiss with the docstrings of a module, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        text = ast.get_docstring(node, clean=False) if isinstance(node, Documented) else None
        if text is None or "\n" not in text.strip("\n"):
            continue
        line = node.body[0].lineno  # type: ignore[attr-defined]
        if not text.startswith("\n"):
            found.append(f"{line}: the summary is not on a line of its own")
        for section in ("Parameters", "Attributes"):
            untyped = [name for name in _entries(text, section) if " : " not in name]
            found += [f"{line}: {name} has no type" for name in untyped]
    return found


def _entries(text: str, section: str) -> list[str]:
    """Return the names, with their types, that a section of a docstring has."""
    lines = text.splitlines()
    names: list[str] = []
    for number, line in enumerate(lines[:-1]):
        if line.strip() == section and re.fullmatch(r"\s*-+", lines[number + 1]):
            indent = line[: len(line) - len(line.lstrip())]
            for entry in lines[number + 2 :]:
                if not entry.strip() or not entry.startswith(indent):
                    break
                if not entry.startswith(indent + " "):
                    names.append(entry.strip())
    return names


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_are_in_one_dialect(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{complaint}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for complaint in complaints(path.read_text())
    ] == []


def test_what_is_amiss_is_seen() -> None:
    source = '''
def f(a):
    """Do it.

    Parameters
    ----------
    a
        Whatever.
    """
'''
    assert complaints(source) == [
        "3: the summary is not on a line of its own",
        "3: a has no type",
    ]
