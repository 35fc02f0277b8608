"""The ad hoc melting temperature: the lowest one at which every species still diffuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Job, Maker, Response, job

from nnp.frames import Frames
from workflows.documents.dynamics import MeltingTemperatureDocument, MobilityPoint, SegmentDocument
from workflows.jobs.idempotency import replace_by
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.dynamics import DynamicsMaker, mean_pressure
from workflows.stages.melt import relieve
from workflows.stages.table import STAGES
from workflows.statistics import (
    BALLISTIC_TIME,
    FITTED_LAGS,
    fit_diffusion,
    mean_square_displacement,
    remove_drift,
)

if TYPE_CHECKING:
    from jobflow import OutputReference
    from pymatgen.core import Structure

#: Part of the ladder of temperatures that a melt is expected to stay liquid on.
EXPECTED_SHARE = 0.6

#: That are tried; no ladder needs so many.
MOST_TEMPERATURES = 1000


@dataclass
class MeltingTemperatureMaker(Maker):
    """
    Cool the melt step by step until its mean-square displacement stops growing linearly.

    A species diffuses if, beyond the ballistic regime, a straight line describes its mean-square
    displacement (R² above ``min_r_squared``), the slope exceeds twice its error, the line grows
    within the fitted window by more than its intercept (the vibrational plateau), and the atoms
    leave their cages while we watch: the mean-square displacement at the longest lag exceeds
    ``min_displacement``. By Lindemann's criterion a crystal melts before its atoms vibrate by 0.15
    of a bond, which for bonds of 3 Å is a plateau of 0.4 Å²; in a short run atoms that still
    rattle in their cages also move linearly, but not that far. The material is molten if every
    species diffuses: one mobile sublattice is not a melt.

    Parameters
    ----------
    highest, lowest, step : float
        Temperatures in K: tried from the highest to the lowest.
    duration : float
        ps at each temperature.
    side_by_side : int
        Temperatures run at the same time, from the same start; 1 follows the paper, more use
        more workers.
    equilibration : float
        Fraction of each run left out at its start.
    max_pressure, max_change, bulk_modulus : float
        Coarse correction of the volume between two temperatures: at the volume of the superheated
        melt a cold liquid would be torn apart, and would flow where it should freeze.
    refine : int
        Times the step is halved between the last liquid and the first solid.
    min_r_squared, min_displacement : float
        Of the criterion; the displacement in Å².
    pressure : float
        At which it melts, kbar: the corrections aim at it.
    """

    name: str = "melting temperature"
    highest: float = field(
        default=3500.0, metadata={"range": (1.0, 20_000.0), "unit": "K", "help": "tried first"}
    )
    lowest: float = field(
        default=500.0, metadata={"range": (1.0, 20_000.0), "unit": "K", "help": "tried last"}
    )
    step: float = field(default=500.0, metadata={"range": (1.0, 10_000.0), "unit": "K"})
    duration: float = field(
        default=5.0, metadata={"range": (0.001, 1e5), "unit": "ps", "help": "at each temperature"}
    )
    side_by_side: int = field(
        default=1, metadata={"range": (1, 100), "help": "temperatures run at the same time"}
    )
    equilibration: float = field(
        default=0.2,
        metadata={"range": (0.0, 0.9), "help": "fraction of each run left out at its start"},
    )
    max_pressure: float = field(
        default=10.0,
        metadata={
            "range": (0.0, 1000.0),
            "unit": "kbar",
            "help": "let pass before the next temperature",
        },
    )
    max_change: float = field(
        default=0.1, metadata={"range": (0.001, 0.9), "help": "of the volume between temperatures"}
    )
    bulk_modulus: float = field(
        default=200.0,
        metadata={"range": (1.0, 10_000.0), "unit": "kbar", "help": "assumed for the corrections"},
    )
    refine: int = field(
        default=0, metadata={"range": (0, 10), "help": "times the step is halved at the end"}
    )
    min_r_squared: float = field(
        default=0.95, metadata={"range": (0.0, 1.0), "help": "of the straight line"}
    )
    min_displacement: float = field(
        default=1.0,
        metadata={
            "range": (0.0, 100.0),
            "unit": "Å²",
            "help": "mean-square displacement within the run",
        },
    )
    pressure: float = field(default=0.0, metadata={"unit": "kbar", "hidden": True})

    def validate(self) -> None:
        """Raise a ValueError if numbers do not fit together."""
        if self.highest < self.lowest:
            raise ValueError(f"highest {self.highest:g} K is below lowest {self.lowest:g} K")
        if self.highest - self.lowest > MOST_TEMPERATURES * self.step:
            raise ValueError(
                f"step {self.step:g} K makes more than {MOST_TEMPERATURES} temperatures from "
                f"{self.lowest:g} to {self.highest:g} K"
            )

    def shortest_duration(self, interval: float) -> float:
        """
        Shortest duration, in ps, of which displacements can be fitted.

        Parameters
        ----------
        interval : float
            Between frames, fs.
        """
        longest_lag = BALLISTIC_TIME + (FITTED_LAGS - 1) * interval / 1000
        return 2 * longest_lag / (1 - self.equilibration)  # longer lags have too few origins

    def make(self, structure: Structure | OutputReference, dynamics: DynamicsMaker) -> Job:
        """
        Search from the highest temperature down.

        Parameters
        ----------
        structure : Structure or OutputReference
            The melt.
        dynamics : DynamicsMaker
            Makes the runs.

        Returns
        -------
        Job
            Its output is a :class:`MeltingTemperatureDocument`.
        """
        return tag(
            self.advance(structure, dynamics, [], [], []),
            STAGES["melting_temperature"],
            name="melting temperature",
        )

    def cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        """Expected cost, with the search ending at :attr:`expected_runs`."""
        ladder = math.ceil(self._expected_rungs / self.side_by_side)
        return [
            dynamics.cost(context, "melting_temperature", self.expected_runs, self.duration),
            repeated_decisions("melting_temperature", ladder + self.refine),
        ]

    @property
    def expected_runs(self) -> int:
        """Temperatures that are expected to be tried."""
        return self._expected_rungs + self.refine

    @property
    def expected_temperature(self) -> float:
        """Where the search is expected to end, in K."""
        return (self.highest + self.lowest) / 2

    @property
    def _expected_rungs(self) -> int:
        """Of the ladder, as many as run side by side at once."""
        rungs = math.floor((self.highest - self.lowest) / self.step + 1e-9) + 1
        rounds = math.ceil(EXPECTED_SHARE * rungs / self.side_by_side)
        return min(rungs, rounds * self.side_by_side)

    @job
    def advance(
        self,
        structure: Structure,
        dynamics: DynamicsMaker,
        points: list[MobilityPoint],
        runs: list[dict[str, Any]],
        segments: list[str],
    ) -> Response[MeltingTemperatureDocument]:
        """
        Judge the finished runs; then conclude, or run the next temperatures.

        Parameters
        ----------
        structure : Structure
            Last configuration of the lowest liquid so far.
        dynamics : DynamicsMaker
            Makes the runs.
        points : list of MobilityPoint
            What was learnt before.
        runs : list of dict
            ``{"temperature", "structure", "segments"}`` of the runs that have just finished, in
            falling order of temperature.
        segments : list of str
            Jobs of all segments so far.
        """
        points = [*points, *(self.judge(run["temperature"], run["segments"]) for run in runs)]
        lowest = _bracket(points)[1]
        for run in runs:
            if run["temperature"] == lowest:
                structure = run["structure"]
        temperatures = self.next_temperatures(points)
        if not temperatures:
            document = self.conclude(structure, points, segments)
            report_progress("melting_temperature", 1, 1, T_m_K=document.melting_temperature)
            return Response(output=document)
        start = self._relieved(structure, points)
        flows = [
            dynamics.make(
                start,
                temperature,
                self.duration,
                "melting_temperature",
                key=f"{temperature:g} K",
            )
            for temperature in temperatures
        ]
        finished = [
            {"temperature": temperature, **flow.output}
            for temperature, flow in zip(temperatures, flows, strict=True)
        ]
        segments = [*segments, *(uuid for flow in flows for uuid in flow.job_uuids)]
        following = tag(
            self.advance(structure, dynamics, points, finished, segments),
            STAGES["melting_temperature"],
            name="melting temperature",
        )
        return replace_by(flows, following)

    def _relieved(self, structure: Structure, points: list[MobilityPoint]) -> Structure:
        """Start of the next runs: the lowest liquid, its volume corrected coarsely."""
        lowest = _bracket(points)[1]
        if lowest is None:
            return structure
        pressure = next(point.pressure for point in points if point.temperature == lowest)
        return relieve(
            structure, pressure, self.max_pressure, self.bulk_modulus, self.max_change,
            self.pressure,
        )  # fmt: skip

    def judge(self, temperature: float, segments: list[SegmentDocument]) -> MobilityPoint:
        """
        Decide whether a run is liquid.

        A run that was stopped, because the potential that drove it knew nothing there, is too
        short to tell; it is taken as liquid, so that the search goes on to lower temperatures.

        Parameters
        ----------
        temperature : float
            K
        segments : list of SegmentDocument
            The whole run.
        """
        pressure, error = mean_pressure(segments, discard=self.equilibration)
        if any(segment.stopped for segment in segments):
            return MobilityPoint(
                temperature=temperature, liquid=True, pressure=pressure, pressure_error=error,
                species={}, times=[], displacements={},
            )  # fmt: skip
        frames = Frames.concatenate([segment.frames for segment in segments])
        n_atoms = int(frames.counts[0])
        numbers = frames.numbers[:n_atoms]
        positions = frames.positions.reshape(len(frames), n_atoms, 3)
        positions = positions[int(len(positions) * self.equilibration) :]
        interval = segments[0].sample_interval / 1000
        positions = remove_drift(positions, _masses(numbers))
        species, displacements = {}, {}
        for symbol, members in _by_element(numbers).items():
            fit = fit_diffusion(positions[:, members], interval)
            diffuses = (
                fit.r_squared >= self.min_r_squared
                and fit.slope > 2 * fit.slope_error
                and fit.growth > fit.intercept
                and fit.largest > self.min_displacement
            )
            species[symbol] = {
                "diffusivity": fit.diffusivity,
                "diffusivity_error": fit.slope_error / 6,
                "intercept": fit.intercept,
                "largest": fit.largest,
                "r_squared": fit.r_squared,
                "liquid": bool(diffuses),
            }
            displacements[symbol] = mean_square_displacement(positions[:, members]).tolist()
        return MobilityPoint(
            temperature=temperature,
            liquid=all(bool(entry["liquid"]) for entry in species.values()),
            pressure=pressure,
            pressure_error=error,
            species=species,
            times=(np.arange(len(positions) // 2 + 1) * interval).tolist(),
            displacements=displacements,
        )

    def next_temperatures(self, points: list[MobilityPoint]) -> list[float]:
        """
        Temperatures to run next; none if the melting temperature is settled.

        The search descends until something freezes; then, as often as ``refine`` says, the
        interval between the lowest liquid and the highest solid below it is halved.
        """
        solid, liquid = _bracket(points)
        tried = {point.temperature for point in points}
        if solid is None:
            ladder = np.arange(self.highest, self.lowest - self.step / 2, -self.step)
            return [float(t) for t in ladder if float(t) not in tried][: self.side_by_side]
        if liquid is None:
            return []
        if liquid - solid > self.step / 2**self.refine * 1.01:
            return [(liquid + solid) / 2]
        return []

    def conclude(
        self, structure: Structure, points: list[MobilityPoint], segments: list[str]
    ) -> MeltingTemperatureDocument:
        """Sum up the points; a melt that never freezes or never flows gets a warning."""
        solid, liquid = _bracket(points)
        warning = None
        if liquid is None:
            liquid = max(point.temperature for point in points)
            warning = (
                f"not every species diffused even at {liquid:g} K; it is used all the same. "
                "A longer melting_temperature.duration tells whether the melt is only viscous"
            )
        elif solid is None:
            warning = f"still liquid at {liquid:g} K, the lowest temperature tried"
        here = next(point for point in points if point.temperature == liquid)
        return MeltingTemperatureDocument(
            melting_temperature=liquid,
            uncertainty=(liquid - solid) / 2 if solid is not None and solid < liquid
            else self.step / 2,
            pressure=here.pressure,
            aimed_at=self.pressure,
            structure=structure,
            points=sorted(points, key=lambda point: -point.temperature),
            segments=segments,
            warning=warning,
        )  # fmt: skip


def _bracket(points: list[MobilityPoint]) -> tuple[float | None, float | None]:
    """Highest solid temperature, and the lowest liquid one above it."""
    solid = max((point.temperature for point in points if not point.liquid), default=None)
    liquids = [
        point.temperature
        for point in points
        if point.liquid and (solid is None or point.temperature > solid)
    ]
    return solid, min(liquids, default=None)


def _masses(numbers: np.ndarray) -> np.ndarray:
    from ase.data import atomic_masses

    return atomic_masses[numbers]


def _by_element(numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of the atoms of each element, by symbol."""
    from ase.data import chemical_symbols

    return {chemical_symbols[n]: np.flatnonzero(numbers == n) for n in np.unique(numbers)}
