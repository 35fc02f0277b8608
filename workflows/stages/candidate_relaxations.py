"""Relaxations of candidates, and of the known phases of a system, by the reference engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    names = (
        f"candidate {number}{of_compound(chain.target, candidate)}"
        for number, candidate in enumerate(candidates, start=1)
    )
    structures = (candidate.structure for candidate in candidates)
    return _jobs(zip(names, structures, strict=True), chain, limits)


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
    to_the_end = replace(limits, max_steps=max(STEPS_OF_KNOWN, limits.max_steps))
    named = ((f"known phase {label}", structure) for label, structure in known.items())
    return _jobs(named, chain, to_the_end)


def _jobs(
    named: Iterable[tuple[str, Structure]], chain: CandidateChain, limits: RelaxationLimits
) -> list[Job]:
    """Relax structures at the pressure of what was looked for."""
    maker = chain.engine.relax(replace(limits, pressure=chain.target.pressure))
    stage = STAGES["candidates"]
    return [
        tag(maker.make(structure, "candidates"), stage, REFERENCE_QUEUE, name=f"relax {name}")
        for name, structure in named
    ]
