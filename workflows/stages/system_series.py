"""What the searches and rankings of a chemical system hand on."""

from __future__ import annotations

from collections.abc import Mapping

from jobflow import JobConfig, OnMissing, job
from pymatgen.core import Structure

from nnp.frames import Frames
from search.relax.pressure import in_gpa
from workflows.composition import Target
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import KNOWN, SearchCandidate
from workflows.jobs.idempotency import once
from workflows.system import SystemTarget


def of_compound(target: Target, candidate: SearchCandidate) -> str:
    """Formula of a structure of a system, as the end of a job's name; nothing of a formula's."""
    return f": {target.formula_of(candidate.structure)}" if target.is_system else ""


def known_as_candidates(known: Mapping[str, Structure], pressure: float) -> list[SearchCandidate]:
    """
    Describe known phases as candidates, which no search has found.

    Parameters
    ----------
    known : mapping of str to Structure
        By their labels.
    pressure : float
        kbar.
    """
    return [
        SearchCandidate(
            structure=structure,
            pressure=pressure,
            energy=0.0,
            energy_of=KNOWN,  # nobody's: they are not relaxed yet
            formula_units=round(structure.composition.get_reduced_composition_and_factor()[1]),
            found_by=KNOWN,
            found_at=0,
        )
        for structure in known.values()
    ]


@job(data=[Frames], config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
@once
def join_pressures(
    target: SystemTarget, rankings: list[PredictionDocument | None]
) -> PredictionDocument:
    """
    Join the rankings of a system at several pressures, each with its hull.

    Parameters
    ----------
    target : SystemTarget
        What was looked for, at several pressures.
    rankings : list of PredictionDocument or None
        By rising pressure; none where there is none.

    Raises
    ------
    ValueError
        If there is no ranking at all.
    """
    found = [one for one in rankings if one is not None]
    if not found:
        raise ValueError("no candidate could be ranked at any of the pressures")
    without = [p for p, one in zip(target.pressures, rankings, strict=True) if one is None]
    frames = Frames.concatenate([one.frames for one in found if one.frames is not None])
    first = found[0]
    warnings = [f"at {in_gpa(one.pressure)}: {one.warning}" for one in found if one.warning]
    return PredictionDocument(
        formula=target.formula,
        engine=first.engine,
        pressure=target.pressures[0],
        pressures=list(target.pressures),
        candidates=[row for one in found for row in one.candidates],
        known=[row for one in found for row in one.known],
        hulls=[hull for one in found for hull in one.hulls],
        failures=[
            *(f"there were no candidates at {in_gpa(pressure)}" for pressure in without),
            *(f"at {in_gpa(one.pressure)}, {text}" for one in found for text in one.failures),
        ],
        notes=first.notes,
        provenance=first.provenance,
        agreement=first.agreement,
        evaluations=sum(one.evaluations for one in found),
        n_frames=len(frames),
        frames=frames,
        warning="; ".join(warnings) or None,
    )
