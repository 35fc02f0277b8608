"""The errors a user is meant to read, and the sentence for each."""

from __future__ import annotations

import logging
import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

#: Of the packages whose lines tell where something went wrong.
PACKAGES = ("launch", "workflows", "search", "nnp")


class CampaignError(RuntimeError):
    """
    Something the user can put right; the message is one sentence and says how.

    The command line prints the message alone, without a traceback, and exits with code 1.
    """


def as_sentence(text: str) -> str:
    """
    Start with a capital, where no name of a file would change by it, and end with a stop.

    Examples
    --------
    >>> as_sentence("there is no engine 'emf'")
    "There is no engine 'emf'."
    """
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    if not any(sign in first.rstrip(".?") for sign in "/."):
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "?")) else ".")


def explain(error: BaseException) -> str | None:
    """
    Return the sentence that a user reads for an error.

    Parameters
    ----------
    error : BaseException
        As it reached the command line.

    Returns
    -------
    str or None
        None for an error that nobody expects: a defect.
    """
    from pymongo.errors import ConnectionFailure, PyMongoError

    from nnp.formats.structures import StructureFileError
    from nnp.storage.documents import UnknownClassError
    from search.composition_space import CompositionSpaceError
    from search.create.prototypes import PrototypeError
    from search.run.driver import SearchStateError
    from workflows.chains.protocols import UnknownProtocolError
    from workflows.composition import FormulaError
    from workflows.documents.base import DocumentVersionError
    from workflows.engines.base import MissingEngineError, UnknownEngineError
    from workflows.jobs.site import SiteError
    from workflows.settings import SettingError

    if isinstance(error, CampaignError):
        return str(error)
    if isinstance(
        error,
        CompositionSpaceError | DocumentVersionError | FormulaError | MissingEngineError
        | PrototypeError | SearchStateError | SettingError | SiteError | StructureFileError
        | UnknownClassError | UnknownEngineError | UnknownProtocolError,
    ):  # fmt: skip
        return as_sentence(str(error))
    if isinstance(error, PyMongoError):  # of its message nothing: it may quote the URI
        what = "does not answer" if isinstance(error, ConnectionFailure) else "refuses this"
        return f"The database {what} ({type(error).__name__}): see devitrify doctor."
    if isinstance(error, UnicodeEncodeError):  # bytes of a file's name, for one
        return (
            "What was typed holds bytes that are no UTF-8 text: rename the file, or type it anew."
        )
    if isinstance(error, MemoryError):
        return "There is not enough memory for this: ask for less, or run it on a larger machine."
    if isinstance(error, OSError):  # a full disk, a folder that may not be written
        where = f" {error.filename}" if error.filename else ""
        return (
            f"{error.strerror or error}{where}; nothing that was computed is lost: put that "
            "right and give the same command again."
        )
    return None


def report_defect(error: BaseException) -> str:
    """
    Keep the traceback of an error that nobody expects, and say where it is.

    Parameters
    ----------
    error : BaseException
        One that :func:`explain` has no sentence for.

    Returns
    -------
    str
        A sentence without the error's own message, which may quote a password.
    """
    trace = "".join(traceback.format_exception(error))
    kept = _keep(trace)
    where = f"the details are in {kept}" if kept else "no file could be written for the details"
    return (
        f"This is a defect of devitrify ({type(error).__name__} {_place(error)}); {where}. What "
        "was computed so far is kept: the same command goes on from there."
    )


def _place(error: BaseException) -> str:
    """Return the last line of our own code in a traceback."""
    root = Path(__file__).parents[1]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and path.relative_to(root).parts[0] in PACKAGES:
            return f"in {path.relative_to(root)}, line {frame.lineno}"
    return "outside of its own code"


def _keep(trace: str) -> Path | None:
    """Write a traceback to the log of the campaign, else to the user's own; return its file."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            logger.error(trace)
            return Path(handler.baseFilename)
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    for folder in (state / "devitrify", Path(tempfile.gettempdir()) / f"devitrify-{os.getuid()}"):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / "errors.log"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "a") as file:
                file.write(trace)
            return path
    return None
