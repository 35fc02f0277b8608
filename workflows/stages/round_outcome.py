"""What a round of learning has brought: structures, and how well the potentials foretold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnp.potential import Potential
from workflows.composition import Target
from workflows.documents.agreement import Agreement
from workflows.documents.improvement import RelaxedStructure, RoundDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.training import TrainingDocument
from workflows.hull import PartialPhaseDiagram, Point
from workflows.jobs.outputs import output_of
from workflows.stages.agreement import Gate, single_points
from workflows.stages.at_pressures import by_pressure, levels, lowest
from workflows.stages.learning_state import LearningState


def take_in(
    state: LearningState,
    relaxed: Sequence[RelaxDocument | None],
    n_labels: int | None,
    gate: Gate,
    by_kind: Mapping[str, int] | None = None,
    target: Target | None = None,
) -> LearningState:
    """
    Add what the engine relaxed, and how well potentials before and after agree with it.

    Parameters
    ----------
    state : LearningState
        With the structures asked for.
    relaxed : sequence of RelaxDocument or None
        What became of them.
    n_labels : int or None
        Structures that the engine was to label; none before the first round.
    gate : Gate
        Says which of them count.
    by_kind : mapping or None
        These structures by what they are; none: before they were counted.
    target : Target or None
        What is looked for, if it is a system.
    """
    if state.searched is None:
        return state
    new = [
        RelaxedStructure(
            structure=document.structure,
            pressure=document.pressure,
            energy=document.energy,
            engine=document.engine,
            converged=document.converged,
            max_force=document.max_force,
            max_stress=document.max_stress,
            steps=document.steps,
            magnetic_moments=document.magnetic_moments,
            job=work,
            found=candidate,
        )
        for document, candidate, work in zip(relaxed, state.asked, state.jobs, strict=True)
        if document is not None and document.energy is not None
    ]
    new = foretold(new, output_of(state.searched).potential)
    everything = [*state.relaxed, *new]
    level = levels(everything)[len(state.relaxed) :]
    figures = RoundDocument(
        number=state.begun,
        potential=state.searched,
        n_labels=n_labels or 0,
        labels_by_kind=dict(by_kind or {}),
        n_relaxed=len(new),
        relaxation_steps=sum(document.steps + 1 for document in relaxed if document is not None),
        failed=len(relaxed) - len(new),
        before=gate.compare(
            [one.enthalpy - zero for one, zero in zip(new, level, strict=True)],
            [
                None if one.single_point is None else one.single_point + one.work - zero
                for one, zero in zip(new, level, strict=True)
            ],
            np.array([one.expected_error for one in new], dtype=float),
        ),
        after=agreement_of(everything, state.potential, gate),
        lowest_energy=_lowest_energy(everything, target),
    )
    return LearningState(
        potential=state.potential,
        sample=state.sample,
        rounds=[*state.rounds, figures],
        relaxed=everything,
    )


def _lowest_energy(relaxed: Sequence[RelaxedStructure], target: Target | None) -> float | None:
    """Lowest enthalpy, eV/atom; of several pressures the mean, of a system its middle's hull."""
    if target is None or not target.is_system:
        at_best = list(lowest(relaxed).values())
        return sum(at_best) / len(at_best) if at_best else None
    hulls = [
        PartialPhaseDiagram(
            [Point(one.structure.composition.reduced_formula, one.enthalpy) for one in group]
        )
        for group in by_pressure(relaxed).values()
    ]
    middle = [hull.energy(target.composition.reduced_formula) for hull in hulls]
    there = [energy for energy in middle if energy is not None]
    return sum(there) / len(there) if there and len(there) == len(middle) else None


def agreement_of(relaxed: Sequence[RelaxedStructure], potential: str, gate: Gate) -> Agreement:
    """
    Compare a potential with the engine on structures that the engine relaxed.

    Parameters
    ----------
    relaxed : sequence of RelaxedStructure
        By the reference engine.
    potential : str
        Job that trained it.
    gate : Gate
        Says which of them count.
    """
    training: TrainingDocument = output_of(potential)
    return gate.measure(
        [one.structure for one in relaxed],
        [one.energy for one in relaxed],
        training.potential,
        [one.work - zero for one, zero in zip(relaxed, levels(relaxed), strict=True)],
    )


def foretold(relaxed: Sequence[RelaxedStructure], potential: Potential) -> list[RelaxedStructure]:
    """
    Note what a potential says of structures that it has not seen, and how sure it is.

    Parameters
    ----------
    relaxed : sequence of RelaxedStructure
        By the reference engine.
    potential : Potential
        Not trained on them.
    """
    points = zip(*single_points([one.structure for one in relaxed], potential), strict=True)
    return [
        one.model_copy(update={"single_point": float(energy), "expected_error": float(error)})
        for one, (energy, error) in zip(relaxed, points, strict=True)
    ]
