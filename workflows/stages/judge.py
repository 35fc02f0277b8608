"""Judging a potential by crystals that it has not been trained on, as the paper does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jobflow import Flow, Job, JobConfig, Maker, OnMissing, Response, job
from pymatgen.core import Structure

from nnp.frames import Frames
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from workflows.composition import Target
from workflows.conversion import to_atoms, to_structure
from workflows.documents.judge import JudgeDocument, JudgeSearchDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.training import LabelDocument
from workflows.engines.base import Engine
from workflows.jobs.cores import usable_cores
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.chain import ChainContext
from workflows.stages.comparison import (
    KNOWN,
    RANDOM,
    SEARCH,
    TestCrystal,
    by_earlier,
    compare,
    coverage_by_origin,
    describe,
    distinct_crystals,
    errors_of,
    in_training,
    labelled,
    lowest_of,
)
from workflows.stages.cost import Cost, CostContext, decisions, repeated_decisions
from workflows.stages.packing import estimate_volume
from workflows.stages.reference_search import ReferenceSearchMaker
from workflows.stages.search_documents import search_document
from workflows.stages.search_extent import expected_extent
from workflows.stages.table import STAGES
from workflows.stages.unseen_crystals import Relaxations, job_id, random_crystals

if TYPE_CHECKING:
    from jobflow import OutputReference

    from workflows.documents.search import IslandDocument


@dataclass
class JudgeSearchMaker(ReferenceSearchMaker):
    """Evolve crystals on the reference engine to have some that no potential has chosen."""

    name: str = "judge search"
    n_best: int = field(
        default=300, metadata={"range": (1, 10_000), "help": "distinct structures taken"}
    )
    stage: ClassVar[str] = "judge"

    def document(
        self, target: Target, islands: Sequence[IslandDocument], engine: str
    ) -> JudgeSearchDocument:
        """Sum up; not as the result of the campaign's own search."""
        found = search_document(target, islands, self.n_best, engine)
        steps = sum(island.relaxation_steps for island in islands)
        return JudgeSearchDocument(**dict(found), relaxation_steps=steps)


@dataclass
class JudgeMaker(Maker):
    """
    Compare a potential with the reference engine on crystals that it has not been trained on.

    They are known phases, random crystals, and what a search by the reference engine meets, all
    relaxed by the reference engine. A relaxation has an id that follows from what is relaxed, so
    that a test with more of them computes only these.

    Parameters
    ----------
    generations : int
        Of the search by the reference engine; 0 for none.
    n_random : int
        Random crystals.
    window : float
        Structures of the search that lie higher above its best are left out, eV/atom.
    limits : RelaxationLimits
        Where a relaxation by the reference engine ends.
    search : JudgeSearchMaker
        Its generations are the above.
    relaxer : Relaxer
        Of the relaxations by the potential.
    """

    name: str = "judge"
    generations: int = field(
        default=10, metadata={"range": (0, 100_000), "help": "of the search by the engine"}
    )
    n_random: int = field(default=20, metadata={"range": (0, 10_000), "help": "random crystals"})
    window: float = field(
        default=0.5,
        metadata={
            "range": (0.001, 100.0), "unit": "eV/atom",
            "help": "structures of the search that are higher are left out",
        },
    )  # fmt: skip
    limits: RelaxationLimits = field(
        default_factory=lambda: RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=500),
        metadata={"inline": True},
    )
    search: JudgeSearchMaker = field(default_factory=JudgeSearchMaker)
    relaxer: Relaxer = field(
        default_factory=lambda: Relaxer(
            limits=RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=1000),
            energy_window=None,
            tight_window=None,
        )
    )

    def make(
        self,
        training: str | OutputReference,
        sample: str | OutputReference,
        target: Target,
        engine: Engine,
        seed: int,
        known: dict[str, Structure] | None = None,
        earlier: Sequence[str] = (),
    ) -> Job:
        """
        Judge.

        Parameters
        ----------
        training : str or OutputReference
            Job that trained the potential, or its output.
        sample : str or OutputReference
            Job that has the training set, or its output.
        target : Target
            Composition, and formula units of the random crystals and of the search.
        engine : Engine
            Reference engine.
        seed : int
            Of random crystals and search.
        known : dict of str to Structure, or None
            Known phases by their labels.
        earlier : sequence of str
            Jobs that trained potentials of earlier rounds, to be compared with.

        Returns
        -------
        Job
            Its output is a :class:`JudgeDocument`.

        Raises
        ------
        ValueError
            If there is nothing to judge by.
        """
        if not (known or self.n_random or self.generations):
            raise ValueError("nothing to judge by: no known phase, random crystal or generation")
        uuids = [
            source if isinstance(source, str) else source.uuid for source in (training, sample)
        ]
        after = [source for source in (training, sample) if not isinstance(source, str)]
        work = self.begin(
            *uuids, target, engine, seed, known or {}, list(earlier), **_waiting(after)
        )
        work.name = "judge"
        return tag(work, STAGES["judge"])

    def follow(self, context: ChainContext) -> Job:
        """Judge the potential of the campaign by random crystals and a search."""
        outputs = context.outputs
        return self.make(
            outputs["train"], outputs["sample"], context.target, context.reference, context.seed
        )

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: of the search, of relaxations to the end, and of what looks at them."""
        costs = [decisions("judge", 4)]
        number = self.n_random
        if self.generations:
            generations, structures = expected_extent(self._evolution(), context.target)
            steps = self.search.limits.max_steps
            costs += [
                context.relaxations("judge", REFERENCE_QUEUE, structures, steps),
                repeated_decisions("judge", generations),
            ]
            number += min(self.search.n_best, structures)
        steps = self.limits.max_steps
        return [*costs, context.relaxations("judge", REFERENCE_QUEUE, number, steps)]

    def _evolution(self) -> EvolutionOptions:
        return replace(self.search.evolution, generations=self.generations)

    @job
    def begin(
        self,
        training: str,
        sample: str,
        target: Target,
        engine: Engine,
        seed: int,
        known: dict[str, Structure],
        earlier: list[str],
        after: Sequence[Any] = (),  # noqa: ARG002 (waited for, and fetched by its job)
    ) -> Response:
        """Relax known phases and random crystals, and start the search."""
        tests = {(KNOWN, label): structure for label, structure in known.items()}
        tests |= {
            (RANDOM, f"random {number}"): to_structure(atoms)
            for number, atoms in enumerate(random_crystals(target, self.n_random, seed), start=1)
        }
        runs = Relaxations(engine, self._limits_at(target.pressure))
        listed = [(*key, *runs.add(structure)) for key, structure in tests.items()]
        jobs: list[Job | Flow] = [*runs.jobs.values()]
        found = None
        if self.generations:
            search = self._search(target, engine, seed)
            jobs.append(search)
            found = search.output
        collect = self.collect(
            [training, *earlier], sample, target, engine, listed, found, after=runs.outputs
        )  # fmt: skip
        collect.name = "collect"
        # what failed for good leaves a gap
        collect.config.on_missing_references = OnMissing.NONE
        flow = Flow([*jobs, tag(collect, STAGES["judge"])], output=collect.output)
        return Response(replace=spawn(flow, fixed={work.uuid for work in jobs}))

    def _limits_at(self, pressure: float) -> RelaxationLimits:
        """Limits of relaxations by the engine at a pressure in kbar."""
        return replace(self.limits, pressure=pressure)

    def _search(self, target: Target, engine: Engine, seed: int) -> Job:
        """Make the search; its id does not depend on its length, so that a longer one goes on."""
        maker = replace(self.search, evolution=self._evolution())
        volume = estimate_volume(target.composition, target.pressure)
        work = maker.make(target, engine, derive_seed(seed, "judge"), volume)
        endless = replace(maker, evolution=replace(maker.evolution, generations=1), n_best=1)
        work.set_uuid(job_id("search", endless, target, engine, seed))
        return work

    @job(config=JobConfig(on_missing_references=OnMissing.NONE))
    def collect(
        self,
        trainings: list[str],
        sample: str,
        target: Target,
        engine: Engine,
        tests: list[tuple[str, str, str, str | None]],
        found: JudgeSearchDocument | None,
        after: Sequence[Any] = (),  # noqa: ARG002
    ) -> Response:
        """Relax what the search found to the limits of the test, and compare."""
        runs = Relaxations(engine, self._limits_at(target.pressure))
        listed = [tuple(test) for test in tests]
        candidates = found.candidates if found is not None else []
        for number, candidate in enumerate(candidates, start=1):
            if candidate.enthalpy <= candidates[0].enthalpy + self.window:
                listed.append((SEARCH, f"search {number}", *runs.add(candidate.structure)))
        steps = found.relaxation_steps if found is not None else 0
        judge = self.judge(
            trainings, sample, target, engine.name, listed, steps, after=runs.outputs
        )  # fmt: skip
        judge.name = "compare"
        judge.config.on_missing_references = OnMissing.NONE
        jobs = list(runs.jobs.values())
        flow = Flow([*jobs, tag(judge, STAGES["judge"])], output=judge.output)
        return Response(replace=spawn(flow, fixed={work.uuid for work in jobs}))

    @job(data=[Frames], config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    @once
    def judge(
        self,
        trainings: list[str],
        sample: str,
        target: Target,
        engine: str,
        tests: list[tuple[str, str, str, str | None]],
        search_steps: int,
        after: Sequence[Any] = (),  # noqa: ARG002
    ) -> JudgeDocument:
        """
        Compare the potential with the reference engine.

        Parameters
        ----------
        trainings : list of str
            Job of the potential, and those of earlier ones.
        sample : str
            Job of the training set.
        target : Target
            What was looked for.
        engine : str
            Name of the reference engine.
        tests : list of tuple
            Origin, label, job of the relaxation, and of the energy to compare if that is another.
        search_steps : int
            Steps of relaxations in the search.
        after : sequence
            What is waited for.
        """
        potential, frames = output_of(trainings[0]).potential, output_of(sample).frames
        crystals, failures, steps = _read(tests)
        if not crystals:
            raise ValueError(f"no crystal could be relaxed by {engine}: {'; '.join(failures)}")
        pressure = target.pressure
        crystals = distinct_crystals(crystals, pressure)
        test_set = labelled(crystals)
        limits = replace(self.relaxer.limits, pressure=pressure)
        relaxer = replace(self.relaxer, limits=limits)
        found = compare(potential, frames, test_set, relaxer, usable_cores())
        unit = sum(target.counts.values())
        points = describe(crystals, in_training(crystals, frames), found, unit, pressure)
        tested = [point for point in points if not point.in_training]
        kept = [point.stays for point in tested if point.stays is not None]
        report_progress("judge", 1, 1, structures=len(tested))
        return JudgeDocument(
            formula=target.formula,
            engine=engine,
            pressure=pressure,
            training_job=trainings[0],
            n_tested=len(tested),
            n_in_training=len(points) - len(tested),
            points=points,
            single_points=errors_of(tested, relaxed=False),
            relaxed=errors_of(tested, relaxed=True),
            earlier=[
                by_earlier(job_, output_of(job_).potential, points, test_set, pressure)
                for job_ in trainings[1:]
            ],
            lowest=lowest_of(points),
            stays=float(np.mean(kept)) if kept else None,
            coverage=coverage_by_origin(points, found.coverage, potential.elements),
            reference_evaluations={**steps, "search to its limits": search_steps},
            potential_seconds=found.seconds,
            failures=failures,
            frames=test_set,
            warning=None if tested else "training has seen all crystals that it was judged by",
        )


def _read(
    tests: Sequence[Sequence[Any]],
) -> tuple[list[TestCrystal], list[str], dict[str, int]]:
    """Relaxed crystals, what failed, and the steps taken, by origin."""
    crystals, failures = [], []
    steps = {KNOWN: 0, RANDOM: 0, SEARCH: 0}
    for origin, label, relaxation, labels in tests:
        relaxed: RelaxDocument | None = _output(relaxation)
        if relaxed is None or relaxed.energy is None:
            failures.append(f"{label}: {relaxed.failure if relaxed else 'its job failed'}")
            continue
        steps[origin] += relaxed.steps + 1
        energy = relaxed.energy
        if labels is not None:
            again: LabelDocument | None = _output(labels)
            if again is None or not again.n_labelled:
                failures.append(f"{label}: no energy at the cutoff of the melt")
                continue
            energy = float(again.frames.energies[0] / again.frames.counts[0])
        if not relaxed.converged:
            failures.append(f"{label}: not relaxed within the steps allowed")
        crystals.append(TestCrystal(label, origin, to_atoms(relaxed.structure), energy))
    return crystals, failures, steps


def _output(uuid_: str) -> Any:
    """Output of a job; none if it has none."""
    try:
        return output_of(uuid_)
    except ValueError:
        return None


def _waiting(after: Sequence[Any]) -> dict[str, Any]:
    return {"after": list(after)} if after else {}
