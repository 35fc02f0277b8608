"""Molecular dynamics in segments that continue each other, by any engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Flow, Job, Maker
from pymatgen.core import Structure

from workflows.engines.base import DynamicsTask, Engine, SegmentSettings
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext
from workflows.stages.table import STAGES
from workflows.statistics import block_error

if TYPE_CHECKING:
    from jobflow import OutputReference

    from workflows.documents.dynamics import SegmentDocument


#: fs, of materials without hydrogen.
USUAL_TIME_STEP = 2.0
#: fs, of materials with hydrogen.
SHORT_TIME_STEP = 1.0
#: Of all trajectories together: some 10 GB in memory for 100 atoms.
MOST_FRAMES = 1_000_000
#: Jobs of all trajectories together.
MOST_SEGMENTS = 10_000


@dataclass
class DynamicsMaker(Maker):
    """
    Molecular dynamics at constant volume, cut into segments.

    A segment is one job: it starts from the configuration and the velocities that the segment
    before it ended with, so a killed campaign loses at most the segment in flight, and no job
    carries the trajectory of another one.

    Parameters
    ----------
    time_step : float or None
        fs; none: 2 fs, or 1 fs where there is hydrogen.
    segment_steps : int
        Longest segment, in steps.
    sample_interval : float
        fs between the frames that are kept.
    thermostat_time : float
        Relaxation time of the thermostat in fs.
    engine : Engine or None
        Makes the runs; a chain chooses it when it is made.
    seed : int
        Seed of the campaign; every segment derives its own.
    queue : str
        FireWorks category of the segments.
    """

    name: str = "molecular dynamics"
    time_step: float | None = field(
        default=None,
        metadata={"range": (0.01, 10.0), "unit": "fs", "help": "none: 2 fs, 1 fs with hydrogen"},
    )
    segment_steps: int = field(
        default=1000, metadata={"range": (1, 1_000_000), "unit": "steps", "help": "longest segment"}
    )
    sample_interval: float = field(
        default=20.0,
        metadata={
            "range": (0.1, 10_000.0),
            "unit": "fs",
            "help": "between the frames that are kept",
        },
    )
    thermostat_time: float = field(
        default=100.0,
        metadata={"range": (1.0, 1e5), "unit": "fs", "help": "relaxation time of the thermostat"},
    )
    engine: Engine | None = field(default=None, metadata={"hidden": True})
    seed: int = field(default=0, metadata={"hidden": True})
    queue: str = field(default=REFERENCE_QUEUE, metadata={"hidden": True})

    def for_elements(self, elements: set[str]) -> DynamicsMaker:
        """Settle the time step: 1 fs where there is hydrogen, else 2 fs, unless given."""
        if self.time_step is not None:
            return self
        return replace(self, time_step=SHORT_TIME_STEP if "H" in elements else USUAL_TIME_STEP)

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        duration: float,
        stage: str,
        end_temperature: float | OutputReference | None = None,
        key: str = "",
        new_velocities: bool = False,
    ) -> Flow:
        """
        Run for some time, at one temperature or along a linear ramp.

        Parameters
        ----------
        structure : Structure or OutputReference
            Start; its velocities are used if it has any.
        temperature : float or OutputReference
            Target in K at the start.
        duration : float
            ps.
        stage : str
            Stage the jobs belong to.
        end_temperature : float, OutputReference or None
            Target in K at the end; none: as at the start. A ramp needs both as numbers.
        key : str
            Tells runs of one stage apart, in names and seeds.
        new_velocities : bool
            Draw the first velocities anew even if the structure has some.

        Returns
        -------
        Flow
            Its output is ``{"structure": last configuration, "segments": [SegmentDocument]}``.

        Raises
        ------
        ValueError
            If no engine or no time step has been chosen.
        """
        engine = self._engine()
        steps = self.segment_lengths(duration)
        name = " ".join(filter(None, [stage, key]))
        segments: list[Job | Flow] = []
        for number, (first, last) in enumerate(_ramp(temperature, end_temperature, steps)):
            task = DynamicsTask(
                stage,
                first,
                last,
                seed=derive_seed(self.seed, stage, key, number),
                start_time=sum(steps[:number]) * self._step(),
                new_velocities=new_velocities and number == 0,
            )
            segment = engine.molecular_dynamics(self._settings(steps[number])).make(
                segments[-1].output.structure if segments else structure, task
            )
            position = f" {number + 1}/{len(steps)}" if len(steps) > 1 else ""
            segment.name = name + position
            segments.append(segment)
        flow = Flow(
            segments,
            output={
                "structure": segments[-1].output.structure,
                "segments": [segment.output for segment in segments],
            },
            name=name,
        )
        return tag(flow, STAGES[stage], self.queue)

    def cost(self, context: CostContext, stage: str, runs: int, duration: float) -> Cost:
        """
        Expected cost of runs.

        Parameters
        ----------
        context : CostContext
        stage : str
            Stage they belong to.
        runs : int
            How many.
        duration : float
            Of each, ps.

        Raises
        ------
        ValueError
            If no engine or no time step has been chosen.
        """
        engine = self._engine()
        lengths = self.segment_lengths(duration)
        steps = runs * sum(lengths)
        return Cost(
            stage,
            self.queue,
            fireworks=runs * len(lengths),
            reference_evaluations=steps if engine == context.reference else 0,
            node_hours=steps * context.step_hours(engine, context.n_atoms),
        )

    def count_frames(self, duration: float) -> int:
        """Frames that a run of so many ps leaves."""
        return sum(self.segment_lengths(duration)) // self._stride()

    def segment_lengths(self, duration: float) -> list[int]:
        """
        Cut a run into segments: equal, whole sample intervals, none longer than allowed.

        Parameters
        ----------
        duration : float
            ps

        Returns
        -------
        list of int
            Steps of each segment.
        """
        stride = self._stride()
        samples = max(1, round(duration * 1000 / (self._step() * stride)))
        n_segments = math.ceil(samples / max(1, self.segment_steps // stride))
        shorter, n_longer = divmod(samples, n_segments)
        return [(shorter + (number < n_longer)) * stride for number in range(n_segments)]

    @property
    def longest_interval(self) -> float:
        """Longest that the fs between two frames may be, whatever the elements."""
        return max(self.sample_interval, self.time_step or USUAL_TIME_STEP)

    def require_size(self, duration: float) -> None:
        """
        Raise a ValueError if trajectories make more segments or frames than a campaign can hold.

        Parameters
        ----------
        duration : float
            Of all together, ps.
        """
        step = self.time_step or SHORT_TIME_STEP
        stride = max(1, round(self.sample_interval / step))
        samples = duration * 1000 / (step * stride)
        if samples > MOST_FRAMES:
            raise ValueError(
                f"the trajectories of {duration:,.15g} ps would keep {samples:,.0f} frames; "
                f"{MOST_FRAMES:,} are the most: make them shorter or raise "
                "dynamics.sample_interval"
            )
        segments = samples / max(1, self.segment_steps // stride)
        if segments > MOST_SEGMENTS:
            raise ValueError(
                f"the trajectories of {duration:,.15g} ps would be {segments:,.0f} jobs; "
                f"{MOST_SEGMENTS:,} are the most: make them shorter or raise "
                "dynamics.segment_steps"
            )

    def _engine(self) -> Engine:
        if self.engine is None:
            raise ValueError("no engine makes the runs; give one to the maker of the dynamics")
        return self.engine

    def _step(self) -> float:
        if self.time_step is None:
            raise ValueError("the time step is not settled; call for_elements first")
        return self.time_step

    def _stride(self) -> int:
        return max(1, round(self.sample_interval / self._step()))

    def _settings(self, n_steps: int) -> SegmentSettings:
        return SegmentSettings(
            n_steps=n_steps,
            time_step=self._step(),
            sample_stride=self._stride(),
            thermostat_time=self.thermostat_time,
        )


def _ramp(start: Any, end: Any, steps: list[int]) -> list[tuple[Any, Any]]:
    """First and last temperature of each segment; without an end the start, maybe a reference."""
    if end is None:
        return [(start, start)] * len(steps)
    fractions = np.cumsum([0, *steps]) / sum(steps)
    return list(pairwise(start + (end - start) * float(fraction) for fraction in fractions))


def mean_pressure(
    segments: list[SegmentDocument], discard: float = 0.0
) -> tuple[float, float]:  # fmt: skip
    """
    Time-averaged pressure of consecutive segments.

    Parameters
    ----------
    segments : list of SegmentDocument
        Of one volume and temperature.
    discard : float
        Fraction of the run left out at its start, for equilibration.

    Returns
    -------
    tuple of float
        Mean and its block-averaged standard error, in kbar.
    """
    pressures = np.concatenate([segment.pressures for segment in segments])
    kept = pressures[int(len(pressures) * discard) :]
    return float(kept.mean()), block_error(kept)
