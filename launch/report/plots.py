"""Figures of a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from launch.report.figures import figure_of, legend_beside, whole_numbers
from launch.report.labels import label_points
from launch.report.style import COLOURS, GREY, many_colours, sequence_colours
from launch.report.trajectories import melts_in
from search.relax.pressure import in_gpa
from search.state.fitness import better_first
from workflows.documents.dynamics import MeltingTemperatureDocument
from workflows.documents.improvement import ImproveDocument
from workflows.documents.known import KnownPhasesDocument
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import POTENTIAL, SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument
from workflows.stages.ranking import enthalpy_of, fitness_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from search.state.evolution import Evolution


@figure_of("melting_temperature", MeltingTemperatureDocument)
def plot_melting_temperature(document: MeltingTemperatureDocument) -> Figure | None:
    """Mean-square displacement by element at every temperature, and the diffusion coefficients."""
    points = [point for point in document.points if point.species]  # others were stopped
    if not points:
        return None
    elements = list(points[0].displacements)
    figure, axes = plt.subplots(
        1, len(elements) + 1, figsize=(3.4 * (len(elements) + 1), 3.2), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    axes = axes[0]
    span = [point.temperature for point in points]
    colours = dict(zip(sorted(span), sequence_colours(len(span)), strict=True))
    for axis, element in zip(axes, elements, strict=False):
        for point in points:
            style = "-" if point.species[element]["liquid"] else ":"
            axis.plot(point.times, point.displacements[element], style,
                      color=colours[point.temperature],
                      label=f"{point.temperature:.0f} K")  # fmt: skip
        axis.set(title=element, xlabel="time (ps)", ylabel="mean-square displacement (Å²)")
    axes[0].legend(loc="upper left", title="dotted: not diffusing", title_fontsize=8)
    for element in elements:
        axes[-1].errorbar(
            span,
            [point.species[element]["diffusivity"] for point in points],
            [point.species[element]["diffusivity_error"] for point in points],
            marker="o", capsize=2, label=element,
        )  # fmt: skip
    axes[-1].axvspan(
        document.melting_temperature - 2 * document.uncertainty,
        document.melting_temperature,
        alpha=0.2,
        label=document.in_words(),
    )
    axes[-1].set(xlabel="T (K)", ylabel="diffusion coefficient (Å²/ps)")
    axes[-1].locator_params(axis="x", nbins=5)
    axes[-1].legend(loc="upper left")
    return figure


@figure_of("trajectory", SampleDocument)
def plot_trajectory(document: SampleDocument) -> Figure:
    """Temperature, energy and pressure along liquid, quench and anneal."""
    figure, axes = plt.subplots(3, 1, figsize=(7, 6), sharex=True, layout="constrained")
    labels = {
        "temperature": "T (K)",
        "energy": "energy (eV/atom)",
        "pressure": "pressure (kbar)",
    }
    melts = melts_in(document.series)
    if len(melts) > 1:
        labels["energy"] = "energy above\nthe lowest (eV/atom)"
    for axis, (name, text) in zip(axes, labels.items(), strict=True):
        for formula, series in melts.items():
            zero = min(series[name]) if name == "energy" and len(melts) > 1 else 0.0
            values = np.array(series[name]) - zero
            axis.plot(series["time"], values, linewidth=0.7, label=formula)
        axis.set_ylabel(text)
    if len(melts) > 1:
        legend_beside(axes[0])
    axes[0].set_title(f"{document.formula}: {document.n_frames} frames of {document.n_atoms} atoms")
    axes[-1].set_xlabel("time (ps), trajectories one after the other")
    return figure


@figure_of("search", SearchDocument)
def plot_search(document: SearchDocument) -> Figure:
    """Best energy, or enthalpy, against structures relaxed, and the shares of the operators."""
    final, quantity = document.best_enthalpy, "enthalpy"
    if final is None:
        final, quantity = document.best_energy, "energy"
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for number, history in enumerate(document.histories, start=1):
        values, label = np.array(history[f"best_{quantity}"]), f"island {number}"
        if document.pressures:
            (pressure,) = history["pressure"]
            final, label = values.min(initial=np.inf), f"{label}, {in_gpa(pressure)}"
        axes[0].step(history["structures"], 1000 * (values - final), where="post", label=label)
    source = "NNP" if document.energies_of == POTENTIAL else document.energies_of
    axes[0].set(
        xlabel="structures relaxed",
        ylabel=f"best {source} {quantity} above the final best (meV/atom)",
    )
    if document.histories:  # a system has no best energy
        axes[0].legend(loc="upper right")  # energies fall
    else:
        axes[0].set_visible(False)
    operators = sorted({name for shares in document.shares for name in shares})
    if operators:
        axes[1].stackplot(
            range(1, len(document.shares) + 1),
            [[shares.get(name, 0.0) for shares in document.shares] for name in operators],
            labels=operators,
            colors=many_colours(len(operators)),
        )
        legend_beside(axes[1], backwards=True)
        axes[1].margins(0)
    axes[1].set(xlabel="generation", ylabel="share of the operators")
    return figure


def plot_landscape(evolution: Evolution) -> Figure:
    """Energy, or enthalpy, against the order of the structures, and distance from the best one."""
    from search.state.fingerprint import distances

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    found = [i for i in evolution.individuals if np.isfinite(i.energy)]
    zero, quantity = evolution.best_energy, evolution.fitness.quantity
    numbers, above = [i.id + 1 for i in found], [1000 * (i.energy - zero) for i in found]
    axes[0].scatter(numbers, above, s=3, alpha=0.4, rasterized=True)
    best = [1000 * (new.energy - zero) for new in evolution.best_history]
    relaxed = [new.structures for new in evolution.best_history]
    axes[0].step(relaxed, best, where="post", color=COLOURS[1])
    axes[0].set(xlabel="structure", ylabel=f"{quantity} above the best (meV/atom)")
    archive = evolution.archive
    if len(archive):
        from_best = distances(archive.fingerprints[0], archive.fingerprints)
        axes[1].scatter(from_best, 1000 * (archive.energies - zero), s=6)
    axes[1].set(xlabel="fingerprint distance from the best", ylabel=f"{quantity} above the best")
    for axis in axes:
        axis.set_ylim(-10, 600)
    return figure


@figure_of("learning", ImproveDocument)
def plot_learning(document: ImproveDocument) -> Figure | None:
    """
    Errors of the potential near the bottom, round by round, and the lowest energy of the engine.

    None where there was no round.
    """
    if not document.rounds:
        return None
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    numbers = np.array([row.number for row in document.rounds], dtype=float)
    for shift, label, found in (
        (-0.05, "on structures it had not seen", [row.before for row in document.rounds]),
        (0.05, "on all, after learning", [row.after for row in document.rounds]),
    ):
        means = np.array([one.mean_error for one in found], dtype=float)
        spreads = np.array([one.deviation for one in found], dtype=float)
        axes[0].errorbar(numbers + shift, means, spreads, marker="o", capsize=3, label=label)
    axes[0].axhline(0, color=GREY, linewidth=0.8)
    axes[0].set(xlabel="round", ylabel="potential minus engine (meV/atom)")
    whole_numbers(axes[0].xaxis)
    axes[0].legend()
    at_pressure = any(one.pressure for one in document.relaxed)
    quantity = "enthalpy" if at_pressure else "energy"
    evaluations = np.cumsum([row.evaluations for row in document.rounds])
    lowest = np.array([row.lowest_energy for row in document.rounds], dtype=float)
    axes[1].step(evaluations, 1000 * (lowest - np.nanmin(lowest)), where="post", marker="o")
    axes[1].set(
        xlabel="evaluations of the engine in rounds",
        ylabel=f"lowest engine {quantity}\nabove the final (meV/atom)",
    )
    _plot_calibration(axes[2], document)
    return figure


def _plot_calibration(axis: Axes, document: ImproveDocument) -> None:
    """Errors on crystals that the potential had not seen, against those that it expected."""
    seen = [one for one in document.relaxed if one.single_point is not None and one.expected_error]
    errors = [1000 * abs((one.single_point or 0.0) - one.energy) for one in seen]
    expected = [1000 * (one.expected_error or 0.0) for one in seen]
    if not seen:
        return
    axis.scatter(expected, errors, s=12)
    edge = np.array([0.0, max(expected)])
    for times in (1, 2, 3):
        axis.plot(edge, times * edge, color=GREY, linewidth=0.8, linestyle=(0, (4, times)))
    axis.set(
        xlabel="error expected by the potential (meV/atom)",
        ylabel="its error (meV/atom)",
        title="crystals not seen; lines at 1, 2, 3 times",
    )


def potential_enthalpy(candidate: CandidateDocument) -> float | None:
    """Energy of a candidate by the potential, with pressure times volume, eV/atom."""
    if candidate.single_point is not None:
        return candidate.single_point + candidate.work
    if candidate.potential_enthalpy is not None:
        return candidate.potential_enthalpy
    return candidate.potential_energy


def energies_above_best(
    candidates: Sequence[CandidateDocument], potential: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Energies by the engine above the best, and by the potential above its lowest, meV/atom.

    Of a system both are above the engine's hull at the composition of each.

    Parameters
    ----------
    candidates : sequence of CandidateDocument
        At one pressure.
    potential : ndarray
        Their enthalpies by the potential, eV/atom.
    """
    reference = np.array([enthalpy_of(candidate) for candidate in candidates])
    above = [candidate.above_hull for candidate in candidates]
    if all(one is not None for one in above):
        x = np.array(above, dtype=float)
        return x, (potential - reference) * 1000 + x
    best = enthalpy_of(better_first(candidates, fitness_of)[0])
    return (reference - best) * 1000, (potential - np.nanmin(potential)) * 1000


@figure_of("ranking", PredictionDocument)
def plot_ranking(document: PredictionDocument) -> Figure | None:
    """
    Energies of the candidates: the potential's above its lowest, against the reference's.

    At a pressure these are enthalpies, both at the same volume where the potential was evaluated
    at the geometry of the reference.

    None where nothing was ranked, and where no potential has relaxed the candidates.
    """
    figure, axis = plt.subplots(figsize=(4.5, 4), layout="constrained")
    quantity = "enthalpy" if document.pressure or document.pressures else "energy"
    names: list[tuple[float, float, str]] = []
    for one in document.by_pressure():
        potential = np.array([potential_enthalpy(c) for c in one.candidates], dtype=float)
        if not np.isfinite(potential).any():
            continue
        x, y = energies_above_best(one.candidates, potential)
        axis.plot([0, x.max()], [0, x.max()], color=GREY, linewidth=0.8)
        axis.scatter(x, y, s=16, label=in_gpa(one.pressure))
        groups = [candidate.space_group for candidate in one.candidates]
        names += zip(x.tolist(), y.tolist(), groups, strict=True)
    if not names:
        plt.close(figure)
        return None
    if document.pressures:
        legend_beside(axis)
    axis.set(
        xlabel=f"{document.engine} {quantity} above the {'hull' if document.hulls else 'best'} "
        "(meV/atom)",
        ylabel=f"NNP {quantity} above {'that hull' if document.hulls else 'its lowest'} (meV/atom)",
        title=f"{document.formula}: candidates",
    )
    axis.margins(0.12)
    label_points(axis, *zip(*names, strict=True))
    return figure


@figure_of("known", PredictionDocument, KnownPhasesDocument)
def plot_known(document: PredictionDocument, known: KnownPhasesDocument) -> Figure | None:
    """Energies against volumes: the ranked structures, and known phases by their names."""
    if not document.candidates or not known.phases:
        return None
    quantity = "enthalpy" if document.pressure else "energy"
    best = fitness_of(better_first(document.candidates, fitness_of)[0])
    figure, axis = plt.subplots(figsize=(4.8, 4), layout="constrained")
    crystals = [phase.crystal for phase in known.phases]
    looks: tuple[tuple[str, list[CandidateDocument], dict[str, Any]], ...] = (
        ("ranked", document.candidates, {"s": 22, "color": COLOURS[0]}),
        ("known", crystals, {"s": 46, "color": COLOURS[1], "marker": "D", "edgecolors": "white"}),
    )
    for label, found, style in looks:
        above = [1000 * (fitness_of(one) - best) for one in found]
        axis.scatter([one.volume for one in found], above, label=label, **style)
    axis.set(
        xlabel="volume (Å³/atom)",
        ylabel=f"{document.engine} {quantity} above the best ranked (meV/atom)",
        title=f"{document.formula}: ranked structures and known phases",
    )
    axis.margins(0.15)
    axis.legend()
    label_points(
        axis,
        [one.volume for one in crystals],
        [1000 * (fitness_of(one) - best) for one in crystals],
        [phase.label for phase in known.phases],
    )
    return figure


@figure_of("coverage", SampleDocument, TrainingDocument, PredictionDocument)
def plot_candidate_coverage(
    sample: SampleDocument, training: TrainingDocument, prediction: PredictionDocument
) -> Figure | None:
    """Environments of the candidates among those of the training set (paper, Fig. 3)."""
    from pymatgen.io.ase import AseAtomsAdaptor

    from nnp.analysis.coverage import Coverage
    from nnp.frames import Frames

    candidates = [
        AseAtomsAdaptor.get_atoms(candidate.structure) for candidate in prediction.candidates
    ]
    if not candidates:
        return None
    coverage = Coverage.fit(training.potential.functions, sample.frames)
    sets = {"other candidates": candidates[1:], "best candidate": candidates[:1]}
    return coverage.plot({name: Frames.from_atoms(atoms) for name, atoms in sets.items() if atoms})
