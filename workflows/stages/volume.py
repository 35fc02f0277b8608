"""The volume at which the liquid has no pressure, or the one that is aimed at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Job, Maker, Response, job

from workflows.documents.dynamics import PressurePoint, VolumeDocument
from workflows.jobs.idempotency import replace_by
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.dynamics import DynamicsMaker, mean_pressure
from workflows.stages.melt import scale_volume, stiffened
from workflows.stages.table import STAGES
from workflows.stages.zero_pressure import FIT_RANGE, ZeroPressure, fit_zero_pressure

if TYPE_CHECKING:
    from jobflow import OutputReference
    from pymatgen.core import Structure

#: Volumes closer than this are one volume, and their averages are joined.
SAME_VOLUME = 1e-4
#: Rounds of runs that the search for the volume is expected to take.
EXPECTED_ROUNDS = 4


@dataclass
class EquilibriumVolumeMaker(Maker):
    """
    Adjust the cell until the time-averaged pressure at the melting temperature is the one aimed at.

    The pressure includes its kinetic part. Both what it is off by and its block-averaged
    standard error must be below their limits, or a line through the pressures of all runs near the
    root must tell the volume well enough: short runs of few atoms know the pressure badly and the
    volume well. The root is bracketed and interpolated in the logarithm of the volume; a volume
    whose average is good but uncertain is run on. A liquid that cavitates keeps a pressure at any
    volume: then the smallest one found is taken, with a warning.

    Parameters
    ----------
    duration : float
        ps of each run.
    max_pressure, max_error : float
        kbar
    max_volume_error : float
        Standard error of the volume by the line through all runs, relative to it, that is enough,
        whatever the errors of the single pressures.
    max_rounds : int
        Rounds of runs before the best volume so far is taken with a warning.
    side_by_side : int
        Volumes run at the same time.
    max_change : float
        Largest relative change of the volume in one round.
    max_expansion : float
        Volume, relative to the smallest one tried, beyond which a liquid is taken to boil.
    bulk_modulus : float
        kbar, assumed until two volumes tell; more under pressure.
    equilibration : float
        Fraction of each run left out at its start.
    pressure : float
        That is aimed at, kbar.
    """

    name: str = "equilibrium volume"
    duration: float = field(
        default=4.0, metadata={"range": (0.001, 1e5), "unit": "ps", "help": "of each run"}
    )
    max_pressure: float = field(
        default=2.0, metadata={"range": (0.01, 1000.0), "unit": "kbar", "help": "let pass as zero"}
    )
    max_error: float = field(
        default=2.0, metadata={"range": (0.01, 1000.0), "unit": "kbar", "help": "standard error"}
    )
    max_volume_error: float = field(
        default=0.02,
        metadata={
            "range": (0.0, 0.5),
            "help": "relative, of a fit to all pressures, that is enough; 0: no fit",
        },
    )
    max_rounds: int = field(default=10, metadata={"range": (1, 100), "help": "rounds of runs"})
    side_by_side: int = field(
        default=1, metadata={"range": (1, 100), "help": "volumes run at the same time"}
    )
    max_change: float = field(
        default=0.2, metadata={"range": (0.001, 0.9), "help": "of the volume in one round"}
    )
    max_expansion: float = field(
        default=3.0,
        metadata={"range": (1.01, 100.0), "help": "relative volume beyond which a liquid boils"},
    )
    bulk_modulus: float = field(
        default=100.0,
        metadata={
            "range": (1.0, 10_000.0),
            "unit": "kbar",
            "help": "assumed until two volumes tell",
        },
    )
    equilibration: float = field(
        default=0.3,
        metadata={"range": (0.0, 0.9), "help": "fraction of each run left out at its start"},
    )
    pressure: float = field(default=0.0, metadata={"unit": "kbar", "hidden": True})

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        pressure: float | OutputReference,
        dynamics: DynamicsMaker,
    ) -> Job:
        """
        Adjust the volume.

        Parameters
        ----------
        structure : Structure or OutputReference
            Liquid.
        temperature : float or OutputReference
            K
        pressure : float or OutputReference
            First guess of the pressure of the structure in kbar, to take the first step by.
        dynamics : DynamicsMaker
            Makes the runs.

        Returns
        -------
        Job
            Its output is a :class:`VolumeDocument`.
        """
        return tag(
            self.advance(structure, temperature, pressure, dynamics, [], [], 0, []),
            STAGES["volume"],
            name="volume",
        )

    def cost(self, context: CostContext, dynamics: DynamicsMaker) -> list[Cost]:
        """Expected cost, with :data:`EXPECTED_ROUNDS` of runs."""
        return [
            dynamics.cost(context, "volume", self.expected_runs, self.duration),
            repeated_decisions("volume", self._expected_rounds),
        ]

    @property
    def expected_runs(self) -> int:
        """Runs that are expected."""
        return self._expected_rounds * self.side_by_side

    @property
    def _expected_rounds(self) -> int:
        return min(EXPECTED_ROUNDS, self.max_rounds)

    @job
    def advance(
        self,
        structure: Structure,
        temperature: float,
        pressure: float,
        dynamics: DynamicsMaker,
        points: list[PressurePoint],
        runs: list[dict[str, Any]],
        rounds: int,
        segments: list[str],
    ) -> Response[VolumeDocument]:
        """
        Judge the finished runs; then conclude, or run the next volumes.

        Parameters
        ----------
        structure : Structure
            Last configuration of the best volume so far.
        temperature : float
            K
        pressure : float
            First guess in kbar.
        dynamics : DynamicsMaker
            Makes the runs.
        points : list of PressurePoint
            What was learnt before.
        runs : list of dict
            ``{"structure", "segments"}`` of the runs that have just finished.
        rounds : int
            Rounds made so far.
        segments : list of str
            Jobs of all segments so far.
        """
        first_volume = structure.volume / len(structure) if not points and not runs else None
        for run in runs:
            average, error = mean_pressure(run["segments"], discard=self.equilibration)
            volume = run["structure"].volume / len(run["structure"])
            points = join_point(points, PressurePoint(volume=volume, pressure=average, error=error))
            here = _at(points, volume)
            if here is self.best(points):
                structure = run["structure"]
        if runs and self.is_done(points, rounds):
            document = self.conclude(structure, points, segments)
            report_progress(
                "volume", 1, 1, volume_A3_atom=document.volume, pressure_kbar=document.pressure
            )
            return Response(output=document)
        if first_volume is not None:
            change = math.exp((pressure - self.pressure) / self._modulus)
            estimate = self._limited(first_volume * change, first_volume)
        else:
            estimate = self.next_volume(points)
        flows = [
            dynamics.make(
                scale_volume(structure, volume * len(structure)), temperature, self.duration,
                "volume", key=f"{volume:.2f} Å³ round {rounds + 1}",
            )
            for volume in self.spread(estimate)
        ]  # fmt: skip
        segments = [*segments, *(uuid for flow in flows for uuid in flow.job_uuids)]
        finished = [flow.output for flow in flows]
        following = self.advance(
            structure, temperature, pressure, dynamics, points, finished, rounds + 1, segments
        )
        tag(following, STAGES["volume"], name="volume")
        return replace_by(flows, following)

    def best(self, points: list[PressurePoint]) -> PressurePoint:
        """Point to take: an acceptable one if there is any, else the nearest pressure."""
        return min(points, key=lambda point: (not self.accepts(point), abs(self._off(point))))

    def accepts(self, point: PressurePoint) -> bool:
        """Whether pressure and error are both within their limits."""
        return abs(self._off(point)) <= self.max_pressure and point.error <= self.max_error

    def _off(self, point: PressurePoint) -> float:
        """Pressure of a point beside the one aimed at, kbar."""
        return point.pressure - self.pressure

    @property
    def _modulus(self) -> float:
        """Bulk modulus assumed at the pressure aimed at, kbar."""
        return stiffened(self.bulk_modulus, self.pressure)

    @property
    def _narrowing(self) -> float:
        """
        Factor on differences of volumes under pressure.

        A stiffer liquid has a greater curvature in kbar of its pressure against the logarithm of
        the volume: so near the root a line is as good as without pressure.
        """
        return math.sqrt(self.bulk_modulus / self._modulus)

    def _fit(self, points: list[PressurePoint]) -> ZeroPressure | None:
        """Line through the pressures near the one aimed at, which it calls zero."""
        shifted = [p.model_copy(update={"pressure": self._off(p)}) for p in points]
        return fit_zero_pressure(shifted, 0.1 * self._modulus, FIT_RANGE * self._narrowing)

    def fitted(self, points: list[PressurePoint]) -> ZeroPressure | None:
        """Volume by the line through all runs, where that is known well enough."""
        fit = self._fit(points)
        largest = self.max_volume_error * self._narrowing
        good = fit is not None and fit.inside and fit.relative_error <= largest
        return fit if good else None

    def is_done(self, points: list[PressurePoint], rounds: int) -> bool:
        """Whether no further run is needed, or of any use."""
        good = self.accepts(self.best(points)) or self.fitted(points) is not None
        return good or self.gives_up(points, rounds)

    def gives_up(self, points: list[PressurePoint], rounds: int) -> bool:
        """Whether to take the best point although it is not acceptable."""
        volumes = [point.volume for point in points]
        boils = max(volumes) > self.max_expansion * min(volumes) and all(
            self._off(point) > 0 for point in points
        )
        return boils or rounds >= self.max_rounds

    def spread(self, volume: float) -> list[float]:
        """Volumes to run at the same time: the estimate, and others beside it by turns."""
        step = 0.03 * self._narrowing
        offsets = [step * ((k + 1) // 2) * (-1) ** (k + 1) for k in range(self.side_by_side)]
        return [float(volume * (1 + offset)) for offset in offsets]

    def next_volume(self, points: list[PressurePoint]) -> float:
        """
        Estimate the volume of the pressure aimed at from the points so far.

        Returns
        -------
        float
            Å³ per atom. The root of the line through all points near it, if it lies among them.
            Else a point with a good but uncertain pressure is returned as it is, so that its
            average goes on; otherwise the line through the two points nearest to the root, which
            bracket it if any two do.
        """
        best = self.best(points)
        fit = self._fit(points) if len(points) > 2 else None
        if fit is not None and fit.inside and self.max_volume_error:
            return self._limited(fit.volume, best.volume)
        if abs(self._off(best)) <= self.max_pressure:
            return best.volume
        above = [point for point in points if self._off(point) > 0]
        below = [point for point in points if self._off(point) <= 0]
        if above and below:
            pair = (min(above, key=self._off), max(below, key=self._off))
        else:
            nearest = sorted(points, key=lambda point: abs(self._off(point)))[:2]
            pair = (nearest[0], nearest[-1])
        modulus = self._modulus
        spacing = math.log(pair[0].volume / pair[1].volume)
        if abs(spacing) > SAME_VOLUME:
            slope = -(pair[0].pressure - pair[1].pressure) / spacing
            modulus = slope if slope > 0.1 * self._modulus else self._modulus
        near = min(pair, key=lambda point: abs(self._off(point)))
        return self._limited(near.volume * math.exp(self._off(near) / modulus), near.volume)

    def _limited(self, volume: float, start: float) -> float:
        """Keep the change of the volume within its limit."""
        return float(np.clip(volume, start * (1 - self.max_change), start * (1 + self.max_change)))

    def conclude(
        self, structure: Structure, points: list[PressurePoint], segments: list[str]
    ) -> VolumeDocument:
        """Sum up the points."""
        best = self.best(points)
        warning = None
        fit = None if self.accepts(best) else self.fitted(points)
        if fit is not None:
            best = PressurePoint(
                volume=fit.volume, pressure=self.pressure, error=fit.pressure_error
            )
        elif not self.accepts(best):
            aim = f", not {self.pressure:g}" if self.pressure else ""
            error = f"± {best.error:.1f} kbar"
            if not math.isfinite(best.error):
                error = "kbar, with an error that so short a run does not tell"
            warning = (
                f"the pressure stayed at {best.pressure:.1f} {error}{aim}; "
                "the liquid may cavitate, or volume.duration is too short"
            )
        return VolumeDocument(
            volume=best.volume,
            pressure=best.pressure,
            pressure_error=best.error,
            aimed_at=self.pressure,
            # the configuration may be of another volume, if its point turned out worse
            structure=scale_volume(structure, best.volume * len(structure)),
            points=sorted(points, key=lambda point: point.volume),
            segments=segments,
            warning=warning,
        )


def join_point(points: list[PressurePoint], new: PressurePoint) -> list[PressurePoint]:
    """Add a point, or average it with the one of the same volume by their inverse variances."""
    old = _at(points, new.volume)
    if old is None:
        return [*points, new]
    errors = np.array([old.error, new.error])
    known = bool(np.isfinite(errors).all() and (errors > 0).all())
    weights = 1 / errors**2 if known else np.ones(2)
    joined = PressurePoint(
        volume=old.volume,
        pressure=float(np.average([old.pressure, new.pressure], weights=weights)),
        error=float(1 / math.sqrt(weights.sum())) if known else float(errors.min()),
    )
    return [joined if point is old else point for point in points]


def _at(points: list[PressurePoint], volume: float) -> PressurePoint | None:
    """Point of this volume, if there is one."""
    return next((p for p in points if abs(p.volume / volume - 1) < SAME_VOLUME), None)
