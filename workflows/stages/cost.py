"""What stages are expected to cost, before a campaign has begun: orders of magnitude."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workflows.engines.names import base_name
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.stages.packing import estimate_volume

if TYPE_CHECKING:
    from workflows.composition import Target
    from workflows.engines.base import Engine

#: Atoms that an engine's seconds per step are of.
USUAL_ATOMS = 100
#: Steps that the relaxation of a crystal is expected to take, from a minimum of the potential: 19
#: and 20 on average for the candidates of Mg2SiO4 and LiAlCl4 by CHGNet.
RELAXATION_STEPS = 25
#: Seconds of a job that only looks at what others computed, or starts them.
DECISION_SECONDS = 1.0


@dataclass(frozen=True)
class Cost:
    """
    Expected cost of one stage in one queue.

    Attributes
    ----------
    stage : str
        Its name.
    queue : str
        Whose nodes it uses.
    fireworks : int
        Jobs, those that pass on the outputs of spawned jobs among them.
    reference_evaluations : int
        Energies and forces by the reference engine: steps of dynamics and of relaxations, labels.
    node_hours : float
        Time that the jobs take.
    """

    stage: str
    queue: str
    fireworks: int
    reference_evaluations: int = 0
    node_hours: float = 0.0


@dataclass(frozen=True)
class CostContext:
    """
    What the cost of a stage depends on besides its own numbers.

    Attributes
    ----------
    target : Target
        What is looked for.
    reference : Engine
        Reference engine.
    n_atoms : int
        Atoms of the melt.
    cores : int
        Of a node of the potential's queue.
    seconds_per_step : Mapping
        Wall seconds of a step of 100 atoms on one node by the names of engines, where somebody
        has measured them; else the engines' own guesses.
    n_melts : int
        At several compositions or pressures.
    n_frames : int
        Frames of the training set.
    n_crystals : int
        Structures that the stage before leaves.
    makers : Mapping
        By stage, for a stage that makes others run again.
    """

    target: Target
    reference: Engine
    n_atoms: int = USUAL_ATOMS
    cores: int = 64
    seconds_per_step: Mapping[str, float] = field(default_factory=dict)
    n_melts: int = 1
    n_frames: int = 0
    n_crystals: int = 0
    makers: Mapping[str, Any] = field(default_factory=dict)

    def step_hours(self, engine: Engine, n_atoms: int) -> float:
        """
        Node-hours of one evaluation.

        Parameters
        ----------
        engine : Engine
        n_atoms : int
        """
        measured = self.seconds_per_step.get(base_name(engine.name), engine.seconds_per_step)
        seconds = self.seconds_per_step.get(engine.name, measured)
        return float(seconds * (n_atoms / USUAL_ATOMS) ** engine.size_exponent / 3600)

    def relaxations(self, stage: str, queue: str, number: int, max_steps: int) -> Cost:
        """
        Cost of relaxing crystals by the reference engine, each in a job.

        Parameters
        ----------
        stage, queue : str
        number : int
            Crystals, as many of each number of formula units.
        max_steps : int
            Steps allowed.
        """
        steps = min(RELAXATION_STEPS, max_steps)
        volume = estimate_volume(self.target.composition)
        hours = [
            self.step_hours(self.reference, n) * self.reference.crystal_k_points(n * volume)
            for n in self.target.cell_sizes
        ]
        return Cost(stage, queue, number, number * steps, number * steps * sum(hours) / len(hours))


def decisions(stage: str, number: int) -> Cost:
    """
    Cost of jobs that only look at what others computed, start them, or pass on outputs.

    Parameters
    ----------
    stage : str
    number : int
    """
    return Cost(stage, POTENTIAL_QUEUE, number, 0, number * DECISION_SECONDS / 3600)


def repeated_decisions(stage: str, rounds: int) -> Cost:
    """
    Cost of the decisions around rounds of spawned jobs: one before each, one after the last.

    Parameters
    ----------
    stage : str
    rounds : int
        Each is spawned by a job whose place is then taken by one that passes on the output.
    """
    return decisions(stage, 2 * rounds + 1)


def add_up(costs: Iterable[Cost]) -> list[Cost]:
    """
    Join the costs of each stage and queue.

    Parameters
    ----------
    costs : iterable of Cost

    Returns
    -------
    list of Cost
        One for each stage and queue, in the order in which they first occur.
    """
    totals: dict[tuple[str, str], Cost] = {}
    for cost in costs:
        key = cost.stage, cost.queue
        before = totals.get(key, Cost(cost.stage, cost.queue, 0))
        totals[key] = Cost(
            cost.stage,
            cost.queue,
            before.fireworks + cost.fireworks,
            before.reference_evaluations + cost.reference_evaluations,
            before.node_hours + cost.node_hours,
        )
    return list(totals.values())
