"""Relaxations of candidates, and of the known phases of a system, by the reference engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobflow import Job
from pymatgen.core import Structure

from search.relax.limits import RelaxationLimits
from workflows.documents.search import SearchCandidate
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.candidate_state import CandidateChain
from workflows.stages.system_series import of_compound
from workflows.stages.table import STAGES

#: Of the relaxation of a known phase, unless the candidates have more.
STEPS_OF_KNOWN = 500


def relaxations_of(
    candidates: Sequence[SearchCandidate], chain: CandidateChain, limits: RelaxationLimits
) -> list[Job]:
    """
    Relax candidates, a job each.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Best first.
    chain : CandidateChain
        What was looked for, and by which engine.
    limits : RelaxationLimits
        Of each; the pressure is that of what was looked for.
    """
    maker = chain.engine.relax(replace(limits, pressure=chain.target.pressure))
    return [
        tag(
            maker.make(candidate.structure, "candidates"),
            STAGES["candidates"],
            REFERENCE_QUEUE,
            name=f"relax candidate {number}{of_compound(chain.target, candidate)}",
        )
        for number, candidate in enumerate(candidates, start=1)
    ]


def relaxations_of_known(
    known: Mapping[str, Structure], chain: CandidateChain, limits: RelaxationLimits
) -> list[Job]:
    """
    Relax known phases to the end, whatever evaluations the candidates have to share.

    Parameters
    ----------
    known : mapping of str to Structure
        By their labels.
    chain : CandidateChain
        What was looked for, and by which engine.
    limits : RelaxationLimits
        Of a candidate that has nothing to share.
    """
    steps = max(STEPS_OF_KNOWN, limits.max_steps)
    maker = chain.engine.relax(replace(limits, max_steps=steps, pressure=chain.target.pressure))
    return [
        tag(
            maker.make(structure, "candidates"),
            STAGES["candidates"],
            REFERENCE_QUEUE,
            name=f"relax known phase {label}",
        )
        for label, structure in known.items()
    ]
