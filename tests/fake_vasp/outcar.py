"""OUTCAR, written as the run goes."""

from __future__ import annotations

import time
from typing import TextIO

import numpy as np

from tests.fake_vasp.job import VERSION, Job
from tests.fake_vasp.state import KBAR, IonicStep
from tests.fake_vasp.text import rows

_LINE = " " + "-" * 83 + "\n"
_VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))


class OutcarWriter:
    """
    Writes OUTCAR to a stream.

    Parameters
    ----------
    stream : TextIO
        Open text file.
    job : Job
        Inputs of the run.
    """

    def __init__(self, stream: TextIO, job: Job) -> None:
        self.stream, self.job = stream, job

    def start(self) -> None:
        """Write all that comes before the first ionic step."""
        job, settings, system = self.job, self.job.settings, self.job.system
        titles = "".join(f" POTCAR:    {potential.title}\n" for potential in job.potentials)
        potentials = "".join(
            f"   TITEL  = {potential.title}\n   POMASS = {potential.mass:8.3f}; "
            f"ZVAL   = {potential.valence:8.3f}    mass and valenz\n"
            for potential in job.potentials
        )
        counts = "".join(f"{count:4d}" for count in system.counts)
        grid = int(np.prod(np.ceil(np.linalg.norm(system.cell, axis=1) * settings.encut**0.5 / 2)))
        waves = int(grid / 8) + 1
        points = "".join(
            f" k-point{k + 1:4d} :{x:10.4f}{y:9.4f}{z:9.4f}  plane waves: {waves:7d}\n"
            for k, (x, y, z) in enumerate(job.mesh.points)
        )
        self.stream.write(
            f" {VERSION} {_kind(job)}\n\n executed on             LinuxGNU date "
            f"{time.strftime('%Y.%m.%d  %H:%M:%S')}\n running on {job.ranks:4d} total cores\n"
            f"{titles}{potentials}{titles}\n   ions per type =            {counts}\n"
            f"\n Dimension of arrays:\n   k-points           NKPTS = {len(job.mesh.points):6d}"
            f"   k-points in BZ     NKDIM = {len(job.mesh.points):6d}"
            f"   number of bands    NBANDS= {settings.nbands:6d}\n"
            f"   number of dos      NEDOS = {settings.nedos:6d}   "
            f"number of ions     NIONS = {system.n_atoms:6d}\n"
            f"   total plane-waves  NPLWV = {grid:6d}\n\n"
        )
        listed = np.column_stack([job.mesh.points, job.mesh.weights])
        self.stream.write(
            " k-points in reciprocal lattice and weights: as given\n"
            + rows("  %12.8f%12.8f%12.8f  %10.3f", listed)
        )
        parameters = {
            "ISTART": settings.istart,
            "ICHARG": settings.icharg,
            "ISPIN ": settings.ispin,
            "LNONCOLLINEAR": "F non collinear calculations",
            "ENCUT ": f"{settings.encut:.1f} eV",
            "NELM  ": settings.nelm,
            "EDIFF ": f"{settings.ediff:.1E}   stopping-criterion for ELM",
            "EDIFFG": f"{settings.ediffg:.1E}   stopping-criterion for IOM",
            "NSW   ": settings.nsw,
            "IBRION": settings.ibrion,
            "ISIF  ": settings.isif,
            "POTIM ": f"{settings.potim:.4f}    time-step for ionic-motion",
            "TEIN  ": f"{settings.tebeg:.1f}    initial temperature",
            "TEBEG ": f"{settings.tebeg:.1f};   TEEND  = {settings.teend:.1f}",
            "SMASS ": settings.smass,
            "MDALGO": settings.mdalgo,
            "ISMEAR": f"{settings.ismear};   SIGMA  = {settings.sigma:.2f}",
            "LEPSILON": "F",
            "NELECT": f"{settings.nelect:.4f}    total number of electrons",
        }
        self.stream.writelines(f"   {name} = {value:>6}\n" for name, value in parameters.items())
        self.stream.write(
            f"\n\n{'-' * 104}\n\n\n{points}\n maximum and minimum number of plane-waves per node : "
            f"{waves:8d}{waves:8d}\n\n maximum number of plane-waves: {waves:8d}\n\n"
        )

    def step(self, step: IonicStep, seconds: float) -> None:
        """Write an ionic step that took so many seconds."""
        n_loops = len(step.loop.energies)
        share = seconds / n_loops
        self.stream.write(
            "".join(
                f"\n{'-' * 39} Iteration {step.number:6d}({k + 1:4d})  {'-' * 39}\n\n"
                f"      LOOP:  cpu time {share:10.4f}: real time {share:10.4f}\n"
                f"  entropy T*S    EENTRO = {step.entropy:18.8f}\n"
                f"  free energy    TOTEN  = {energy:18.8f} eV\n"
                for k, energy in enumerate(step.loop.energies)
            )
        )
        reason = (
            "because EDIFF is reached"
            if step.loop.converged
            else "EDIFF was not reached (unconverged)"
        )
        self.stream.write(f"\n{'-' * 24} aborting loop {reason} {'-' * 24}\n\n")
        settings = self.job.settings
        moment = f"{sum(settings.moments):12.7f}" if settings.ispin == 2 else ""
        self.stream.write(f" number of electron {settings.nelect:14.7f} magnetization {moment}\n")
        if step.is_last:
            self.stream.write(
                "\n E-fermi :   3.5000     XC(G=0):  -8.0000     alpha+bet : -6.0000\n"
            )
        self._write_moments()
        self._write_stress(step)
        self._write_forces(step)
        dispersion = f"\n  Edisp (eV) {step.dispersion:14.5f}\n" if settings.ivdw else ""
        self.stream.write(
            f"{dispersion}\n\n  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n"
            "  ---------------------------------------------------\n"
            f"  free  energy   TOTEN  = {step.energy:18.8f} eV\n\n"
            f"  energy  without entropy={step.energy_without_entropy:18.8f}"
            f"  energy(sigma->0) ={step.energy_at_zero_smearing:18.8f}\n\n"
        )
        if step.kinetic is not None:
            self.stream.write(
                f"  kinetic energy EKIN   = {step.kinetic:15.6f}\n"
                f"  kin. lattice  EKIN_LAT= {step.lattice_kinetic:15.6f}"
                f"  (temperature {step.temperature:8.2f} K)\n"
                f"  nose potential ES     = {step.thermostat[0]:15.6f}\n"
                f"  nose kinetic   EPS    = {step.thermostat[1]:15.6f}\n"
                f"  total energy   ETOTAL = {step.total_energy:15.6f} eV\n\n"
            )
        self.stream.write(f"     LOOP+:  cpu time {seconds:10.4f}: real time {seconds:10.4f}\n")

    def finish(self, stopped: str, seconds: float) -> None:
        """Write the end: ``soft`` or ``hard`` if STOPCAR ended the run, the time it took in s."""
        if stopped:
            self.stream.write(f"\n {stopped} stop encountered!  aborting job ...\n")
        self.stream.write(
            "\n\n General timing and accounting informations for this job:\n"
            " ========================================================\n\n"
            f"                  Total CPU time used (sec): {seconds:12.3f}\n"
            f"                            User time (sec): {seconds:12.3f}\n"
            f"                          System time (sec): {0.0:12.3f}\n"
            f"                         Elapsed time (sec): {seconds:12.3f}\n\n"
            "                   Maximum memory used (kb):       50000.\n"
            "                   Average memory used (kb):          N/A\n"
        )

    def _write_moments(self) -> None:
        """Write the moments of the atoms, where they are asked for."""
        settings = self.job.settings
        if settings.ispin != 2 or settings.incar.integer("LORBIT", 0) < 10:
            return
        lines = "".join(
            f"{number:5d}       {0:6.3f}  {0:6.3f}  {moment:6.3f}  {moment:6.3f}\n"
            for number, moment in enumerate(settings.moments, start=1)
        )
        total = sum(settings.moments)
        self.stream.write(
            "\n\n magnetization (x)\n \n# of ion       s       p       d       tot\n"
            f"{'-' * 42}\n{lines}{'-' * 50}\n"
            f"tot         {0:6.3f}  {0:6.3f}  {total:6.3f}  {total:6.3f}\n\n"
        )

    def _write_stress(self, step: IonicStep) -> None:
        system = step.system
        volume = abs(np.linalg.det(system.cell))
        kbar = step.stress_kbar
        pressure = np.trace(kbar) / 3 - self.job.settings.pstress
        components = "".join(f"{kbar[i]:11.5f}" for i in _VOIGT)
        totals = "".join(f"{kbar[i] * volume / KBAR:11.5f}" for i in _VOIGT)
        self.stream.write(
            "  FORCE on cell =-STRESS in cart. coord.  units (eV):\n"
            "  Direction    XX          YY          ZZ          XY          YZ          ZX\n"
            f"  Total  {totals}\n  in kB  {components}\n"
            f"  external pressure = {pressure:11.2f} kB"
            f"  Pullay stress = {self.job.settings.pstress:11.2f} kB\n"
        )
        if step.kinetic is not None:
            gas = 2 / 3 * step.kinetic / volume * KBAR
            self.stream.write(
                f"\n  kinetic pressure (ideal gas correction) = {gas:11.2f} kB\n"
                f"  total pressure  = {pressure + gas:11.2f} kB\n"
            )
        reciprocal = np.linalg.inv(system.cell).T
        both = np.hstack([system.cell, reciprocal])
        self.stream.write(
            f"\n VOLUME and BASIS-vectors are now :\n{_LINE}"
            f"  energy-cutoff  :  {self.job.settings.encut:11.2f}\n"
            f"  volume of cell :  {volume:11.2f}\n"
            "      direct lattice vectors                 reciprocal lattice vectors\n"
            + rows("   %13.9f%13.9f%13.9f  %13.9f%13.9f%13.9f", both)
        )

    def _write_forces(self, step: IonicStep) -> None:
        system = step.system
        table = np.hstack([(system.scaled % 1.0) @ system.cell, step.forces])
        lines = rows(" %12.5f %12.5f %12.5f    %13.6f %13.6f %13.6f", table)
        drift = rows("%12.6f%12.6f%12.6f", np.round(step.forces.sum(axis=0)[None], 6) + 0.0)
        self.stream.write(
            "\n POSITION                                       TOTAL-FORCE (eV/Angst)\n"
            f"{_LINE}{lines}{_LINE}    total drift:                           {drift}"
        )


def _kind(job: Job) -> str:
    return "gamma-only" if job.executable == "gam" else "complex"
