"""Documents of molecular dynamics: its segments, and what is learnt of the melt by it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.base import Blob, Document, StageDocument


class SegmentDocument(Document):
    """One segment of molecular dynamics; it starts where another one ended."""

    structure: Structure = Field(description="last configuration, unwrapped, with velocities")
    engine: str
    temperature: float = Field(description="target at the first step (K)")
    end_temperature: float = Field(description="target at the last step (K)")
    time_step: float = Field(description="as run, smaller than asked for after a retry (fs)")
    duration: float = Field(description="fs")
    sample_interval: float = Field(description="fs")
    volume: float = Field(description="Å³")
    temperatures: list[float] = Field(description="mean of every sample interval (K)")
    pressures: list[float] = Field(
        description="mean of every sample interval, kinetic part included (kbar)"
    )
    energies: list[float] = Field(description="potential energy, interval means (eV/atom)")
    explosions: int = Field(0, description="attempts given up because the dynamics exploded")
    frames_unconverged: int = Field(
        0, description="sampled frames left out for want of electronic convergence"
    )
    stopped: str | None = Field(None, description="why it ended before its time")
    frames: Annotated[Frames, Blob]


class MobilityPoint(Document):
    """What one temperature of the search for the melting temperature showed."""

    temperature: float = Field(description="K")
    liquid: bool
    pressure: float = Field(description="kbar, kinetic part included")
    pressure_error: float = Field(description="block-averaged standard error (kbar)")
    species: dict[str, dict[str, float | bool]] = Field(
        description="by element: diffusivity and its error (Å²/ps), R², liquid; intercept of the "
        "line and displacement at the longest lag (Å²)"
    )
    times: list[float] = Field(description="lags of the displacement curves (ps)")
    displacements: dict[str, list[float]] = Field(description="mean-square displacement (Å²)")


class MeltingTemperatureDocument(StageDocument):
    """Result of the search for the melting temperature."""

    melting_temperature: float = Field(description="lowest temperature of a liquid (K)")
    uncertainty: float = Field(description="half the distance to the next one that froze (K)")
    pressure: float = Field(description="at the melting temperature and the melt's volume (kbar)")
    aimed_at: float | None = Field(
        None, description="pressure of the melt that was aimed at (kbar); none: an earlier version"
    )
    structure: Structure
    points: list[MobilityPoint]
    segments: list[str] = Field(description="jobs of the runs")

    def in_words(self) -> str:
        """Say what is known of it: a value, or that it is not above or below what was tried."""
        tried = [point.temperature for point in self.points if point.species]
        liquid = [point.liquid for point in self.points if point.species]
        at = f"{self.melting_temperature:.0f}"
        if tried and all(liquid) and self.melting_temperature <= min(tried):
            return f"T_m ≤ {at} K"
        if tried and not any(liquid):
            return f"T_m > {at} K"
        return f"T_m = {at} ± {self.uncertainty:.0f} K"

    def summary(self) -> dict[str, Any]:
        """Melting temperature and its uncertainty."""
        return {
            "melting_temperature_K": self.melting_temperature,
            "melting_temperature_uncertainty_K": self.uncertainty,
        }


class PressurePoint(Document):
    """Time-averaged pressure of one volume."""

    volume: float = Field(description="Å³/atom")
    pressure: float = Field(description="kbar, kinetic part included")
    error: float = Field(description="block-averaged standard error (kbar)")


class VolumeDocument(StageDocument):
    """Result of the volume adjustment."""

    volume: float = Field(description="Å³/atom")
    pressure: float = Field(description="kbar")
    pressure_error: float = Field(description="kbar")
    aimed_at: float | None = Field(
        None, description="pressure of the melt that was aimed at (kbar); none: an earlier version"
    )
    structure: Structure
    points: list[PressurePoint]
    segments: list[str] = Field(description="jobs of the runs")

    def summary(self) -> dict[str, Any]:
        """Volume, and the pressure with its error."""
        return {
            "liquid_volume_A3_atom": self.volume,
            "liquid_pressure_kbar": [self.pressure, self.pressure_error],
        }
