"""What a campaign has found, step by step, read from its job store once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monty.json import MontyDecoder, MontyEncoder, MSONable
from pymatgen.core import Structure

from launch.commands.shared.campaign_results import read_store
from launch.local.campaign import Campaign
from launch.report.campaign_results import CampaignResults
from nnp.storage.files import write_atomically
from search.run.islands import merge_archives
from tests.benchmarks.campaigns import is_finished
from workflows.conversion import to_structure, to_structures
from workflows.documents.decoding import decode
from workflows.documents.improvement import ImproveDocument
from workflows.documents.prediction import PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import POTENTIAL, IslandDocument, SearchCandidate, SearchDocument
from workflows.documents.training import SampleDocument

if TYPE_CHECKING:
    from jobflow import JobStore

    from workflows.documents.base import Document

#: Raised where what was read before lacks something.
VERSION = 1
#: Stages whose searches are those of the campaign: a judge has one of its own.
SEARCHES = ("search", "improve")


@dataclass
class Minimum(MSONable):
    """
    A crystal and its energy.

    Attributes
    ----------
    structure : Structure
    energy : float
        eV/atom, by whatever found it.
    """

    structure: Structure
    energy: float


@dataclass
class Relaxation(MSONable):
    """
    A relaxation by the reference engine.

    Attributes
    ----------
    start, end : Structure
        As it began, and as it ended.
    energy : float or None
        At its end, eV/atom; none if it failed.
    """

    start: Structure
    end: Structure
    energy: float | None


@dataclass
class Found(MSONable):
    """
    What a search has found, at each step to the ranking.

    Attributes
    ----------
    ranking : list of Minimum
        By the reference engine, rank 1 first.
    relaxations : list of Relaxation
        By the reference engine, those of the learning rounds too.
    candidates : list of Minimum
        Reported by the last search on a potential, best first; energies are the potential's.
    archive : list of Minimum
        All distinct structures of the last search, best first by what it searched on.
    unknown : list of Minimum
        Given up by the last search, since the potential was too uncertain of them.
    structures : int
        Relaxed in all searches.
    evaluations : int
        Of the reference engine: labels, and steps of relaxations.
    volume : float or None
        Of the glass, Å³/atom: where the search begins.
    complete : bool
        Whether the evaluations are all: without a sampler dynamics by the engine come on top.
    """

    ranking: list[Minimum]
    relaxations: list[Relaxation]
    candidates: list[Minimum]
    archive: list[Minimum]
    unknown: list[Minimum]
    structures: int
    evaluations: int
    volume: float | None = None
    complete: bool = True
    version: int = field(default=VERSION)

    def save(self, path: Path) -> None:
        """Write to a file."""
        write_atomically(path, json.dumps(self.as_dict(), cls=MontyEncoder))

    @classmethod
    def load(cls, path: Path) -> Found | None:
        """Read a file; none if it is of another version."""
        document = json.loads(path.read_text())
        if document.get("version") != VERSION:
            return None
        found = MontyDecoder().process_decoded(document)
        return found if isinstance(found, cls) else None


def found_by(folder: Path) -> Found:
    """
    Read what a finished campaign has found; it is kept beside its folder.

    Parameters
    ----------
    folder : Path
        Of the campaign.

    Raises
    ------
    ValueError
        If it is not finished.
    """
    if not is_finished(folder):
        raise ValueError(f"the campaign in {folder} has no ranking yet")
    path = folder.parent / f"{folder.name}.found.json"
    if path.exists() and path.stat().st_mtime >= (folder / "summary.json").stat().st_mtime:
        found = Found.load(path)
        if found is not None:
            return found
    campaign = Campaign.open(folder)
    found = read_store(
        campaign, None, lambda store: _read(CampaignResults(store, campaign.document.id))
    )
    found.save(path)
    return found


def _read(results: CampaignResults) -> Found:
    prediction = results.newest(PredictionDocument)
    if prediction is None:
        raise ValueError(f"the campaign {results.campaign} has no ranking yet")
    searches = [_decoded(SearchDocument, row) for row in _rows(results, SearchDocument)]
    sample, improved = results.newest(SampleDocument), results.newest(ImproveDocument)
    rounds = [] if improved is None else improved.rounds
    labels = None if sample is None else sample.evaluations
    return Found(
        ranking=[
            Minimum(c.structure, c.energy) for c in prediction.candidates if c.energy is not None
        ],
        relaxations=_relaxations(results),
        candidates=_candidates(searches[-1].candidates) if searches else [],
        archive=_archive(results, len(searches[-1].histories)) if searches else [],
        unknown=_candidates(searches[-1].unknown) if searches else [],
        structures=sum(search.n_structures for search in searches),
        evaluations=prediction.evaluations
        + (sum(row.evaluations for row in rounds) if labels is None else labels),
        volume=None if sample is None else sample.volume_per_atom,
        complete=labels is not None,
    )


def _candidates(candidates: Sequence[SearchCandidate]) -> list[Minimum]:
    """Those that a potential has found."""
    return [Minimum(c.structure, c.energy) for c in candidates if c.energy_of == POTENTIAL]


def _relaxations(results: CampaignResults) -> list[Relaxation]:
    found = []
    for row in _rows(results, RelaxDocument):
        document = _decoded(RelaxDocument, row)
        has_way = document.frames is not None and len(document.frames) > 0
        start = to_structures(document.frames[:1])[0] if has_way else document.structure
        found.append(Relaxation(start, document.structure, document.energy))
    return found


def _archive(results: CampaignResults, islands: int) -> list[Minimum]:
    """Of the last search: each of its islands has left its state with its last block."""
    rows = _rows(results, IslandDocument)[-islands:]
    states = [_decoded(IslandDocument, row).evolution for row in rows]
    return [Minimum(to_structure(m.structure), m.energy) for m in merge_archives(states)]


def _rows(results: CampaignResults, kind: type[Document]) -> list[dict[str, Any]]:
    """Outputs of the campaign's searches and relaxations of one class, the oldest first."""
    criteria: dict[str, Any] = {
        "metadata.campaign": results.campaign, "output.@class": kind.__name__,
    }  # fmt: skip
    if kind is not RelaxDocument:
        criteria["metadata.stage"] = {"$in": SEARCHES}
    else:
        criteria["metadata.stage"] = {"$in": ["improve", "candidates"]}
    store: JobStore = results.store
    return list(store.query(criteria, ["output"], sort={"completed_at": 1}, load=True))


def _decoded(kind: type[Any], row: dict[str, Any]) -> Any:
    document = decode(row["output"])
    if not isinstance(document, kind):
        raise TypeError(f"{kind.__name__} was expected, not {type(document).__name__}")
    return document
