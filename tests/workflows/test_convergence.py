"""The rule that chooses cutoff and k-points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnp.frames import Frames
from nnp.units import KBAR
from workflows.composition import Target
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.registry import find_engine
from workflows.stages.convergence import Change, ConvergenceMaker, change, first_converged
from workflows.stages.cost import CostContext
from workflows.stages.dynamics import DynamicsMaker

N_ATOMS = 4


def climb(agrees: list[list[bool]]) -> tuple[int, list[int]]:
    """Ask for points until none is missing; the point taken, and the points asked for."""
    known: set[int] = set()
    while True:
        rung, missing = first_converged(len(agrees), known.__contains__, lambda i, k: agrees[i][k])
        if not missing:
            return rung, sorted(known)
        assert not known & set(missing)
        known |= set(missing)


@given(st.integers(3, 9).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
))  # fmt: skip
def test_the_first_point_that_agrees_with_the_next_two(agrees: list[list[bool]]) -> None:
    n = len(agrees)
    rung, asked = climb(agrees)
    good = [i for i in range(n - 2) if agrees[i][i + 1] and agrees[i][i + 2]]
    assert rung == (good[0] if good else n - 1)
    # nothing is computed that the choice does not need
    assert asked == list(range(min(rung + 3, n)))


@pytest.mark.parametrize("n", [1, 2])
def test_a_row_too_short_to_converge_gives_its_last_point(n: int) -> None:
    assert climb([[True] * n] * n)[0] == n - 1


def snapshots(energy: float, pressure: float, force: float, n_frames: int = 2) -> Frames:
    """Frames with these values everywhere: meV/atom, kbar, eV/Å."""
    forces = np.zeros((n_frames * N_ATOMS, 3))
    forces[0, 0] = force
    return Frames(
        counts=np.full(n_frames, N_ATOMS),
        numbers=np.full(n_frames * N_ATOMS, 29),
        cells=np.tile(4 * np.eye(3), (n_frames, 1, 1)),
        positions=np.zeros((n_frames * N_ATOMS, 3)),
        energies=np.full(n_frames, energy * N_ATOMS / 1000),
        forces=forces,
        stresses=np.tile(-pressure / KBAR * np.eye(3), (n_frames, 1, 1)),
        stages=np.array(["convergence"] * n_frames),
        temperatures=np.full(n_frames, np.nan),
        times=np.full(n_frames, np.nan),
    )


def test_change_is_the_largest_of_all_snapshots_and_atoms() -> None:
    here, there = snapshots(10.0, 3.0, 0.5), snapshots(-5.0, -1.0, 0.1)
    here.energies[1] += 0.02 * N_ATOMS
    found = change(here, there)
    assert found.energy == pytest.approx(35.0)
    assert found.pressure == pytest.approx(4.0)
    assert found.force == pytest.approx(0.4)


def test_a_snapshot_that_failed_is_infinitely_different() -> None:
    here, there = snapshots(1.0, 1.0, 0.1), snapshots(1.0, 1.0, 0.1)
    there.energies[0] = np.nan
    assert change(here, there).energy == float("inf")
    assert not ConvergenceMaker().accepts(change(here, there))


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        (Change(19.9, 9.9, 0.29), True),
        (Change(20.1, 0.0, 0.0), False),
        (Change(0.0, 10.1, 0.0), False),
        (Change(0.0, 0.0, 0.31), False),
    ],
)
def test_the_limits_are_the_papers(changes: Change, accepted: bool) -> None:
    assert ConvergenceMaker().accepts(changes) is accepted


def solve(maker: ConvergenceMaker, error: dict[str, float]) -> tuple[dict[PlaneWaves, Frames], int]:
    """Run the maker's decisions on errors that fall off with cutoff and mesh."""
    known: dict[PlaneWaves, Frames] = {}
    rounds = 0
    while asked := maker.next_points(known):
        rounds += 1
        for point in asked:
            value = error["cutoff"] * np.exp(-point.cutoff / 60.0)
            value += error["mesh"] * np.exp(-2.0 * point.mesh[0])
            known[point] = snapshots(value, value / 10, value / 1000)
    return known, rounds


def test_cutoff_then_mesh() -> None:
    maker = ConvergenceMaker()
    known, _ = solve(maker, {"cutoff": 3000.0, "mesh": 10.0})
    document = maker.conclude(known)
    # at 250 eV 46 meV/atom are missing, at 300 eV 20, at 350 eV 8.8
    assert document.plane_waves == PlaneWaves(300.0, (1, 1, 1))
    assert document.warning is None
    meshes = [point.plane_waves.mesh for point in document.points]
    assert (3, 3, 3) in meshes
    assert (4, 4, 4) not in meshes
    assert {point.plane_waves.cutoff for point in document.points} == {200, 250, 300, 350, 400}


def test_gamma_is_not_enough_for_a_small_cell() -> None:
    maker = ConvergenceMaker()
    known, _ = solve(maker, {"cutoff": 3000.0, "mesh": 300.0})
    assert maker.conclude(known).plane_waves == PlaneWaves(300.0, (2, 2, 2))


def test_what_never_converges_gets_the_most_and_a_warning() -> None:
    maker = ConvergenceMaker(highest_cutoff=350.0, largest_mesh=3)
    known, _ = solve(maker, {"cutoff": 1e6, "mesh": 1e4})
    document = maker.conclude(known)
    assert document.plane_waves == PlaneWaves(350.0, (3, 3, 3))
    assert document.warning is not None
    assert "convergence.highest_cutoff" in document.warning
    assert "convergence.largest_mesh" in document.warning


def test_snapshots_come_from_the_second_half() -> None:
    run = snapshots(0.0, 0.0, 0.0, n_frames=25)
    run.times = np.arange(25.0)
    assert ConvergenceMaker(n_snapshots=3).snapshots(run).times.tolist() == [12.0, 18.0, 24.0]
    assert len(ConvergenceMaker(n_snapshots=5).snapshots(run[:2])) == 1
    with pytest.raises(ValueError, match=r"convergence\.duration"):
        ConvergenceMaker().snapshots(run[:0])


def test_points_are_found_again_after_json() -> None:
    known, _ = solve(ConvergenceMaker(), {"cutoff": 3000.0, "mesh": 10.0})
    assert all(PlaneWaves.from_dict(point.as_dict()) in known for point in known)


def test_the_cost_is_that_of_the_expected_cutoff() -> None:
    """Points, snapshots and jobs as they run where 300 eV and Gamma are enough."""
    maker = ConvergenceMaker()
    known, rounds = solve(maker, {"cutoff": 3000.0, "mesh": 10.0})
    context = CostContext(Target("Cu"), find_engine("vasp"))
    run, points, decisions = maker.cost(context, DynamicsMaker(time_step=2.0))
    assert run.reference_evaluations == 250
    assert points.fireworks == len(known)
    assert points.reference_evaluations == len(known) * maker.n_snapshots
    # the start, what looks at each round, and what passes on the output of each spawning job
    assert decisions.fireworks == 1 + 2 * rounds
