"""The interactive figures of a campaign: each with what it shows, and what would be bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.report.page.content import Chart, Panel
from launch.report.page.quench import quench
from launch.report.page.traces import (
    COLOURS,
    GREY,
    LOGARITHMIC,
    curve,
    label,
    line_of_equality,
    points,
    rounded,
    sequence_colours,
)
from launch.report.style import many_colours
from launch.report.training_history import broken
from search.relax.pressure import GPA, in_gpa
from workflows.documents.dynamics import MeltingTemperatureDocument
from workflows.documents.improvement import ImproveDocument
from workflows.documents.judge import JudgeDocument
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import POTENTIAL, SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument

if TYPE_CHECKING:
    from launch.report.campaign_results import CampaignResults
    from workflows.documents.base import StageDocument

#: Points of a parity plot that are shown.
MOST_PARITY = 1000
#: Quantities that a potential is trained on, with the units of their errors.
TRAINED = (("energy", "meV/atom"), ("force", "eV/Å"), ("stress", "kbar"))


def charts_of(results: CampaignResults) -> Iterator[Chart]:
    """
    Draw what there is of a campaign so far; the landscape is drawn elsewhere.

    Parameters
    ----------
    results : CampaignResults
    """
    drawn: tuple[tuple[type[StageDocument], Callable[[Any], Chart | None]], ...] = (
        (SearchDocument, search_progress),
        (PredictionDocument, phases),
        (PredictionDocument, ranking_agreement),
        (ImproveDocument, learning),
        (JudgeDocument, judgement),
        (TrainingDocument, parity),
        (TrainingDocument, training),
        (MeltingTemperatureDocument, mobility),
        (SampleDocument, quench),
    )
    for kind, draw in drawn:
        document = results.newest(kind)
        chart = None if document is None else draw(document)
        if chart is not None:
            yield chart
    if (chart := coverage(results)) is not None:
        yield chart


def search_progress(document: SearchDocument) -> Chart:
    """Best energy, or enthalpy, against the structures that were relaxed."""
    final, quantity = document.best_enthalpy, "enthalpy"
    if final is None:
        final, quantity = document.best_energy, "energy"
    source = "NNP" if document.energies_of == POTENTIAL else document.energies_of
    best = []
    histories = zip(document.histories, cycle(COLOURS), strict=False)
    for number, (history, colour) in enumerate(histories, start=1):
        values, name = np.array(history[f"best_{quantity}"]), f"island {number}"
        if document.pressures:  # each of them has a lowest enthalpy of its own
            (pressure,) = history["pressure"]
            final, name = values.min(initial=np.inf), f"{name}, {in_gpa(pressure)}"
        above = (1000 * (values - final)).tolist()
        best.append(curve(history["structures"], above, name, colour, shape="hv"))
    operators = sorted({name for shares in document.shares for name in shares})
    shares = [
        {
            **curve(
                list(range(1, len(document.shares) + 1)),
                [row.get(name, 0.0) for row in document.shares], name, colour, width=0.5,
            ),
            "stackgroup": "one",
        }
        for name, colour in zip(operators, many_colours(len(operators)), strict=True)
    ]  # fmt: skip
    panels = []
    if best:  # a system has no best energy
        title = f"best {source} {quantity} above the last (meV/atom)"
        panels.append(Panel("structures relaxed", title, best))
    if shares:
        panels.append(Panel("generation", "share of the operators", shares))
    sentence = (
        "The energy of the best structure while structures were searched, and what made them. An "
        "uncertain energy counts against a structure, so that a better one may have a higher "
        "energy. A curve that still falls at its end, or islands that end at different energies, "
        "say that the search was too short."
        if best
        else "What made the structures. One operator that makes nearly all of them leaves little "
        "variety."
    )
    return Chart("The search", sentence, panels)


def ranking_agreement(document: PredictionDocument) -> Chart | None:
    """Energies of the candidates by the potential and by the engine, at each pressure."""
    from launch.report.plots import energies_above_best, potential_enthalpy

    rows = {id(candidate): row for row, candidate in enumerate(document.candidates)}
    traces, highest = [], 0.0
    for one, colour in zip(document.by_pressure(), cycle(COLOURS[1:]), strict=False):
        ranked = one.candidates
        potential = np.array([potential_enthalpy(candidate) for candidate in ranked], dtype=float)
        if not np.isfinite(potential).any():
            continue
        x, y = energies_above_best(ranked, potential)
        highest = max(highest, float(x.max()))
        texts = [f"{candidate.rank}: {candidate.space_group}" for candidate in ranked]
        name = in_gpa(one.pressure) if document.pressures else "ranked"
        traces.append(
            points(x.tolist(), y.tolist(), name, colour, texts=texts, size=8,
                   crystals=[rows[id(candidate)] for candidate in ranked])
        )  # fmt: skip
    if not traces:
        return None
    quantity = "enthalpy" if document.pressure or document.pressures else "energy"
    return Chart(
        "Ranking by engine and by potential",
        "Each point is a ranked structure. Points far from the line are structures that the "
        "potential misjudges; if the order along both axes differs, the search may have left out "
        "a better one.",
        [
            Panel(
                f"{label(document.engine)} {quantity} above the "
                f"{'hull' if document.hulls else 'best'} (meV/atom)",
                f"NNP {quantity} above {'that hull' if document.hulls else 'its lowest'} "
                "(meV/atom)",
                [line_of_equality([0.0, highest]), *traces],
            )
        ],
    )


def phases(document: PredictionDocument) -> Chart | None:
    """Enthalpies of the phases against the pressure; none where there is one pressure."""
    from launch.report.phase_lines import lines_above_lowest

    if not document.pressures or not document.phases:
        return None
    grid, above = lines_above_lowest(document)
    traces = []
    for phase, values, colour in zip(document.phases, above, cycle(COLOURS), strict=False):
        traces.append(curve((grid / GPA).tolist(), (1000 * values).tolist(), phase.name, colour))
        ranked = [point for point in phase.points if point.rank]
        traces.append(
            points(
                [point.pressure / GPA for point in ranked],
                [point.above_best or 0.0 for point in ranked],
                phase.name, colour, texts=[f"rank {point.rank}" for point in ranked], size=7,
            )
        )  # fmt: skip
    return Chart(
        "Phases and pressure",
        "Enthalpy of each phase above the lowest one; where that changes, there is a transition. "
        "Points are relaxations, lines cubics between them. A line that bends much between two "
        "points says that a pressure between them is missing.",
        [
            Panel(
                "pressure (GPa)",
                f"{label(document.engine)} enthalpy above the lowest (meV/atom)",
                traces,
            )
        ],
    )


def learning(document: ImproveDocument) -> Chart | None:
    """Errors of the potential near the bottom, round by round; none where there was no round."""
    if not document.rounds:
        return None
    numbers = [float(row.number) for row in document.rounds]
    errors = []
    for name, found, colour in (
        ("not seen in training", [row.before for row in document.rounds], COLOURS[1]),
        ("after learning, on all", [row.after for row in document.rounds], COLOURS[0]),
    ):
        means = np.array([one.mean_error for one in found], dtype=float)
        spread = np.array([one.deviation for one in found], dtype=float)
        trace = points(numbers, means.tolist(), name, colour, size=8)
        errors.append({**trace, "error_y": {"array": rounded(spread.tolist()), "color": colour}})
    evaluations = np.cumsum([row.evaluations for row in document.rounds]).tolist()
    lowest = np.array([row.lowest_energy for row in document.rounds], dtype=float)
    falls = curve(
        evaluations, (1000 * (lowest - np.nanmin(lowest))).tolist(), "lowest", COLOURS[2],
        shape="hv",
    )  # fmt: skip
    return Chart(
        "Rounds of learning",
        "Errors of the potential on low structures, mean and deviation, before and after it has "
        "learnt from them, and the lowest energy by the engine. Errors that stay large, or a "
        "lowest energy that still falls, say that more rounds are needed.",
        [
            Panel("round", "potential minus engine (meV/atom)", errors, {"xaxis": {"dtick": 1}}),
            Panel(
                "evaluations of the engine", "lowest energy above the last (meV/atom)",
                [{**falls, "mode": "lines+markers"}],
            ),
        ],
    )  # fmt: skip


def judgement(document: JudgeDocument) -> Chart:
    """Energies by the potential against the engine's, on crystals that training has not seen."""
    zero = min(point.reference_energy for point in document.points)
    traces = []
    for origin, colour in zip(("search", "random", "known"), COLOURS, strict=False):
        found = [p for p in document.points if p.origin == origin and not p.in_training]
        if found:
            traces.append(
                points(
                    [1000 * (p.reference_energy - zero) for p in found],
                    [1000 * (p.potential_energy - zero) for p in found],
                    origin, colour, texts=[f"{p.label}, {p.space_group}" for p in found],
                )
            )  # fmt: skip
    ends = [value for trace in traces for value in trace["x"]]
    return Chart(
        "Judgement",
        "Crystals that training has not seen, by engine and by potential, at the same geometry. "
        "Points far from the line below 200 meV/atom are bad: there the search has to choose.",
        [
            Panel(
                f"by {label(document.engine)} (meV/atom)", "by NNP (meV/atom)",
                [line_of_equality([0.0, *ends]), *traces],
            )
        ],
    )  # fmt: skip


def parity(document: TrainingDocument) -> Chart:
    """Potential against engine on the validation set."""
    panels = []
    for name, unit, error in (
        ("energy", "eV/atom", f"{document.energy_rmse:.1f} meV/atom"),
        ("force", "eV/Å", f"{document.force_rmse:.2f} eV/Å"),
    ):
        x, y = document.parity[f"{name}_reference"], document.parity[f"{name}_predicted"]
        step = max(1, -(-len(x) // MOST_PARITY))
        panels.append(
            Panel(
                f"{name} by the engine ({unit})", f"by the potential ({unit})",
                [
                    line_of_equality(x),
                    points(x[::step], y[::step], f"RMSE {error}", COLOURS[0], size=4, opacity=0.5),
                ],
            )
        )  # fmt: skip
    return Chart(
        "Parity",
        "The potential against the engine on frames that it was not trained on. A cloud that is "
        "wide or bent where energies are low is bad.",
        panels,
    )


def training(document: TrainingDocument) -> Chart:
    """Errors of training and validation set against epochs."""
    history = broken(document.history)
    epochs = [entry["epoch"] for entry in history]
    panels = [
        Panel(
            "epoch", f"{quantity} RMSE ({unit})",
            [
                curve(epochs, [e.get(f"{part}_{quantity}", np.nan) for e in history], part,
                      colour)
                for part, colour in (("training", GREY), ("validation", COLOURS[1]))
            ],
            {"yaxis": LOGARITHMIC},
        )
        for quantity, unit in TRAINED
    ]  # fmt: skip
    return Chart(
        "Training",
        "Errors while the potential was trained. A validation error that rises, or lies far above "
        "that of training, means that there are too few frames.",
        panels,
    )


def mobility(document: MeltingTemperatureDocument) -> Chart | None:
    """Mean-square displacements at every temperature; none where all runs were stopped."""
    runs = sorted(
        (point for point in document.points if point.species), key=lambda point: point.temperature
    )
    if not runs:
        return None
    panels = []
    for element in runs[0].displacements:
        traces = [
            curve(
                run.times, run.displacements[element], f"{run.temperature:.0f} K", colour,
                dash="solid" if run.species[element]["liquid"] else "dot",
            )
            for run, colour in zip(runs, sequence_colours(len(runs)), strict=True)
        ]  # fmt: skip
        panels.append(Panel("time (ps)", f"displacement² of {element} (Å²)", traces))
    return Chart(
        f"Melting: {document.in_words()}",
        "Mean-square displacements; solid lines diffuse. T_m is the lowest temperature at which "
        "all elements do. Lines that are not straight mean that the runs were too short.",
        panels,
    )


def coverage(results: CampaignResults) -> Chart | None:
    """Environments of the candidates among those of the training set, by element."""
    from nnp.analysis.coverage import Coverage
    from nnp.frames import Frames
    from workflows.conversion import to_atoms

    sample, fitted = results.newest(SampleDocument), results.newest(TrainingDocument)
    ranked = results.newest(PredictionDocument)
    if sample is None or fitted is None or ranked is None or not ranked.candidates:
        return None
    elements = fitted.potential.functions.elements
    span = Coverage.fit(fitted.potential.functions, sample.frames)
    frames = Frames.from_atoms([to_atoms(one.structure) for one in ranked.candidates])
    report = span.assess(frames)
    owners = np.repeat(np.arange(len(ranked.candidates)), report.counts)
    shares = report.covered(len(elements))
    panels = []
    for number, (element, share) in enumerate(zip(elements, shares, strict=True)):
        cloud, own = span.samples[number][:MOST_PARITY], report.types == number
        spots = report.components[own]
        panels.append(
            Panel(
                f"{element}: first component ({share:.0%} within)", "second component",
                [
                    points(*_plane(cloud), "training", GREY, size=3, opacity=0.5),
                    points(
                        *_plane(spots), "ranked", COLOURS[1], size=6,
                        texts=[f"rank {ranked.candidates[owner].rank}" for owner in owners[own]],
                        crystals=[int(owner) for owner in owners[own]],
                    ),
                ],
            )
        )  # fmt: skip
    return Chart(
        "Coverage of environments",
        "Surroundings of atoms in the ranked structures among those of the training set, along "
        "their main components. Points outside of the grey are guesses of the potential.",
        panels,
    )


def _plane(components: np.ndarray) -> tuple[list[float], list[float]]:
    return components[:, 0].tolist(), components[:, 1].tolist()
