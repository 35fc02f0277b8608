"""YAML files that people edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

#: Bytes; a file of settings is far smaller.
LARGEST = 1_000_000


class MappingFileError(ValueError):
    """A file maps no names to values; the message says why, and begins with its path."""


def read_mapping(path: Path, quote: bool = True) -> dict[str, Any]:
    """
    Read a file that maps names to values.

    A few bytes of YAML may stand for a document of any size, by aliases of aliases; and of a name
    that is given twice one value is lost without a word. Such files are refused.

    Parameters
    ----------
    path : Path
    quote : bool
        Whether a message may show what is wrong: not if the file holds a password.

    Raises
    ------
    MappingFileError
        If it is too large, is no YAML, or maps nothing.
    OSError
        If it cannot be read.
    """
    import yaml

    with path.open("rb") as file:  # which may be a device that never ends
        raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise MappingFileError(f"{path} is too large for a configuration file")
    try:
        document = yaml.load(raw.decode(), Loader=_loader())
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # a date that does not exist, bytes that are no text, brackets in brackets, odd names
        reason = f" ({_one_line(error)})" if quote else ""
        raise MappingFileError(f"{path} is not YAML: correct it{reason}") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise MappingFileError(f"{path} must map names to values")
    return document


def _one_line(error: Exception) -> str:
    words = str(error).split()
    return " ".join(words)[:200] if words else type(error).__name__


def _loader() -> type[yaml.SafeLoader]:
    """Return a loader that takes neither aliases nor the same name twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        """For files that people write."""

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            """Build a node, unless it is an alias."""
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.YAMLError(f"line {mark.line + 1} has an alias; write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            """Build a mapping, unless a name occurs twice."""
            seen = set()
            for name, _ in node.value:
                word = str(name.value)
                if word in seen:
                    line = name.start_mark.line + 1
                    raise yaml.YAMLError(f"line {line} gives {word!r} a second time")
                seen.add(word)
            return super().construct_mapping(node, deep)

    return Loader
