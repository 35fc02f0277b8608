"""Where the rounds of learning stand, and what they have come to."""

from __future__ import annotations

from typing import NamedTuple

from workflows.documents.improvement import ImproveDocument
from workflows.documents.search import SearchDocument
from workflows.jobs.progress import report_progress
from workflows.stages.agreement import Gate
from workflows.stages.learning_state import LearningState
from workflows.stages.round_outcome import agreement_of


class RoundsEnd(NamedTuple):
    """
    How the rounds ended.

    Attributes
    ----------
    reason : str
        Why there is no further one.
    trusted : bool
        Whether the potential resolves its best candidates.
    """

    reason: str
    trusted: bool


def report_rounds(state: LearningState, rounds: int, is_system: bool) -> None:
    """
    Say where the rounds stand.

    Parameters
    ----------
    state : LearningState
        With the figures of all that are done.
    rounds : int
        That there are to be.
    is_system : bool
        Whether energies are those of a hull.
    """
    last = state.rounds[-1] if state.rounds else None
    figures: dict[str, float] = {}
    if last is not None and last.before.mean_error is not None:
        figures["error_meV_atom"] = last.before.mean_error
    if last is not None and last.lowest_energy is not None:
        several = len({one.pressure for one in state.relaxed}) > 1
        what = "hull" if is_system else "mean_best" if several else "best"
        figures[f"{what}_eV_atom"] = last.lowest_energy
    report_progress("improve", len(state.rounds), max(rounds, len(state.rounds)), **figures)


def sum_up(
    formula: str, state: LearningState, search: SearchDocument, gate: Gate, end: RoundsEnd
) -> ImproveDocument:
    """
    Describe all rounds.

    Parameters
    ----------
    formula : str
        Of what is looked for.
    state : LearningState
        After the last round.
    search : SearchDocument
        On the last potential.
    gate : Gate
        What is asked of it.
    end : RoundsEnd
        How they ended.
    """
    after = state.rounds[-1].after
    warning = None
    if not end.trusted:
        warning = (
            f"the potential does not resolve its best candidates after {len(state.rounds)} rounds "
            f"({gate.describe(after)}); more candidates are relaxed instead; more improve.rounds "
            "may help"
        )
    return ImproveDocument(
        formula=formula,
        rounds=state.rounds,
        reason=end.reason,
        trusted=end.trusted,
        potential=state.potential,
        first=agreement_of(state.relaxed, state.rounds[0].potential, gate),
        last=after,
        candidates=search.candidates,
        relaxed=state.relaxed,
        warning=warning,
    )
