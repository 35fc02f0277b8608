"""Which structures of a search the reference engine relaxes for the ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from search.relax.limits import RelaxationLimits
from workflows.documents.improvement import ImproveDocument
from workflows.documents.search import SearchCandidate
from workflows.stages.at_pressures import above_lowest
from workflows.stages.candidate_documents import is_finished
from workflows.stages.ranking import as_candidate
from workflows.stages.search_labels import pick, without_known


def choose_candidates(
    candidates: Sequence[SearchCandidate],
    number: int,
    limits: RelaxationLimits,
    improved: ImproveDocument | None = None,
) -> list[SearchCandidate]:
    """
    Choose what is relaxed, spread over motifs.

    What the rounds of learning have relaxed counts as chosen; what they left half-way goes on from
    there. Where the potential does not resolve its best candidates, half as many again are taken.
    Some new ones are, however many there are already.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Found by the search, best first.
    number : int
        To be chosen.
    limits : RelaxationLimits
        Where their relaxations end.
    improved : ImproveDocument or None
        Result of the rounds of learning, if there were any.
    """
    if improved is None:
        return pick(candidates, number)
    begun = [one for one in improved.relaxed if not is_finished(one, limits)]
    begun = [begun[k] for k in np.argsort(above_lowest(begun), kind="stable")]
    wanted = number + (0 if improved.trusted else number // 2)
    wanted -= len(improved.relaxed) - len(begun)
    new = without_known(candidates, improved.relaxed)
    least = math.ceil(number / 4)
    return pick([*map(as_candidate, begun), *new], max(wanted, least), improved.relaxed)
