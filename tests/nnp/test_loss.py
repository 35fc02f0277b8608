"""The loss of several networks at once: its gradient, and that each is as if it were alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.training import feed_forward
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.loss import Loss, LossWeights
from tests.nnp.samples import disordered, random_potential

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"), 5.0, 4.0)
WEIGHTS = LossWeights(energy=1.0, force=3.0, stress=0.5, l2=1e-3)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Structures of two sizes with labels; one stress is missing."""
    structures = [disordered("Li4Cl4", 6.0, seed=k) for k in range(11)]
    structures += [disordered("Li2Cl3", 5.6, seed=k) for k in range(9)]
    found = random_potential(FUNCTIONS, seed=3, hidden=(5,)).compute(structures)
    stresses = found.stresses.copy()
    stresses[4] = np.nan
    return replace(
        Frames.from_atoms(structures),
        energies=found.energies,
        forces=np.concatenate(found.forces),
        stresses=stresses,
    )


@pytest.fixture(scope="module")
def loss(frames: Frames) -> Loss:
    return make_loss(frames)


def make_loss(frames: Frames, weights: NDArray[np.float64] | None = None, threads: int = 1) -> Loss:
    environments = Environments(frames, FUNCTIONS, 1e9)
    preprocessing = Preprocessing.fit(environments.values, FUNCTIONS.n_functions, 1e-2)
    return Loss(
        frames,
        environments,
        preprocessing,
        (7, 6),
        WEIGHTS,
        np.array([-3.0, -2.0]),
        threads,
        np.float64,
        weights,
    )


def networks(loss: Loss, count: int) -> NDArray[np.float64]:
    """Random parameters, biases too."""
    rng = np.random.default_rng(1)
    nets = [
        feed_forward.flatten([feed_forward.initial_layers(loss.sizes, rng) for _ in range(2)])
        for _ in range(count)
    ]
    return np.array(nets) + 0.1 * rng.normal(size=(count, len(nets[0])))


def test_gradient_is_that_of_the_loss(frames: Frames) -> None:
    """Central differences along random directions, with frames that count more than others."""
    rng = np.random.default_rng(2)
    loss = make_loss(frames, rng.uniform(0.5, 4.0, len(frames)))
    parameters = networks(loss, 5)
    batch = loss.batch(np.arange(1, len(frames)))
    gradients = loss(parameters, batch)[1]
    for _ in range(4):
        direction = rng.normal(size=parameters.shape)
        h = 3e-4
        ahead, behind = (loss(parameters + s * h * direction, batch)[0] for s in (1, -1))
        slopes = (gradients * direction).sum(axis=1)
        # derivatives of the moments are in single precision
        scale = np.linalg.norm(gradients, axis=1)
        np.testing.assert_allclose((ahead - behind) / (2 * h * scale), slopes / scale, atol=2e-4)


def test_networks_side_by_side_are_what_they_are_alone(loss: Loss, frames: Frames) -> None:
    """To the last bit, whichever others are there: one that finishes changes none of the rest."""
    parameters = networks(loss, 6)
    batch = loss.batch(np.arange(len(frames)))
    values, gradients, errors = loss(parameters, batch)
    for chosen in ([0], [5], [1, 4], [2, 3, 5], [5, 4, 3, 2, 1]):
        some = loss(parameters[chosen], batch)
        np.testing.assert_array_equal(some[0], values[chosen])
        np.testing.assert_array_equal(some[1], gradients[chosen])
        assert some[2] == [errors[k] for k in chosen]
        assert loss.errors(parameters[chosen], batch) == some[2]


def test_threads_change_nothing(loss: Loss, frames: Frames) -> None:
    parameters = networks(loss, 3)
    one = loss(parameters, loss.batch(np.arange(len(frames))))
    other = make_loss(frames, threads=3)
    three = other(parameters, other.batch(np.arange(len(frames))))
    np.testing.assert_array_equal(one[1], three[1])


def test_errors_are_those_of_a_potential(loss: Loss, frames: Frames) -> None:
    """The networks, put into a potential and evaluated by the other kernels."""
    environments = Environments(frames, FUNCTIONS, 0.0)
    preprocessing = Preprocessing.fit(environments.values, FUNCTIONS.n_functions, 1e-2)
    parameters = networks(loss, 2)
    nets = feed_forward.unflatten(parameters, loss.sizes, 2)
    potential = replace(
        random_potential(FUNCTIONS),
        shift=preprocessing.shift,
        scale=preprocessing.scale,
        projection=preprocessing.projection,
        weights=tuple(np.array([net[k][0] for net in nets]) for k in range(3)),
        biases=tuple(np.array([net[k][1] for net in nets]) for k in range(3)),
        reference_energies=np.array([-3.0, -2.0]),
    )
    found = loss.errors(parameters, loss.batch(np.arange(len(frames))))
    for k in range(2):
        alone = replace(
            potential,
            weights=tuple(w[:, k : k + 1] for w in potential.weights),
            biases=tuple(b[:, k : k + 1] for b in potential.biases),
        )
        predictions = alone.compute(frames.to_atoms())
        energy = (predictions.energies - frames.energies) / frames.counts
        assert found[k].energy == pytest.approx(1e3 * np.sqrt(np.mean(energy**2)), rel=1e-6)
        force = np.concatenate(predictions.forces) - frames.forces
        assert found[k].force == pytest.approx(np.sqrt(np.mean(force**2)), rel=1e-6)
        stress = 1602.1766208 * np.sqrt(np.nanmean((predictions.stresses - frames.stresses) ** 2))
        assert found[k].stress == pytest.approx(stress, rel=1e-6)


def test_a_weight_counts_a_frame_that_often(frames: Frames) -> None:
    weights = np.ones(len(frames))
    weights[[2, 13]] = 3.0
    loss = make_loss(frames, weights)
    parameters = networks(loss, 2)
    repeated = np.sort(np.r_[np.arange(len(frames)), [2, 2, 13, 13]])
    plain = make_loss(frames)
    expected = plain(parameters, plain.batch(repeated))
    found = loss(parameters, loss.batch(np.arange(len(frames))))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    scale = np.abs(expected[1]).max()
    np.testing.assert_allclose(found[1] / scale, expected[1] / scale, atol=1e-7)
    # errors are those of the frames, each once
    assert found[2] == plain.errors(parameters, plain.batch(np.arange(len(frames))))
