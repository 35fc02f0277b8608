"""The errors a user is meant to read, and the sentence for each."""

from __future__ import annotations


class CampaignError(RuntimeError):
    """
    Something the user can put right; the message is one sentence and says how.

    The command line prints the message alone, without a traceback, and exits with code 1.
    """


def as_sentence(text: str) -> str:
    """
    Start with a capital and end with a stop.

    Examples
    --------
    >>> as_sentence("there is no engine 'emf'")
    "There is no engine 'emf'."
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


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
    from pymongo.errors import PyMongoError

    from workflows.chains.protocols import UnknownProtocolError
    from workflows.composition import FormulaError
    from workflows.engines.base import MissingEngineError, UnknownEngineError
    from workflows.jobs.site import SiteError
    from workflows.settings import SettingError

    if isinstance(error, CampaignError):
        return str(error)
    if isinstance(
        error,
        FormulaError | MissingEngineError | SettingError | SiteError | UnknownEngineError
        | UnknownProtocolError,
    ):  # fmt: skip
        return as_sentence(str(error))
    if isinstance(error, PyMongoError):  # of its message nothing: it may quote the URI
        return f"The database does not answer ({type(error).__name__}): see devitrify doctor."
    if isinstance(error, OSError):  # a full disk, a folder that may not be written
        where = f" {error.filename}" if error.filename else ""
        return (
            f"{error.strerror or error}{where}; nothing that was computed is lost: put that "
            "right and give the same command again."
        )
    return None
