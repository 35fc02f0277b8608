"""vasprun.xml, written as the run goes."""

from __future__ import annotations

import time
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.bands import bands_of, density_of_states
from tests.fake_vasp.job import Job
from tests.fake_vasp.poscar import System
from tests.fake_vasp.state import KBAR, IonicStep
from tests.fake_vasp.text import rows

_ENERGIES = (
    '    <i name="e_fr_energy">%16.8f </i>\n    <i name="e_wo_entrp">%16.8f </i>\n'
    '    <i name="e_0_energy">%16.8f </i>\n'
)


class VasprunWriter:
    """
    Writes vasprun.xml to a stream.

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
        job = self.job
        self.stream.write(
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
            '  <i name="program" type="string">vasp </i>\n'
            '  <i name="version" type="string">6.4.2  </i>\n'
            '  <i name="subversion" type="string">fake, for tests only </i>\n'
            '  <i name="platform" type="string">LinuxGNU </i>\n'
            f'  <i name="date" type="string">{time.strftime("%Y %m %d")} </i>\n'
            f'  <i name="time" type="string">{time.strftime("%H:%M:%S")} </i>\n </generator>\n'
        )
        tags = "".join(_tag(name, value) for name, value in job.incar.typed().items())
        self.stream.write(f" <incar>\n{tags} </incar>\n")
        self._write_kpoints()
        parameters = "".join(_tag(*item) for item in job.settings.parameters().items())
        self.stream.write(
            f' <parameters>\n <separator name="general" >\n{parameters} </separator>\n'
            " </parameters>\n"
        )
        self._write_atoms()
        self.stream.write(_structure(job.system, "initialpos"))

    def step(self, step: IonicStep, seconds: float, part: float = 1.0) -> None:
        """Write an ionic step that took so many seconds, or the first part of it."""
        text = self._step(step, seconds)
        self.stream.write(text[: int(part * len(text))])

    def _step(self, step: IonicStep, seconds: float) -> str:
        share = seconds / len(step.loop.energies)
        electronic = "".join(
            f'  <scstep>\n   <time name="total">{share:8.2f}{share:8.2f}</time>\n   <energy>\n'
            + _ENERGIES % (energy, energy - step.entropy, energy - step.entropy / 2)
            + "   </energy>\n  </scstep>\n"
            for energy in step.loop.energies
        )
        volume = abs(float(np.linalg.det(step.system.cell)))
        # here, and nowhere else, VASP writes the enthalpy
        work = self.job.settings.pstress / KBAR * volume
        energies = _ENERGIES % (
            step.energy + work,
            step.energy_without_entropy + work,
            step.energy_at_zero_smearing + work,
        )
        if step.kinetic is not None:
            energies += "".join(
                f'    <i name="{name}">{value:16.8f} </i>\n'
                for name, value in (
                    ("kinetic", step.kinetic),
                    ("lattice kinetic", step.lattice_kinetic),
                    ("nosepot", step.thermostat[0]),
                    ("nosekinetic", step.thermostat[1]),
                    ("total", step.total_energy),
                )
            )
        return (
            f" <calculation>\n{electronic}{_structure(step.system)}"
            + _array("forces", step.forces, 2)
            + _array("stress", step.stress_kbar, 2)
            + f"  <energy>\n{energies}  </energy>\n"
            + (self._electronic_structure() if step.is_last else "")
            + f'  <time name="totalsc">{seconds:8.2f}{seconds:8.2f}</time>\n </calculation>\n'
        )

    def finish(self, system: System) -> None:
        """Write the end of the file."""
        self.stream.write(_structure(system, "finalpos") + "</modeling>\n")

    def _write_kpoints(self) -> None:
        mesh = self.job.mesh
        generation = ""
        if mesh.style != "Reciprocal":
            divisions = "".join(f"{division:8d}" for division in mesh.divisions)
            shift = "".join(f"{shift:14.8f}" for shift in mesh.shift)
            generation = (
                f'  <generation param="{mesh.style}">\n'
                f'   <v type="int" name="divisions">{divisions}</v>\n'
                f'   <v name="usershift">{shift}</v>\n  </generation>\n'
            )
        self.stream.write(
            f" <kpoints>\n{generation}"
            + _array("kpointlist", mesh.points, 2)
            + _array("weights", mesh.weights[:, None], 2)
            + " </kpoints>\n"
        )

    def _write_atoms(self) -> None:
        system = self.job.system
        atoms = "".join(
            f"    <rc><c>{symbol:<2s}</c><c>{kind + 1:4d}</c></rc>\n"
            for symbol, kind in zip(system.atom_symbols, system.types, strict=True)
        )
        types = "".join(
            f"    <rc><c>{count:4d}</c><c>{symbol:<2s}</c><c>{potential.mass:14.8f}</c>"
            f"<c>{potential.valence:14.8f}</c><c>  {potential.title:<38s}</c></rc>\n"
            for count, symbol, potential in zip(
                system.counts, system.symbols, self.job.potentials, strict=True
            )
        )
        self.stream.write(
            f" <atominfo>\n  <atoms>{system.n_atoms:8d} </atoms>\n"
            f"  <types>{len(system.symbols):8d} </types>\n"
            '  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n'
            '   <field type="string">element</field>\n   <field type="int">atomtype</field>\n'
            f'   <set>\n{atoms}   </set>\n  </array>\n  <array name="atomtypes" >\n'
            '   <dimension dim="1">type</dimension>\n   <field type="int">atomspertype</field>\n'
            '   <field type="string">element</field>\n   <field>mass</field>\n'
            '   <field>valence</field>\n   <field type="string">pseudopotential</field>\n'
            f"   <set>\n{types}   </set>\n  </array>\n </atominfo>\n"
        )

    def _electronic_structure(self) -> str:
        """Eigenvalues and density of states, which VASP writes in the last step."""
        energies, occupations = bands_of(self.job)
        spins = range(1, self.job.settings.ispin + 1)
        points = "".join(
            f'      <set comment="kpoint {k + 1}">\n'
            + rows("       <r>%14.4f %10.4f </r>", np.stack([energies[k], occupations[k]], axis=1))
            + "      </set>\n"
            for k in range(len(energies))
        )
        bands = "".join(f'     <set comment="spin {s}">\n{points}     </set>\n' for s in spins)
        fermi, states = density_of_states(energies, self.job.mesh.weights, self.job.settings.nedos)
        table = rows("       <r>%12.4f %12.4f %12.4f </r>", states)
        dos = "".join(f'      <set comment="spin {s}">\n{table}      </set>\n' for s in spins)
        return (
            '  <eigenvalues>\n   <array>\n    <dimension dim="1">band</dimension>\n'
            '    <dimension dim="2">kpoint</dimension>\n    <dimension dim="3">spin</dimension>\n'
            f"    <field>eigene</field>\n    <field>occ</field>\n    <set>\n{bands}    </set>\n"
            f'   </array>\n  </eigenvalues>\n  <dos>\n   <i name="efermi">{fermi:14.8f} </i>\n'
            '   <total>\n    <array>\n     <dimension dim="1">gridpoints</dimension>\n'
            '     <dimension dim="2">spin</dimension>\n     <field>energy</field>\n'
            "     <field>total</field>\n     <field>integrated</field>\n"
            f"     <set>\n{dos}     </set>\n    </array>\n   </total>\n  </dos>\n"
        )


def _array(name: str, values: NDArray, indent: int) -> str:
    space = " " * indent
    body = rows(f"{space} <v>{' %16.8f' * values.shape[1]} </v>", values)
    return f'{space}<varray name="{name}" >\n{body}{space}</varray>\n'


def _structure(system: System, name: str = "") -> str:
    title = f' <structure name="{name}" >\n' if name else "  <structure>\n"
    return (
        f"{title}   <crystal>\n{_array('basis', system.cell, 4)}"
        f'    <i name="volume">{abs(np.linalg.det(system.cell)):16.8f} </i>\n'
        f"{_array('rec_basis', np.linalg.inv(system.cell).T, 4)}   </crystal>\n"
        f"{_array('positions', system.scaled % 1.0, 3)}  </structure>\n"
    )


def _tag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f'  <i type="logical" name="{name}"> {"T" if value else "F"}  </i>\n'
    if isinstance(value, int):
        return f'  <i type="int" name="{name}">{value:6d}</i>\n'
    if isinstance(value, float):
        return f'  <i name="{name}">{value:16.8f}</i>\n'
    if isinstance(value, list):
        return f'  <v name="{name}">{" ".join(f"{x:14.8f}" for x in value)}</v>\n'
    return f'  <i type="string" name="{name}">{value}</i>\n'
