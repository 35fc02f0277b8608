"""The evolutionary search on the neural network potential, in blocks of generations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import ClassVar

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, OutputReference, Response, job
from pymatgen.core import Structure

from nnp.potential import Potential
from search.composition_space import CompositionSpace
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.pressure import compressed
from search.relax.processes import cpu_seconds
from search.relax.relaxer import Relaxer
from search.relax.trust import Trust
from search.run.driver import SearchFigures, run_generations
from search.run.islands import exchange, set_up_islands
from search.state.above_hull import AboveHull
from search.state.changes import StateChanges
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from workflows.composition import Target
from workflows.conversion import to_atoms
from workflows.documents.search import POTENTIAL, IslandDocument
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.cores import share_of_cores
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, decisions, repeated_decisions
from workflows.stages.search_documents import search_document
from workflows.stages.search_extent import expected_extent, searched
from workflows.stages.search_series import search_at_each
from workflows.stages.search_states import (
    drop_earlier_states,
    state_document,
    state_of,
    stored_state,
)
from workflows.stages.table import STAGES

#: For estimates: core seconds of a relaxation on the potential.
RELAXATION_SECONDS = 1.0


@dataclass
class SearchMaker(Maker):
    """
    Evolve crystal structures on the potential and collect the best.

    A job runs a block of generations on one island, since one relaxation is far too short to be
    a job; after each round of blocks a short job looks at all islands and starts the next round,
    until they are finished. The state of an island stays in the job store, where the next block
    fetches it by the job that left it: no document grows with the length of the search.

    Parameters
    ----------
    evolution : EvolutionOptions
        How the search varies, selects and ends. Formula units, volume and shortest distances
        come from the target and the glass.
    relaxer : Relaxer
        How structures are relaxed.
    islands : int
        Populations side by side, each with its own seed.
    block : int
        Generations in one job.
    migrants : int
        Best structures that an island gets from each of the others between two blocks.
    threads : int or None
        Threads of one block; none: the cores of its SLURM job, or those of the machine divided by
        the islands.
    distance_factor : float
        Bonds may be this much shorter than the shortest ones of the trajectory.
    n_best : int
        Distinct structures that are reported, relaxed to the tight limits.
    trust : Trust
        How far energies are trusted that have an uncertainty: of an ensemble.
    fitness : Fitness
        What makes one structure better than another, but for the trust and the pressure.
    """

    #: Numbers that each block reads anew, so that a search can go on with others.
    CHANGEABLE: ClassVar[tuple[str, ...]] = (
        "evolution.generations", "block", "migrants", "threads", "n_best",
    )  # fmt: skip

    name: str = "search"
    evolution: EvolutionOptions = field(default_factory=lambda: EvolutionOptions(generations=120))
    relaxer: Relaxer = field(default_factory=Relaxer)
    islands: int = field(
        default=1, metadata={"range": (1, 1000), "help": "populations side by side"}
    )
    block: int = field(
        default=10, metadata={"range": (1, 100_000), "unit": "generations", "help": "in one job"}
    )
    migrants: int = field(
        default=3,
        metadata={
            "range": (0, 1000),
            "help": "best structures each island gets from each other one",
        },
    )
    threads: int | None = field(
        default=None,
        metadata={
            "range": (1, 1024),
            "help": "of one block; none: the cores divided by the islands",
        },
    )
    distance_factor: float = field(
        default=0.9,
        metadata={"range": (0.1, 1.5), "help": "bonds against the shortest ones of the trajectory"},
    )
    n_best: int = field(
        default=40, metadata={"range": (1, 10_000), "help": "distinct structures reported"}
    )
    trust: Trust = field(default_factory=Trust, metadata={"inline": True})
    fitness: Fitness = field(default_factory=Fitness, metadata={"hidden": True})

    def make(
        self,
        potential: Potential | OutputReference,
        target: Target,
        volume_per_atom: float | OutputReference,
        shortest_distances: dict[str, float] | OutputReference,
        seed: int,
        seeds: Sequence[Structure | OutputReference] | OutputReference | None = None,
        volume_pressure: float | None = None,
    ) -> Job:
        """
        Search.

        Parameters
        ----------
        potential : Potential or OutputReference
            Gives the energies.
        target : Target
            Composition and formula units.
        volume_per_atom : float or OutputReference
            Å³, of the glass: where the search starts.
        shortest_distances : dict of str to float, or OutputReference
            Å by pair of elements, of the trajectory.
        seed : int
            Seed of the campaign.
        seeds : list of Structure, OutputReference or None
            To begin with, dealt out to the islands; of any number of formula units. A list may
            hold references, too; one whose job failed is left out.
        volume_pressure : float or None
            At which the glass had that volume, kbar; none: at that of the target.

        Returns
        -------
        Job
            Its output is a :class:`SearchDocument`.
        """
        by_id = potential.uuid if isinstance(potential, OutputReference) else potential
        start = self.start(
            by_id, target, volume_per_atom, shortest_distances, seed, after=potential, seeds=seeds,
            **({} if volume_pressure is None else {"volume_pressure": volume_pressure}),
        )  # fmt: skip
        start.name = "search"
        start.config.on_missing_references = OnMissing.NONE  # of the structures to begin with
        return tag(start, STAGES["search"])

    def follow(self, context: ChainContext) -> Job | Flow:
        """Search on the potential that was trained, from the volume and distances of the glass."""
        sample = context.outputs["sample"]
        simple = context.outputs.get("simple_crystals")
        return self.at_each(
            context.outputs["train"].potential,
            context.target,
            sample,
            context.seed,
            None if simple is None else simple.structures,
        )

    def at_each(
        self,
        potential: OutputReference,
        target: Target,
        sample: OutputReference,
        seed: int,
        seeds: Sequence[Structure | OutputReference] | OutputReference | None = None,
    ) -> Job | Flow:
        """
        Search at each pressure of a target, as :meth:`make` does at one.

        Parameters
        ----------
        potential : OutputReference
            Gives the energies.
        target : Target
            At one pressure, or at several.
        sample : OutputReference
            Of the training set, whose glass is at the highest pressure.
        seed : int
            Seed of the campaign.
        seeds : list of Structure, OutputReference or None
            To begin with, at every pressure.
        """
        return search_at_each(
            target,
            lambda one: self.make(
                potential,
                one,
                volume_per_atom=sample.volume_per_atom,
                shortest_distances=sample.shortest_distances,
                seed=derive_seed(seed, "pressure", one.pressure) if one.pressures else seed,
                seeds=seeds,
                volume_pressure=one.pressures[-1] if one.pressures else None,
            ),
        )

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: rounds of a block for each island, and a job that looks at them."""
        generations, structures = expected_extent(self.evolution, context.target, self.islands)
        rounds = math.ceil(generations / self.block)
        hours = structures * RELAXATION_SECONDS / context.cores / 3600
        times = len(context.target.all_pressures)
        return [
            Cost("search", POTENTIAL_QUEUE, times * rounds * self.islands, 0, times * hours),
            *[repeated_decisions("search", rounds)] * times,
            *([decisions("search", 1)] if times > 1 else []),
        ]

    def hand_on(self, context: CostContext) -> CostContext:
        """Say how many crystals the later stages get."""
        return replace(context, n_crystals=self.n_best)

    @job
    def start(
        self,
        potential: Potential | str,
        target: Target,
        volume_per_atom: float,
        shortest_distances: dict[str, float],
        seed: int,
        after: Potential,  # noqa: ARG002 (the search waits for it, and fetches it by its job)
        seeds: list[Structure | None] | None = None,
        volume_pressure: float | None = None,
    ) -> Response:
        """Set up the islands and start their first blocks."""
        if volume_pressure is not None:
            volume_per_atom *= compressed(1.0, target.pressure) / compressed(1.0, volume_pressure)
        composition, evolution = searched(target, self.evolution)
        fitness = self.fitness
        if isinstance(composition, CompositionSpace):
            fitness = AboveHull.of_space(composition)
        options = replace(
            evolution,
            volume_per_atom=self.evolution.volume_per_atom or volume_per_atom,
            shortest_distances=self.distance_limits(target, shortest_distances),
        )
        states = set_up_islands(
            composition,
            options,
            [derive_seed(seed, "search", island) for island in range(self.islands)],
            [to_atoms(structure) for structure in seeds or [] if structure is not None],
            replace(fitness.trusting(self.trust), pressure=target.pressure),
        )
        return self._next_round(potential, target, list(states), [None] * self.islands)

    def distance_limits(self, target: Target, shortest: dict[str, float]) -> dict[str, float]:
        """Shortest distances allowed (Å): of the trajectory, or of radii where no pair met."""
        elements = sorted(target.elements)
        radii = DistanceLimits.from_radii(elements, 1.0).as_dict()
        return {
            pair: self.distance_factor * min(shortest.get(pair, distance), 4.0)
            for pair, distance in radii.items()
        }

    def _next_round(
        self,
        potential: Potential | str,
        target: Target,
        states: list[Evolution | None],
        previous: list[str | None],
    ) -> Response:
        """One block for every island, and the job that looks at them afterwards."""
        blocks = []
        for island in range(self.islands):
            others = [uuid for number, uuid in enumerate(previous) if uuid and number != island]
            block = self.evolve(potential, states[island], previous[island], others)
            block.name = f"search island {island + 1}" if self.islands > 1 else "search block"
            blocks.append(tag(block, STAGES["search"]))
        ahead = self.advance(
            potential, target, [block.output for block in blocks], [block.uuid for block in blocks]
        )
        ahead.name = "search round"
        flow = Flow([*blocks, tag(ahead, STAGES["search"])], output=ahead.output)
        return Response(replace=spawn(flow))

    @job(data=[Evolution, StateChanges], config=JobConfig(expose_store=True))
    @once
    def evolve(
        self,
        potential: Potential | str,
        evolution: Evolution | None,
        previous: str | None,
        others: list[str],
    ) -> IslandDocument:
        """
        Run one block of generations.

        Parameters
        ----------
        potential : Potential or str
            Gives the energies; or the job that trained it.
        evolution : Evolution or None
            State to start from, in the first block.
        previous : str or None
            Job whose output holds the state, in later blocks.
        others : list of str
            Jobs whose outputs hold the states of the other islands.
        """
        document: IslandDocument | None = output_of(previous) if previous else None
        earlier = None if document is None else state_document(document)
        state = evolution if document is None else document.evolution
        if earlier is not None and state is None:
            state = Evolution.from_dict(deepcopy(earlier))
        if state is None:
            raise ValueError("a block of the search needs a state to start from")
        state.options.generations = self.evolution.generations
        exchange(state, [state_of(output_of(uuid)).best(self.migrants) for uuid in others])
        started = cpu_seconds()
        with checkpoint() as path:
            state = run_generations(
                state,
                self.relaxer,
                output_of(potential).potential if isinstance(potential, str) else potential,
                state.generation + self.block,
                threads=self.threads or share_of_cores(self.islands),
                progress=lambda figures: _report(figures, state),
                checkpoint=path,
                n_best=self.n_best,
            )
        seconds = cpu_seconds() - started
        seconds += document.cpu_seconds if document is not None else 0.0
        return stored_state(state, seconds, previous, document, earlier)

    @job(config=JobConfig(expose_store=True))
    def advance(
        self,
        potential: Potential | str,
        target: Target,
        islands: list[IslandDocument],
        blocks: list[str],
    ) -> Response:
        """Start the next round, or sum up if every island is finished."""
        states = self._finished(islands)
        if states is None:
            return self._next_round(potential, target, [None] * len(islands), list(blocks))
        ended = [
            island.model_copy(update={"evolution": state})
            for island, state in zip(islands, states, strict=True)
        ]
        found = search_document(target, ended, self.n_best, POTENTIAL)
        drop_earlier_states(blocks)
        return Response(output=found)

    def _finished(self, islands: list[IslandDocument]) -> list[Evolution] | None:
        """Return the states of islands, if all are finished."""
        limit = self.evolution.generations
        if any(not island.finished and island.generation < limit for island in islands):
            return None  # without the states, which take seconds to read
        states = [state_of(island) for island in islands]
        for state in states:
            state.options.generations = limit
        return states if all(state.finished for state in states) else None


def _report(figures: SearchFigures, state: Evolution) -> None:
    what = "formation" if state.is_of_system else "best"
    best = {f"{what}_eV_atom": figures.best_energy} if math.isfinite(figures.best_energy) else {}
    report_progress(
        "search",
        figures.generation,
        state.options.generations,
        **best,
        structures=figures.structures,
        structures_per_s=figures.structures_per_second,
    )
