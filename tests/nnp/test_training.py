"""Training recovers a known potential, and says clearly what it cannot use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from ase import Atoms

from nnp.calculator import NeuralNetworkCalculator
from nnp.calibration import Calibration
from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import evaluate, expected_force_errors, force_spreads, predict
from nnp.frames import Frames
from nnp.potential import Potential
from nnp.training.learning_curve import part_of
from nnp.training.trainer import (
    TrainingOptions,
    TrainingResult,
    TrainingStep,
    choose_split,
    train,
)
from tests.benchmarks.frames import load
from tests.nnp.samples import disordered, random_potential

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"), 5.0, 4.0)
QUICK = TrainingOptions(
    radial_cutoff=5.0, angular_cutoff=4.0, hidden=(12, 12), optimizer="lbfgs", max_epochs=60
)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Vibrating structures labelled by a potential with random weights."""
    teacher = random_potential(FUNCTIONS, seed=3, hidden=(5,))
    rng = np.random.default_rng(0)
    base = [disordered("Li4Cl4", 6.0, seed=1), disordered("Li3Cl6", 6.2, seed=2)]
    structures = []
    for n in range(60):
        atoms = base[n // 40].copy()
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        atoms.set_cell(atoms.cell * (1 + 0.02 * rng.normal()), scale_atoms=True)
        structures.append(atoms)
    return label(structures, teacher)


def label(structures: list[Atoms], teacher: Potential) -> Frames:
    found = teacher.compute(structures)
    labelled = Frames.from_atoms(structures, stage="liquid")
    return replace(
        labelled,
        energies=found.energies,
        forces=np.concatenate(found.forces),
        stresses=found.stresses,
    )


@pytest.fixture(scope="module")
def result(frames: Frames) -> TrainingResult:
    steps: list[TrainingStep] = []
    found = train(frames, QUICK, seed=1, progress=steps.append)
    assert [step.epoch for step in steps] == list(range(1, len(found.history) + 1))
    return found


def test_thresholds_are_reached_and_reported_truthfully(
    frames: Frames, result: TrainingResult
) -> None:
    assert result.reached
    assert result.reason == "thresholds reached"
    held_out = frames[result.validation_frames]
    found = result.potential.compute(held_out.to_atoms())
    error = 1e3 * np.sqrt(np.mean(((found.energies - held_out.energies) / held_out.counts) ** 2))
    assert error == pytest.approx(result.validation.energy, rel=1e-2)
    assert error < 10.0
    difference = np.concatenate(found.forces) - held_out.forces
    assert np.sqrt(np.mean(difference**2)) == pytest.approx(result.validation.force, rel=1e-3)
    stress = 1602.1766208 * np.sqrt(np.mean((found.stresses - held_out.stresses) ** 2))
    assert stress == pytest.approx(result.validation.stress, rel=1e-2)


def test_validation_frames_are_no_neighbours_of_training_frames(result: TrainingResult) -> None:
    distances = np.abs(np.subtract.outer(result.validation_frames, result.training_frames)).min(
        axis=1
    )
    assert distances.min() > 2
    assert not set(result.validation_frames) & set(result.training_frames)


def test_same_seed_same_potential(frames: Frames, result: TrainingResult) -> None:
    again = train(frames, QUICK, seed=1)
    for a, b in zip(again.potential.weights, result.potential.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    other = train(frames, replace(QUICK, max_epochs=2), seed=2)
    assert not np.array_equal(other.potential.weights[0], result.potential.weights[0])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_interrupted_training_continues_where_it_was(
    frames: Frames, optimizer: Literal["lbfgs", "adam"], tmp_path: Path
) -> None:
    options = replace(
        QUICK,
        optimizer=optimizer,
        stop="converged",
        max_epochs=8,
        checkpoint_interval=0.0,
        learning_rate=1e-3,
    )
    path = tmp_path / "checkpoint"
    whole = train(frames, options, seed=4)

    def kill(step: TrainingStep) -> None:
        if step.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(frames, options, seed=4, progress=kill, checkpoint=path)
    assert path.exists()
    epochs: list[int] = []
    resumed = train(
        frames, options, seed=4, progress=lambda s: epochs.append(s.epoch), checkpoint=path
    )
    assert epochs[0] == 5
    assert [s.validation for s in resumed.history] == [s.validation for s in whole.history]
    epochs.clear()
    again = train(
        frames, options, seed=4, progress=lambda s: epochs.append(s.epoch), checkpoint=path
    )
    assert not epochs  # what is finished is not done again while the checkpoint is kept
    assert again.reason == resumed.reason
    np.testing.assert_array_equal(again.potential.weights[0], resumed.potential.weights[0])


def test_adam_learns(frames: Frames) -> None:
    options = replace(QUICK, optimizer="adam", batch_size=4, max_epochs=25, stop="converged")
    history = train(frames, options, seed=0).history
    assert history[-1].training.force < 0.4 * history[0].training.force


def test_recomputed_derivatives_give_the_same_training(frames: Frames) -> None:
    options = replace(QUICK, max_epochs=3, stop="converged")
    cached = train(frames, options, seed=0)
    lean = train(frames, replace(options, memory_limit=0.0), seed=0)
    for a, b in zip(cached.potential.weights, lean.potential.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_result_document(result: TrainingResult, frames: Frames) -> None:
    copy = TrainingResult.from_dict(result.as_dict())
    atoms = frames[0].to_atoms()
    assert copy.history == result.history
    assert copy.potential.compute(atoms).energies[0] == result.potential.compute(atoms).energies[0]


def test_core_is_not_felt_in_the_data_and_wins_below(
    frames: Frames, result: TrainingResult
) -> None:
    potential = result.potential
    bare = replace(potential, repulsion=None)
    structures = frames.to_atoms()
    np.testing.assert_array_equal(
        potential.compute(structures).energies, bare.compute(structures).energies
    )
    atoms = structures[7]
    distances = atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    direction = atoms.get_distance(i, j, mic=True, vector=True) / distances[i, j]
    symbols = [potential.elements.index(atoms.symbols[k]) for k in (i, j)]
    assert potential.repulsion is not None
    end = potential.repulsion.ends[symbols[0]][symbols[1]]
    trials = []
    for r in np.linspace(0.4, 0.85 * end, 15):
        trial = atoms.copy()
        trial.positions[j] = atoms.positions[i] + r * direction
        trials.append(trial)
    energies = potential.compute(trials).energies
    assert (np.diff(energies) < 0).all()
    assert energies[0] - energies[-1] > 200.0


def test_calculator_agrees_and_follows_changes(result: TrainingResult, frames: Frames) -> None:
    atoms = frames[3].to_atoms()[0]
    atoms.calc = NeuralNetworkCalculator(result.potential)
    expected = result.potential.compute([atoms])
    assert atoms.get_potential_energy() == pytest.approx(expected.energies[0], abs=1e-11)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces[0], atol=1e-12)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), expected.stresses[0], atol=1e-14)
    assert atoms.get_potential_energies().sum() == pytest.approx(expected.energies[0])
    del atoms[0]
    assert atoms.get_potential_energy() == pytest.approx(
        result.potential.compute([atoms]).energies[0], abs=1e-11
    )


def test_missing_stress_single_frame_and_mixed_sizes(frames: Frames) -> None:
    stresses = frames.stresses.copy()
    stresses[::2] = np.nan
    partly = train(replace(frames, stresses=stresses), replace(QUICK, max_epochs=5))
    assert np.isfinite(partly.validation.stress)
    none = train(replace(frames, stresses=stresses * np.nan), replace(QUICK, max_epochs=5))
    assert np.isnan(none.validation.stress)
    one = train(frames[0], replace(QUICK, max_epochs=40))
    assert one.validation.energy < 10.0


@pytest.mark.parametrize(
    ("field", "index", "message"),
    [
        ("energies", 2, "Frame 2 has no finite energy"),
        ("forces", 9, "Frame 1 has missing or infinite forces"),
        ("positions", 0, "Frame 0 has missing or infinite positions"),
    ],
)
def test_unusable_frames_are_named(frames: Frames, field: str, index: int, message: str) -> None:
    values = getattr(frames, field).copy()
    values[index] = np.nan
    with pytest.raises(ValueError, match=message):
        train(replace(frames, **{field: values}), QUICK)
    with pytest.raises(ValueError, match="no frames"):
        train(frames[[]], QUICK)


@pytest.fixture(scope="module")
def ensemble(frames: Frames) -> TrainingResult:
    return train(frames, replace(QUICK, members=3, max_epochs=15, stop="converged"), seed=5)


def test_ensemble_members_are_trained_apart_on_shared_inputs(
    frames: Frames, ensemble: TrainingResult
) -> None:
    assert ensemble.potential.n_members == 3
    assert [step.member for step in ensemble.history] == [0] * 15 + [1] * 15 + [2] * 15
    weights = ensemble.potential.weights[0]
    assert not np.allclose(weights[:, 0], weights[:, 1])
    single = train(frames, replace(QUICK, max_epochs=15, stop="converged"), seed=5)
    np.testing.assert_array_equal(single.potential.weights[0][:, 0], weights[:, 0])


def test_uncertainty_is_calibrated_on_held_out_frames(
    frames: Frames, ensemble: TrainingResult
) -> None:
    found = evaluate(ensemble.potential, frames[ensemble.validation_frames])
    expected = np.sqrt(np.mean(found.predictions.uncertainties**2))
    assert expected == pytest.approx(1e-3 * ensemble.validation.energy, rel=0.25)
    assert 0.4 < np.mean(found.within(1.0)) < 0.95
    squeezed = frames[0].to_atoms()[0]
    squeezed.set_cell(squeezed.cell * 0.8, scale_atoms=True)
    unknown = ensemble.potential.compute([squeezed]).uncertainties[0]
    assert unknown > found.predictions.uncertainties.max()
    squeezed.calc = NeuralNetworkCalculator(ensemble.potential)
    assert squeezed.calc.get_property("uncertainty", squeezed) == pytest.approx(unknown)


def test_force_uncertainty_is_calibrated_and_kept(
    frames: Frames, ensemble: TrainingResult, tmp_path: Path
) -> None:
    potential, held_out = ensemble.potential, frames[ensemble.validation_frames]
    spreads = force_spreads(potential, held_out)
    members = np.array(
        [np.concatenate(predict(potential.member(k), held_out).forces) for k in range(3)]
    )
    np.testing.assert_allclose(spreads**2, members.var(axis=0).mean(axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        members.mean(axis=0), np.concatenate(predict(potential, held_out).forces), atol=1e-10
    )
    expected = expected_force_errors(potential, held_out)
    assert np.sqrt(np.mean(expected**2)) == pytest.approx(ensemble.validation.force, rel=0.35)
    errors = np.abs(members.mean(axis=0) - held_out.forces)
    assert 0.55 < np.mean(errors < expected[:, None]) < 0.9
    potential.save(tmp_path / "ensemble.nnp")
    assert Potential.load(tmp_path / "ensemble.nnp").force_calibration == (
        potential.force_calibration
    )
    document = potential.as_dict()
    del document["force_calibration"]  # as earlier versions wrote it
    assert Potential.from_dict(document).force_calibration == Calibration()
    assert not expected_force_errors(potential.member(0), held_out).any()


def test_interrupted_ensemble_continues_where_it_was(
    frames: Frames, ensemble: TrainingResult, tmp_path: Path
) -> None:
    options = replace(QUICK, members=3, max_epochs=15, stop="converged", checkpoint_interval=0.0)
    path = tmp_path / "checkpoint"

    def kill(step: TrainingStep) -> None:
        if step.epoch == 6:  # of the first that comes so far; others are in their line searches
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(frames, options, seed=5, progress=kill, checkpoint=path)
    resumed = train(frames, options, seed=5, checkpoint=path)
    assert len(resumed.history) == 45
    for a, b in zip(resumed.potential.weights, ensemble.potential.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluation_leaves_out_what_has_no_reference(
    frames: Frames, result: TrainingResult
) -> None:
    energies = frames.energies.copy()
    energies[3] = np.nan
    some = evaluate(result.potential, replace(frames, energies=energies)[:6])
    assert np.isnan(some.energy_errors[3])
    kept = np.delete(some.energy_errors, 3)
    assert some.errors.energy == pytest.approx(1e3 * np.sqrt(np.mean(kept**2)))
    assert some.calibration == Calibration()  # one network has no spread
    nothing = replace(frames, energies=energies * np.nan)
    assert np.isnan(evaluate(result.potential, nothing[:2]).errors.energy)


def test_threads_do_not_change_the_result(frames: Frames) -> None:
    options = replace(QUICK, max_epochs=4, stop="converged")
    one, two = (train(frames, replace(options, threads=n), seed=3) for n in (1, 2))
    for a, b in zip(one.potential.weights, two.potential.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_frames_give_smaller_errors_on_the_same_frames(frames: Frames) -> None:
    options = replace(QUICK, stop="converged")
    training, validation = choose_split(frames, options, 1)
    parts = [part_of(training, fraction) for fraction in (0.1, 1.0)]
    assert len(parts[0]) == round(0.1 * len(training))
    few, all_ = (train(frames, options, seed=1, split=(part, validation)) for part in parts)
    assert few.validation_frames == all_.validation_frames
    assert all_.validation.force < 0.7 * few.validation.force


def test_training_begins_from_an_earlier_potential() -> None:
    """On frames of LiAlCl4 it reaches the error of a fresh training in clearly fewer epochs."""
    data = load("LiAlCl4")
    data = data[np.unique(np.linspace(0, len(data) - 1, 120).round().astype(int))]
    options = TrainingOptions(
        optimizer="lbfgs", split="random", stop="converged", hidden=(15,), members=2
    )
    earlier = train(data[:80], options, seed=1).potential
    fresh = train(data, options, seed=1)
    again = train(data, options, seed=1, start=earlier)
    assert again.potential.record["began_from_another"]
    assert again.validation_frames == fresh.validation_frames
    for member in range(2):
        forces = [
            np.array([s.validation.force for s in result.history if s.member == member])
            for result in (again, fresh)
        ]
        epochs = [int(np.argmax(part < 1.1 * forces[1].min())) for part in forces]
        assert 0 < epochs[0] < 0.6 * epochs[1]
    assert again.validation.force < 1.1 * fresh.validation.force


def test_a_start_of_another_kind_is_refused_and_one_from_afar_not_used(
    frames: Frames, result: TrainingResult
) -> None:
    with pytest.raises(ValueError, match=r"other hidden layers \(\(12, 12\) instead of \(9,\)\)"):
        train(frames, replace(QUICK, hidden=(9,)), start=result.potential)
    with pytest.raises(ValueError, match="other number of networks"):
        train(frames, replace(QUICK, members=2), start=result.potential)
    with pytest.raises(ValueError, match="other symmetry functions and cutoffs"):
        train(frames, replace(QUICK, angular_cutoff=4.5), start=result.potential)
    narrow = frames[[0, 1, 2]]
    few = train(narrow, replace(QUICK, max_epochs=3), split=(np.arange(3), np.arange(3)))
    short = replace(QUICK, max_epochs=3)
    again = train(frames, short, seed=2, start=few.potential)
    assert not again.potential.record["began_from_another"]
    fresh = train(frames, short, seed=2)
    np.testing.assert_array_equal(again.potential.weights[0], fresh.potential.weights[0])


def test_checkpoint_knows_its_start(frames: Frames, result: TrainingResult, tmp_path: Path) -> None:
    options = replace(QUICK, max_epochs=6, stop="converged", checkpoint_interval=0.0)
    path = tmp_path / "checkpoint"

    def kill(step: TrainingStep) -> None:
        if step.epoch == 4:
            raise KeyboardInterrupt

    def attempt(start: Potential | None) -> list[int]:
        epochs: list[int] = []
        train(
            frames,
            options,
            seed=4,
            progress=lambda step: epochs.append(step.epoch),
            checkpoint=path,
            start=start,
        )
        return epochs

    whole = train(frames, options, seed=4, start=result.potential)
    with pytest.raises(KeyboardInterrupt):
        train(frames, options, seed=4, progress=kill, checkpoint=path, start=result.potential)
    kept = path.read_bytes()
    assert attempt(None)[0] == 1
    path.write_bytes(kept)
    assert attempt(result.potential)[0] == 4
    assert whole.potential.record["began_from_another"]


def test_crystals_can_count_more(frames: Frames) -> None:
    """Frames that cannot be fitted together with the rest are fitted the better."""
    stages = frames.stages.astype("<U10")
    stages[::9] = "relaxation"
    crystals = stages == "relaxation"
    energies = frames.energies + np.where(crystals, 0.4, 0.0)
    odd = replace(frames, energies=energies, stages=stages)
    options = replace(QUICK, max_epochs=40, stop="converged", force_weight=1.0)
    found = []
    for weight in (1.0, 20.0):
        potential = train(odd, replace(options, crystal_weight=weight), seed=1).potential
        found.append(np.abs(evaluate(potential, odd).energy_errors))
    assert found[1][crystals].mean() < 0.7 * found[0][crystals].mean()
    assert found[1][~crystals].mean() > found[0][~crystals].mean()
