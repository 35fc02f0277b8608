"""Relaxing known phases by the reference engine, as its candidates were relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, Response, job
from pymatgen.core import Structure

from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness, better_first
from workflows.composition import Target
from workflows.documents.known import KnownPhase, KnownPhasesDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import KNOWN, SearchCandidate
from workflows.engines.base import Engine
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.candidate_documents import CandidateDocuments
from workflows.stages.ranking import fitness_of
from workflows.stages.refinement import in_standard_cell
from workflows.stages.table import STAGES
from workflows.stages.unseen_crystals import Relaxations


@dataclass
class KnownPhasesMaker(Maker):
    """
    Relax known phases by the reference engine.

    A relaxation has an id that follows from what is relaxed, so that a comparison with more phases
    relaxes only these.

    Parameters
    ----------
    limits : RelaxationLimits
        Where a relaxation ends: those of the candidates, or the comparison is not fair.
    fitness : Fitness
        What the candidates are ranked by.
    """

    name: str = "known phases"
    limits: RelaxationLimits = field(default_factory=RelaxationLimits)
    fitness: Fitness = field(default_factory=Fitness)

    def make(self, known: dict[str, Structure], target: Target, engine: Engine) -> Job:
        """
        Relax and describe.

        Parameters
        ----------
        known : dict of str to Structure
            By their labels.
        target : Target
            What was looked for, and at which pressure.
        engine : Engine
            Reference engine.

        Returns
        -------
        Job
            Its output is a :class:`KnownPhasesDocument`.
        """
        return tag(self.begin(known, target, engine), STAGES["judge"], name="known phases")

    @job
    def begin(self, known: dict[str, Structure], target: Target, engine: Engine) -> Response:
        """Relax all at once."""
        limits = replace(self.limits, pressure=target.pressure)
        runs = Relaxations(engine, limits, at_cutoff_of_melt=False)
        listed = [(label, runs.add(structure)[0]) for label, structure in known.items()]
        collect = self.collect(listed, target, engine.name, after=runs.outputs)
        collect = tag(collect, STAGES["judge"], name="compare")
        jobs: list[Job | Flow] = [*runs.jobs.values(), collect]
        flow = Flow(jobs, output=collect.output)
        return Response(replace=spawn(flow, fixed={work.uuid for work in runs.jobs.values()}))

    @job(config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    @once
    def collect(
        self,
        listed: list[tuple[str, str]],
        target: Target,
        engine: str,
        after: Sequence[Any] = (),  # noqa: ARG002 (waited for, and fetched by their ids)
    ) -> KnownPhasesDocument:
        """
        Describe what was relaxed.

        Parameters
        ----------
        listed : list of (str, str)
            Labels, and jobs of the relaxations.
        target : Target
        engine : str
            Name of the reference engine.
        after : sequence
            What is waited for.
        """
        describe = CandidateDocuments(target, engine, self.fitness, self.limits)
        unit = sum(target.counts.values())
        phases, failures, steps = [], [], 0
        for label, source in listed:
            result = _relaxed(source)
            if result is None or result.energy is None:
                reason = result.failure if result else "its job failed"
                failures.append(f"{label}: {reason}")
                continue
            steps += result.steps + 1
            asked = SearchCandidate(
                structure=result.structure,
                pressure=target.pressure,
                energy=result.energy,
                energy_of=engine,
                formula_units=len(result.structure) // unit,
                found_by=KNOWN,
                found_at=0,
            )
            crystal = in_standard_cell(describe.one(result, asked, source), unit)
            phases.append(KnownPhase(label=label, crystal=crystal))
        report_progress("judge", 1, 1, structures=len(phases))
        return KnownPhasesDocument(
            formula=target.formula,
            engine=engine,
            pressure=target.pressure,
            phases=better_first(phases, lambda phase: fitness_of(phase.crystal)),
            failures=failures,
            evaluations=steps,
        )


def _relaxed(source: str) -> RelaxDocument | None:
    """Output of a relaxation; none if it has none."""
    try:
        found: RelaxDocument = output_of(source)
    except ValueError:
        return None
    return found
