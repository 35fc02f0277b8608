"""OSZICAR, XDATCAR and what goes to the standard output."""

from __future__ import annotations

from typing import TextIO

from tests.fake_vasp.job import VERSION, Job
from tests.fake_vasp.poscar import header
from tests.fake_vasp.state import IonicStep
from tests.fake_vasp.text import rows

_COLUMNS = (
    "       N       E                     dE             d eps       ncg     rms          rms(c)\n"
)


class OszicarWriter:
    """
    Writes OSZICAR and the same lines to the standard output.

    Parameters
    ----------
    stream, output : TextIO
        Open text files.
    job : Job
        Inputs of the run.
    """

    def __init__(self, stream: TextIO, output: TextIO, job: Job) -> None:
        self.stream, self.output, self.job = stream, output, job
        self._before = 0.0

    def start(self) -> None:
        """Greet on the standard output."""
        system, ranks = self.job.system, self.job.ranks
        groups = self.job.incar.integer("KPAR", 1)
        kind = "gamma-only" if self.job.executable == "gam" else "complex"
        symbols = "".join(f"{symbol:<3s}" for symbol in system.symbols)
        self.output.write(
            f" running {ranks:4d} mpi-ranks, with    1 threads/rank, on    1 nodes\n"
            f" distrk:  each k-point on {ranks // groups:4d} cores, {groups:4d} groups\n"
            f" {VERSION} {kind}\n POSCAR found type information on POSCAR {symbols}\n"
            f" POSCAR found : {len(system.symbols):2d} types and {system.n_atoms:7d} ions\n"
            " entering main loop\n"
        )

    def step(self, step: IonicStep) -> None:
        """Write the lines of an ionic step."""
        algorithm = "DAV" if self.job.settings.algo[:1].upper() in "NEA" else "RMM"
        lines = [_COLUMNS]
        before = 0.0
        for number, energy in enumerate(step.loop.energies, start=1):
            change, before = energy - before, energy
            size = abs(change) / step.system.n_atoms
            lines.append(
                f"{algorithm}: {number:3d}   {energy:18.12E}   {change:12.5E}   {change:12.5E}"
                f"  {40 * number:5d}   {size:9.3E}\n"
            )
        energy = step.energy_at_zero_smearing
        if step.kinetic is None:
            change, self._before = step.energy - self._before, step.energy
            lines.append(
                f"{step.number:4d} F= {step.energy:.8E} E0= {energy:.8E}  d E ={change:.6E}\n"
            )
        else:
            lines.append(
                f"{step.number:7d} T= {step.temperature:7.0f}. E= {step.total_energy:.8E}"
                f" F= {step.energy:.8E} E0= {energy:.8E}  EK= {step.kinetic:.5E}"
                f" SP= {step.thermostat[0]:.2E} SK= {step.thermostat[1]:.2E}\n"
            )
        text = "".join(lines)
        self.stream.write(text)
        self.output.write(text)

    def say(self, text: str) -> None:
        """Write a line to the standard output at once."""
        self.output.write(f" {text}\n")
        self.output.flush()


class XdatcarWriter:
    """
    Writes XDATCAR.

    Parameters
    ----------
    stream : TextIO
        Open text file.
    job : Job
        Inputs of the run.
    """

    def __init__(self, stream: TextIO, job: Job) -> None:
        self.stream, self.job = stream, job
        self._moving_cell = job.settings.isif >= 3 and job.settings.kind != "static"

    def start(self) -> None:
        """Write the cell, once if it is always the same."""
        if not self._moving_cell:
            self.stream.write(header(self.job.system, "           1"))

    def step(self, step: IonicStep) -> None:
        """Write every NBLOCK-th frame."""
        if step.number % self.job.settings.nblock and self.job.settings.kind == "md":
            return
        if self._moving_cell:
            self.stream.write(header(step.system, "           1"))
        positions = rows("  %11.8f %11.8f %11.8f", step.system.scaled % 1.0)
        self.stream.write(f"Direct configuration= {step.number:5d}\n{positions}")
