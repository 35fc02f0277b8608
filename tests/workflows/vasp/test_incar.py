"""The INCAR of every stage, tag by tag."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.vasp.stages import GOLDEN, incars
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.vasp.incar import REMEDIES, compose, dynamics_tags, thermostat_mass
from workflows.engines.vasp.level import Level
from workflows.engines.vasp.settings import VaspSettings


@pytest.mark.parametrize("stage", sorted(incars()))
def test_incar_is_as_written_down(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_NTASKS", "SLURM_JOB_NUM_NODES", "SLURM_NNODES", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert incars()[stage] == (GOLDEN / f"{stage}.INCAR").read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.INCAR")} == set(incars())


def test_remedies_change_nothing_that_energies_depend_on() -> None:
    assert {tag for remedy in REMEDIES for tag in remedy} <= {"ALGO", "ISTART", "ICHARG"}


def test_the_users_tags_win() -> None:
    settings = VaspSettings(incar=("algo = All", "NCORE=2"))
    tags = compose(settings, {"ALGO": "Fast", "NELM": 100}, {"NCORE": 8})
    assert tags == {"ALGO": "All", "NELM": 100, "NCORE": "2"}


def test_static_runs_of_frames_are_as_good_as_the_dynamics() -> None:
    """Or their energies could not be learnt together."""
    level = Level(VaspSettings(), "melt")
    static = level.incar(PlaneWaves(300.0, (1, 1, 1)), ["Na"], {"NSW": 0})
    dynamics = level.incar(
        PlaneWaves(300.0, (1, 1, 1)), ["Na"], dynamics_tags(10, 2.0, 300.0, 300.0, 1.0)
    )
    for tag in ("ENCUT", "PREC", "LREAL", "GGA", "LASPH", "ISMEAR", "SIGMA", "EDIFF", "ISPIN"):
        assert static[tag] == dynamics[tag]


def test_ramps_scale_velocities_as_only_that_is_promised_to_follow_teend() -> None:
    ramp = dynamics_tags(1000, 2.0, 1500.0, 1300.0, 1.0)
    assert (ramp["MDALGO"], ramp["SMASS"], ramp["TEBEG"], ramp["TEEND"]) == (0, -1, 1500.0, 1300.0)
    assert 1 % ramp["NBLOCK"] == 1  # the manual scales where NSTEP modulo NBLOCK is one
    assert dynamics_tags(1000, 2.0, 1500.0, 1500.0, 1.0)["MDALGO"] == 2


def test_thermostat_mass_gives_the_period() -> None:
    """The small oscillation of Nosé's thermostat has frequency sqrt(2 g k T / Q)."""
    period, temperature, n_atoms, edge = 100.0, 1500.0, 96, 13.5
    mass = thermostat_mass(period, temperature, n_atoms, edge) * edge**2  # amu Å²
    frequency = np.sqrt(2 * (3 * n_atoms - 3) * units.kB * temperature / mass)
    assert 2 * np.pi / frequency / units.fs == pytest.approx(period, rel=1e-4)


@given(
    st.floats(10, 500), st.floats(300, 4000), st.integers(2, 200), st.floats(3, 30)
)  # fmt: skip
def test_thermostat_mass_is_positive(period: float, kelvin: float, n: int, edge: float) -> None:
    assert thermostat_mass(period, kelvin, n, edge) > 0
