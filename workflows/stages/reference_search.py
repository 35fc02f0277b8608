"""The evolutionary search at the reference level: each relaxation a job of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from jobflow import CURRENT_JOB, Flow, Job, JobConfig, Maker, OnMissing, Response, job

from search.candidate import Candidate
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxed import CONVERGED, OUT_OF_STEPS, Relaxed
from search.run.islands import set_up_islands
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from workflows.composition import Target
from workflows.conversion import to_atoms, to_structure
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import IslandDocument, SearchDocument
from workflows.engines.base import Engine
from workflows.jobs.idempotency import spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.search_documents import island_document, search_document
from workflows.stages.search_extent import expected_extent
from workflows.stages.search_states import state_of
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference


@dataclass
class ReferenceSearchMaker(Maker):
    """
    Evolve crystal structures on the reference engine and collect the best.

    A job makes the structures of a generation, one job relaxes each of them, and the next one
    takes in what came out and makes the next generation. The search itself is the one that runs
    on a potential; its state stays in the job store, where the next generation fetches it. This
    is what the paper compares its potentials with, and where its structures for judging them
    come from.

    Parameters
    ----------
    evolution : EvolutionOptions
        How the search varies, selects and ends.
    limits : RelaxationLimits
        Where a relaxation stops.
    n_best : int
        Distinct structures that are reported.
    fitness : Fitness
        What makes one structure better than another, but for the pressure.
    """

    #: Numbers that each generation reads anew, so that a search can go on with others.
    CHANGEABLE: ClassVar[tuple[str, ...]] = ("evolution.generations", "n_best")

    name: str = "reference search"
    evolution: EvolutionOptions = field(default_factory=lambda: EvolutionOptions(generations=20))
    limits: RelaxationLimits = field(default_factory=RelaxationLimits, metadata={"inline": True})
    n_best: int = field(
        default=40, metadata={"range": (1, 10_000), "help": "distinct structures reported"}
    )
    fitness: Fitness = field(default_factory=Fitness, metadata={"hidden": True})

    #: Whose jobs they are.
    stage: ClassVar[str] = "search"

    def make(
        self,
        target: Target,
        engine: Engine,
        seed: int,
        volume_per_atom: float | OutputReference | None = None,
    ) -> Job:
        """
        Search.

        Parameters
        ----------
        target : Target
            Composition and formula units.
        engine : Engine
            Reference engine.
        seed : int
            Seed of the campaign.
        volume_per_atom : float, OutputReference or None
            Å³, where the search starts; none: estimated from the elements.

        Returns
        -------
        Job
            Its output is a :class:`SearchDocument`, its energies those of the engine.
        """
        start = self.start(target, engine, derive_seed(seed, "reference search"), volume_per_atom)
        start.name = self.name
        return tag(start, STAGES[self.stage])

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: the relaxations of each generation, and a job that makes the next one."""
        generations, structures = expected_extent(self.evolution, context.target)
        return [
            context.relaxations("search", REFERENCE_QUEUE, structures, self.limits.max_steps),
            repeated_decisions("search", generations),
        ]

    def hand_on(self, context: CostContext) -> CostContext:
        """Say how many crystals the later stages get."""
        return replace(context, n_crystals=self.n_best)

    @job(data=[Evolution])
    def start(
        self, target: Target, engine: Engine, seed: int, volume_per_atom: float | None
    ) -> Response:
        """Set up the search and make its first generation."""
        options = replace(
            self.evolution,
            formula_units=target.formula_units,
            volume_per_atom=self.evolution.volume_per_atom or volume_per_atom,
        )
        fitness = replace(self.fitness, pressure=target.pressure)
        (state,) = set_up_islands(target.counts, options, [seed], fitness=fitness)
        return self._next_generation(target, engine, state, 0.0, 0)

    @job(
        data=[Evolution],
        config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE),
    )
    def advance(
        self,
        target: Target,
        engine: Engine,
        previous: tuple[str, int],
        relaxed: list[RelaxDocument | None],
    ) -> Response:
        """
        Take in a generation; then make the next one, or sum up.

        Parameters
        ----------
        target : Target
            What is looked for.
        engine : Engine
            Relaxes the structures.
        previous : tuple of str and int
            Job, and its index, whose output holds the state with the structures asked for.
        relaxed : list of RelaxDocument or None
            What became of them; none where a job failed.
        """
        started = time.process_time()
        document: IslandDocument = output_of(*previous)
        state = state_of(document)
        state.options.generations = self.evolution.generations
        state.tell(
            [
                to_relaxed(candidate, result)
                for candidate, result in zip(state.ask(), relaxed, strict=True)
            ]
        )
        seconds = document.cpu_seconds + time.process_time() - started
        steps = document.relaxation_steps + sum(r.steps + 1 for r in relaxed if r is not None)
        report_progress(
            self.stage, state.generation, state.options.generations,
            best_eV_atom=state.best_energy, structures=state.structures,
        )  # fmt: skip
        if state.finished:
            islands = [island_document(state, seconds, steps)]
            return Response(output=self.document(target, islands, engine.name))
        return self._next_generation(target, engine, state, seconds, steps)

    def document(
        self, target: Target, islands: Sequence[IslandDocument], engine: str
    ) -> SearchDocument:
        """
        Sum up what was found.

        Parameters
        ----------
        target : Target
            What was looked for.
        islands : sequence of IslandDocument
            As they ended.
        engine : str
            Name of the reference engine.
        """
        return search_document(target, islands, self.n_best, engine)

    def _next_generation(
        self, target: Target, engine: Engine, state: Evolution, seconds: float, steps: int
    ) -> Response:
        """Store the state with its new structures, relax these, and go on."""
        started = time.process_time()
        candidates = state.ask()
        limits = replace(self.limits, pressure=target.pressure)
        runs = []
        for candidate in candidates:
            run = engine.relax(limits).make(to_structure(candidate.atoms), self.stage)
            run.name = f"generation {state.generation + 1} structure {candidate.id + 1}"
            runs.append(tag(run, STAGES[self.stage], REFERENCE_QUEUE))
        current = CURRENT_JOB.job
        previous = (current.uuid, current.index) if current is not None else ("", 0)
        following = self.advance(target, engine, previous, [run.output for run in runs])
        following.name = f"generation {state.generation + 1}"
        # a relaxation that failed for good is a structure without energy, not a dead search
        following.config.on_missing_references = OnMissing.NONE
        flow = Flow([*runs, tag(following, STAGES[self.stage])], output=following.output)
        seconds += time.process_time() - started
        return Response(output=island_document(state, seconds, steps), replace=spawn(flow))


def to_relaxed(candidate: Candidate, result: RelaxDocument | None) -> Relaxed:
    """
    Tell the search what became of one of its structures.

    Parameters
    ----------
    candidate : Candidate
        As it was asked for.
    result : RelaxDocument or None
        Relaxation; none if its job failed.
    """
    if result is None or result.energy is None:
        reason = "its job failed" if result is None else "the engine failed"
        return Relaxed(candidate.atoms, float("nan"), f"aborted: {reason}")
    return relaxed_by_engine(result, result.energy)


def relaxed_by_engine(result: RelaxDocument, energy: float) -> Relaxed:
    """
    Describe a relaxation by an engine as one of the search's own.

    Parameters
    ----------
    result : RelaxDocument
        One that did not fail.
    energy : float
        Its energy, eV/atom; the search's own have pressure times volume in it.
    """
    atoms = to_atoms(result.structure)
    atoms.wrap()
    return Relaxed(
        atoms=atoms,
        energy=(energy + result.work) * len(atoms),
        status=CONVERGED if result.converged else OUT_OF_STEPS,
        steps=result.steps,
        max_force=float("nan") if result.max_force is None else result.max_force,
        max_stress=float("nan") if result.max_stress is None else result.max_stress,
    )
