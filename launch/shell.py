"""Commands as they can be pasted into a shell."""

from __future__ import annotations

import shlex
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
