"""Commands as they can be pasted into a shell, and the environment of those started here."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def command_line(*words: str | Path) -> str:
    """
    Spell a command for people to type.

    Parameters
    ----------
    *words : str or Path
        The command and what it is told; a path that looks like an option is made none.

    Examples
    --------
    >>> command_line("lpad", "add", Path("my file.json"))
    "lpad add 'my file.json'"
    >>> command_line("lpad", "add", Path("-x.json"))
    'lpad add ./-x.json'
    """
    return shlex.join(
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
        for word in words
    )


def open_command(page: Path) -> str:
    """
    Spell the command that shows a page in the browser of this system.

    Parameters
    ----------
    page : Path
    """
    return command_line("open" if sys.platform == "darwin" else "xdg-open", page)


def program_environment() -> dict[str, str]:
    """Return the environment for a program that is started in another folder than this one."""
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    # an empty path, or "." for one, would be the folder that the program is started in
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, paths))}
