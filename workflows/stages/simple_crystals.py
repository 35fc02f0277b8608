"""Simple crystals of the ends of a chemical system, relaxed by the reference engine itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jobflow import Flow, Job, JobConfig, Maker, OnMissing, Response, job
from pymatgen.core import Composition

from nnp.frames import Frames
from search.create.simple_crystals import simple_crystals
from search.relax.limits import RelaxationLimits
from search.symmetry import find_space_group
from workflows.conversion import to_atoms, to_structure
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.simple_crystals import SimpleCrystal, SimpleCrystalsDocument
from workflows.engines.base import Engine
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.table import STAGES
from workflows.system import SystemTarget

#: By what they were found.
SIMPLE = "simple crystal"
#: Stage of their frames, as of other relaxations.
RELAXATION = "relaxation"
#: Steps that a relaxation is expected to take: 5 on average for elements by CHGNet.
EXPECTED_STEPS = 5


@dataclass
class SimpleCrystalsMaker(Maker):
    """
    Let the reference engine try the simplest crystals of the ends, before there is a potential.

    The ends of a system decide its whole hull, and what a potential has learnt from melts may be
    far off for crystals that no melt resembles: those of elements whose melts are dense and whose
    crystals are open. A few crystals in cells of few atoms cost little, show whether there are
    such, and are labels for the first potential and structures for the first search.

    Parameters
    ----------
    crystals : int
        Of each end; 0: none.
    crystal_atoms : int
        Of their cells at the most; one formula unit of a block is always allowed.
    crystal_steps : int
        Of each relaxation at the most.
    """

    name: str = "simple crystals"
    crystals: int = field(
        default=24,
        metadata={
            "range": (0, 1000),
            "help": "of each end of a system, of least free parameters, relaxed by the reference",
        },
    )
    crystal_atoms: int = field(
        default=4, metadata={"range": (1, 100), "help": "of their cells at the most"}
    )
    crystal_steps: int = field(
        default=12,
        metadata={"range": (1, 1000), "unit": "steps", "help": "of each of them at the most"},
    )

    def make(self, target: SystemTarget, engine: Engine, seed: int) -> Job:
        """
        Relax.

        Parameters
        ----------
        target : SystemTarget
            The system.
        engine : Engine
            Reference engine.
        seed : int
            Of the campaign.

        Returns
        -------
        Job
            Its output is a :class:`SimpleCrystalsDocument`.
        """
        work = self.begin(target, engine, seed)
        work.name = self.name
        return tag(work, STAGES["simple_crystals"])

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: a short relaxation of a small cell for each crystal."""
        if not self.crystals or not isinstance(context.target, SystemTarget):
            return []
        number = self.crystals * len(context.target.block_formulas)
        steps = number * min(EXPECTED_STEPS, self.crystal_steps)
        hours = steps * context.step_hours(context.reference, self.crystal_atoms)
        return [
            Cost("simple_crystals", REFERENCE_QUEUE, number, steps, hours),
            repeated_decisions("simple_crystals", 1),
        ]

    def contents(self, formula: str) -> list[dict[str, int]]:
        """
        Atoms of the cells that are tried.

        Parameters
        ----------
        formula : str
            Of an end.
        """
        unit = {
            str(symbol): round(n) for symbol, n in Composition(formula).get_el_amt_dict().items()
        }
        most = max(1, self.crystal_atoms // sum(unit.values()))
        return [{symbol: z * n for symbol, n in unit.items()} for z in range(1, most + 1)]

    @job
    def begin(self, target: SystemTarget, engine: Engine, seed: int) -> Response:
        """Make the crystals, and a job that relaxes each of them."""
        limits = RelaxationLimits(max_steps=self.crystal_steps, pressure=target.all_pressures[0])
        maker = engine.relax(limits)
        relaxations: list[Job] = []
        parameters = []
        for formula in target.block_formulas:
            rng = np.random.default_rng(derive_seed(seed, "simple crystals", formula))
            found = simple_crystals(self.contents(formula), self.crystals, rng)
            for number, atoms in enumerate(found, start=1):
                work = maker.make(to_structure(atoms), RELAXATION)
                name = f"relax simple crystal {number}: {formula}"
                stage = STAGES["simple_crystals"]
                relaxations.append(tag(work, stage, REFERENCE_QUEUE, name=name))
                parameters.append(int(atoms.info["free_parameters"]))
        collect = self.collect(
            target, [work.output for work in relaxations], parameters,
            [work.uuid for work in relaxations],
        )  # fmt: skip
        # one that failed for good is one crystal less
        collect.config.on_missing_references = OnMissing.NONE
        tag(collect, STAGES["simple_crystals"], name="simple crystals")
        return Response(replace=spawn(Flow([*relaxations, collect], output=collect.output)))

    @job(data=[Frames], config=JobConfig(on_missing_references=OnMissing.NONE))
    @once
    def collect(
        self,
        target: SystemTarget,
        relaxed: list[RelaxDocument | None],
        parameters: list[int],
        jobs: list[str],
    ) -> SimpleCrystalsDocument:
        """
        Put together what came out.

        Parameters
        ----------
        target : SystemTarget
            The system.
        relaxed : list of RelaxDocument or None
            None where the job failed.
        parameters : list of int
            Free parameters of each crystal.
        jobs : list of str
            That relaxed them.
        """
        crystals, failures, frames = [], [], []
        for result, free, work in zip(relaxed, parameters, jobs, strict=True):
            if result is None or result.energy is None:
                failures.append("its job failed" if result is None else str(result.failure))
                continue
            crystals.append(
                SimpleCrystal(
                    formula=target.formula_of(result.structure),
                    structure=result.structure,
                    pressure=result.pressure,
                    energy=result.energy,
                    space_group=find_space_group(to_atoms(result.structure)).symbol,
                    free_parameters=free,
                    converged=result.converged,
                    job=work,
                )
            )
            if result.frames is not None:
                frames.append(result.frames)
        order = list(target.block_formulas)
        crystals.sort(key=lambda one: (order.index(one.formula), one.enthalpy))
        report_progress("simple_crystals", 1, 1, crystals=len(crystals))
        return SimpleCrystalsDocument(
            crystals=crystals,
            evaluations=sum(1 if one is None else one.steps + 1 for one in relaxed),
            failures=failures,
            frames=Frames.concatenate(frames),
            warning=_warning(target, crystals),
        )


def _warning(target: SystemTarget, crystals: list[SimpleCrystal]) -> str | None:
    """Say of which end there is nothing."""
    there = {one.formula for one in crystals}
    missing = [formula for formula in target.block_formulas if formula not in there]
    if not missing:
        return None
    return (
        f"the reference engine relaxed no simple crystal of {', '.join(missing)}: the reference "
        "there rests on melts and search alone"
    )
