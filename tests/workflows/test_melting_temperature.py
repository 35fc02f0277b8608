"""The melting temperature from trajectories whose mobility is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnp.frames import Frames
from tests.workflows.samples import copper, emt
from workflows.documents.dynamics import MeltingTemperatureDocument, MobilityPoint, SegmentDocument
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.melting_temperature import MeltingTemperatureMaker

INTERVAL = 20.0  # fs


def trajectory(diffusivities: dict[str, float], n_frames: int = 150) -> SegmentDocument:
    """Atoms that vibrate about sites which themselves diffuse freely (Å²/ps by element)."""
    generator = np.random.default_rng(3)
    symbols = [symbol for symbol in diffusivities for _ in range(16)]
    spread = np.sqrt([2 * diffusivities[s] * INTERVAL / 1000 for s in symbols])
    walk = np.cumsum(generator.normal(size=(n_frames, 32, 3)) * spread[:, None], axis=0)
    positions = walk + generator.normal(0, 0.15, (n_frames, 32, 3)) + np.arange(32)[:, None]
    frames = []
    for number, frame in enumerate(positions):
        atoms = Atoms(symbols, frame, cell=np.eye(3) * 40, pbc=True)
        atoms.calc = SinglePointCalculator(
            atoms, energy=0.0, forces=np.zeros((32, 3)), stress=np.zeros(6)
        )
        atoms.info["time"] = number * INTERVAL
        frames.append(atoms)
    ones = [1.0] * n_frames
    return SegmentDocument(
        structure=copper(), engine="x", temperature=1000, end_temperature=1000, time_step=2.0,
        duration=n_frames * INTERVAL, sample_interval=INTERVAL, volume=1.0, temperatures=ones,
        pressures=ones, energies=ones, frames=Frames.from_atoms(frames, stage="x"),
    )  # fmt: skip


def point(temperature: float, liquid: bool) -> MobilityPoint:
    return MobilityPoint(
        temperature=temperature, liquid=liquid, pressure=1.0, pressure_error=1.0, species={},
        times=[], displacements={},
    )  # fmt: skip


def test_free_diffusion_is_liquid_with_the_right_diffusivity() -> None:
    result = MeltingTemperatureMaker().judge(1000, [trajectory({"Li": 0.4, "Cl": 0.3})])
    assert result.liquid
    assert result.species["Li"]["diffusivity"] == pytest.approx(0.4, rel=0.4)
    assert result.pressure == pytest.approx(1.0)


def test_a_vibrating_solid_is_not_liquid() -> None:
    assert not MeltingTemperatureMaker().judge(1000, [trajectory({"Li": 0.0, "Cl": 0.0})]).liquid


def test_one_mobile_sublattice_is_not_a_melt() -> None:
    result = MeltingTemperatureMaker().judge(1000, [trajectory({"Li": 0.5, "Cl": 0.0})])
    assert result.species["Li"]["liquid"]
    assert not result.species["Cl"]["liquid"]
    assert not result.liquid


def test_segments_of_one_run_are_joined() -> None:
    whole = trajectory({"Li": 0.4, "Cl": 0.3}, 150)
    parts = [whole.model_copy(update={"frames": whole.frames[half]})
             for half in (slice(0, 75), slice(75, None))]  # fmt: skip
    maker = MeltingTemperatureMaker()
    assert maker.judge(1, parts).species == maker.judge(1, [whole]).species


def search(maker: MeltingTemperatureMaker, truth: float) -> tuple[float, float, int]:
    """Run the search on a material that freezes below a temperature."""
    points: list[MobilityPoint] = []
    rounds = 0
    while temperatures := maker.next_temperatures(points):
        points += [point(temperature, temperature >= truth) for temperature in temperatures]
        rounds += 1
    document = maker.conclude(copper(), points, [])
    return document.melting_temperature, document.uncertainty, rounds


@pytest.mark.parametrize("side_by_side", [1, 2, 3])
@pytest.mark.parametrize(("truth", "expected"), [(1400, 1500), (3500, 3500), (600, 1000)])
def test_descent_stops_at_the_lowest_liquid(
    side_by_side: int, truth: float, expected: float
) -> None:
    found, uncertainty, _ = search(MeltingTemperatureMaker(side_by_side=side_by_side), truth)
    assert (found, uncertainty) == (expected, 250.0)


def test_refinement_halves_the_interval() -> None:
    found, uncertainty, _ = search(MeltingTemperatureMaker(refine=2), 1300)
    assert (found, uncertainty) == (1375.0, 62.5)


def test_more_side_by_side_takes_fewer_rounds() -> None:
    assert search(MeltingTemperatureMaker(), 600)[2] == 7
    assert search(MeltingTemperatureMaker(side_by_side=2), 600)[2] == 4


def test_a_melt_that_never_freezes_or_never_flows_gets_a_warning() -> None:
    maker = MeltingTemperatureMaker()
    always = maker.conclude(copper(), [point(t, True) for t in (1000, 500)], [])
    never = maker.conclude(copper(), [point(3500, False)], [])
    assert (always.melting_temperature, never.melting_temperature) == (500, 3500)
    assert "still liquid" in always.warning
    assert "not every species" in never.warning


def test_rattling_in_cages_seen_for_a_short_time_is_not_diffusion() -> None:
    """Slow motion is linear over a short run, but does not leave the cage."""
    result = MeltingTemperatureMaker().judge(1000, [trajectory({"Li": 0.1, "Cl": 0.1}, 50)])
    assert result.species["Li"]["r_squared"] > 0.9
    assert result.species["Li"]["largest"] < 1.0
    assert not result.liquid


def run(temperature: float, liquid: bool, volume_factor: float) -> dict[str, object]:
    """A finished run as ``advance`` gets it; its structure is told by its volume."""
    mobility = 0.5 if liquid else 0.0
    segment = trajectory({"Li": mobility, "Cl": mobility})
    structure = copper()
    structure.scale_lattice(structure.volume * volume_factor)
    return {"temperature": temperature, "segments": [segment], "structure": structure}


def test_the_structure_handed_on_is_that_of_the_melting_temperature() -> None:
    """A run that looks liquid below a solid, by chance, does not count."""
    maker = MeltingTemperatureMaker(side_by_side=3, highest=2000, lowest=1000, step=500)
    runs = [run(2000, True, 1.1), run(1500, False, 1.2), run(1000, True, 1.3)]
    advance = MeltingTemperatureMaker.advance.original
    response = advance(maker, copper(), DynamicsMaker(engine=emt()), [], runs, [])
    assert response.output.melting_temperature == 2000
    assert response.output.structure.volume == pytest.approx(copper().volume * 1.1)


@pytest.mark.parametrize(
    ("liquid", "said"),
    [
        ((False, True, True), "T_m = 1000 ± 250 K"),
        ((True, True, True), "T_m ≤ 500 K"),
        ((False, False, False), "T_m > 1500 K"),
    ],
)
def test_what_was_not_bracketed_is_said_as_a_bound(liquid: tuple[bool, ...], said: str) -> None:
    points = [
        MobilityPoint(temperature=500.0 * n, liquid=one, pressure=0.0, pressure_error=1.0,
                      species={"Cu": {"liquid": one}}, times=[], displacements={})
        for n, one in enumerate(liquid, start=1)
    ]  # fmt: skip
    temperature = next((p.temperature for p in points if p.liquid), points[-1].temperature)
    document = MeltingTemperatureDocument(
        melting_temperature=temperature, uncertainty=250.0, pressure=0.0, structure=copper(1),
        points=points, segments=[],
    )  # fmt: skip
    assert document.in_words() == said
