"""Rounds of learning from a search: what is labelled, when they end, and what the gate says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from nnp.frames import Frames
from tests.search.ensemble import gold_and_copper
from tests.workflows.samples import copper
from workflows.conversion import to_atoms, to_structure
from workflows.documents.agreement import Agreement
from workflows.documents.improvement import RelaxedStructure, RoundDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchCandidate
from workflows.stages import agreement, round_outcome
from workflows.stages.agreement import Gate
from workflows.stages.improve import ImproveMaker
from workflows.stages.learning_state import LearningState
from workflows.stages.search_labels import LabelChoice, pick, without_known


def crystal(kind: str, length: float = 3.6) -> Structure:
    """Copper in one of three structures."""
    if kind == "fcc":
        return copper(1, length)
    group = {"bcc": "Im-3m", "sc": "Pm-3m"}[kind]
    return Structure.from_spacegroup(group, Lattice.cubic(0.8 * length), ["Cu"], [[0, 0, 0]])


def found(structure: Structure, energy: float = 0.0) -> SearchCandidate:
    """A structure as a search reports it."""
    return SearchCandidate(
        structure=structure, energy=energy, formula_units=4, found_by="random", found_at=1
    )


def relaxed(structure: Structure, energy: float = 0.0) -> RelaxedStructure:
    """A structure that the engine has relaxed."""
    return RelaxedStructure(
        structure=structure, energy=energy, engine="emt", converged=True, job="1",
        found=found(structure, energy),
    )  # fmt: skip


LABELLED = Frames.from_atoms([to_atoms(copper(1, 4.0))], stage="liquid")


class TestChoice:
    """Which structures get a static label."""

    minima = (found(crystal("fcc"), 0.0), found(crystal("bcc"), 0.03), found(crystal("sc"), 0.5))
    unknown = (found(copper(1, 2.9), -3.0), found(copper(1, 3.0), -2.0))

    @settings(max_examples=20, deadline=None)
    @given(number=st.integers(0, 12), seed=st.integers(0, 1000))
    def test_no_more_than_there_are_labels_and_none_twice(self, number: int, seed: int) -> None:
        chosen = LabelChoice().choose(self.minima, self.unknown, LABELLED, number, seed)
        assert len(chosen) <= number
        cells = {tuple(np.round(frame.cells.ravel(), 6)) for frame in chosen}
        assert len(cells) == len(chosen)
        assert np.isnan(chosen.energies).all()  # nobody takes them for the reference's

    def test_every_kind_has_its_share(self) -> None:
        stages = LabelChoice().choose(self.minima, self.unknown, LABELLED, 10, 0).stages.tolist()
        assert stages.count("strain") == 4
        assert stages.count("unknown") == 2
        assert stages.count("minimum") == 2  # simple cubic lies beyond the window

    def test_without_minima_the_unknown_get_all(self) -> None:
        chosen = LabelChoice().choose([], self.unknown, LABELLED, 10, 0)
        assert set(chosen.stages.tolist()) == {"unknown"}
        assert not len(LabelChoice().choose([], [], LABELLED, 10, 0))

    def test_strains_are_within_their_limit_and_of_three_kinds(self) -> None:
        choice = LabelChoice(max_strain=0.05, displacement=0.0)
        frames = choice.strain([found(copper(1))], 30, seed=1)
        first = np.array(to_atoms(copper(1)).cell)
        strains = np.linalg.solve(first, frames.cells) - np.eye(3)
        assert np.abs(np.linalg.eigvalsh(strains)).max() <= 0.05 + 1e-9
        traces = np.trace(strains, axis1=1, axis2=2)
        ranks = np.linalg.matrix_rank(strains, tol=1e-9)
        assert np.allclose(strains[0], traces[0] / 3 * np.eye(3))  # hydrostatic
        assert ranks[1] == 1  # uniaxial
        assert traces[2] == pytest.approx(0.0)
        assert ranks[2] == 2


def test_what_the_engine_has_relaxed_is_known_whatever_its_volume() -> None:
    known = [relaxed(crystal("fcc", 3.61))]
    others = [found(crystal("fcc", 3.5)), found(crystal("bcc")), found(crystal("sc"))]
    assert without_known(others, known) == others[1:]
    assert without_known(others, []) == others


def at(pressure: float, one: SearchCandidate | RelaxedStructure) -> Any:
    """The same at a pressure (kbar)."""
    return one.model_copy(update={"pressure": pressure})


def test_what_was_relaxed_at_one_pressure_is_not_known_at_another() -> None:
    cubic, other = found(crystal("fcc", 3.5)), found(crystal("bcc"))
    known = [at(0.0, relaxed(crystal("fcc", 3.61)))]
    assert without_known([at(0.0, cubic), at(0.0, other)], known) == [other]
    both = [at(0.0, cubic), at(200.0, cubic)]
    assert without_known(both, known) == both[1:]
    assert without_known(both[1:], known) == both[1:]


def test_minima_are_measured_from_the_lowest_of_their_own_pressure() -> None:
    """At 200 kbar all enthalpies are above those at none by more than the window."""
    minima = [found(crystal("fcc"), 0.0), at(200.0, found(crystal("bcc"), 0.03))]
    frames = LabelChoice(strained=0.0).choose(minima, [], LABELLED, 10, 0)
    assert frames.stages.tolist() == ["minimum"] * 2


def test_the_engine_gets_the_lowest_and_other_motifs() -> None:
    same = [found(crystal("fcc", 3.6 + 0.001 * k), 0.001 * k) for k in range(6)]
    chosen = pick([*same, found(crystal("bcc"), 0.04)], 4)
    assert chosen[:3] == same[:3]
    assert chosen[3].energy == 0.04


class TestGate:
    """Whether errors are small enough to tell the lowest."""

    energies = np.array([-3.0, -2.99, -2.98, -2.97, -2.96])

    def test_a_good_potential_passes(self) -> None:
        agreement = Gate().compare(self.energies, self.energies + 0.001)
        assert agreement.mean_error == pytest.approx(1.0)
        assert agreement.spearman == pytest.approx(1.0)
        assert Gate().passes(agreement)

    def test_a_shift_a_scatter_and_a_wrong_order_do_not(self) -> None:
        gate = Gate()
        assert not gate.passes(gate.compare(self.energies, self.energies + 0.01))
        assert not gate.passes(gate.compare(self.energies, self.energies[::-1]))
        assert not gate.passes(gate.compare([], []))

    def test_errors_below_the_resolution_need_no_order(self) -> None:
        alike = -3.0 + 1e-4 * np.arange(5)
        agreement = Gate().compare(alike, alike[::-1])
        assert agreement.spearman == pytest.approx(-1.0)
        assert Gate().passes(agreement)
        assert not Gate(resolution=0.01).passes(agreement)

    def test_small_errors_do_not_excuse_a_wrong_order(self) -> None:
        energies = -3.0 + 6e-4 * np.arange(4)
        agreement = Gate().compare(energies, -3.0 - 1e-5 * np.arange(4))
        assert agreement.deviation is not None
        assert agreement.deviation < Gate().resolution
        assert agreement.ordered == pytest.approx(-1.0)
        assert not Gate().passes(agreement)

    def test_structures_that_are_nearer_than_the_resolution_may_be_in_any_order(self) -> None:
        ties = -3.0 + 1e-4 * np.arange(6)
        energies = np.array([*ties, -2.99, -2.98])
        errors = 1e-3 * np.array([2.0, 1.5, 1.0, -1.0, -1.5, -2.0, 1.0, -1.0])
        gate = Gate(min_spearman=0.95)
        agreement = gate.compare(energies, energies + errors)
        assert agreement.spearman is not None
        assert agreement.spearman < 0.5
        assert agreement.deviation is not None
        assert agreement.deviation > gate.resolution
        assert agreement.ordered == pytest.approx(1.0)
        assert gate.passes(agreement)
        assert "(1.00 of pairs over 1 meV/atom apart)" in gate.describe(agreement)
        assert not replace(gate, resolution=0.01).passes(gate.compare(ties, ties + errors[:6]))

    def test_a_potential_spoiled_on_purpose_is_hopeless(self) -> None:
        gate = Gate()
        holes = self.energies - 1.354
        assert gate.is_hopeless(gate.compare(self.energies, holes))
        assert not gate.is_hopeless(gate.compare(self.energies, self.energies + 0.01))
        assert "-1354.0 ± 0.0 meV/atom" in gate.describe(gate.compare(self.energies, holes))


class TestVerdict:
    """When the rounds end."""

    maker = ImproveMaker(rounds=2, budget=100, relaxations=2)
    good = Agreement(window=50.0, n=9, mean_error=0.5, deviation=1.0, spearman=0.95)
    poor = Agreement(window=50.0, n=9, mean_error=-12.0, deviation=9.0, spearman=0.3)
    lost = Agreement(window=50.0, n=9, mean_error=-1354.0, deviation=276.0, spearman=-0.15)

    def after(
        self, *agreements: Agreement, labels: int = 10, before: Agreement | None = None
    ) -> LearningState:
        """Rounds that ended with these figures."""
        rounds = [
            RoundDocument(number=k, potential="1", n_labels=labels, before=before or one, after=one)
            for k, one in enumerate(agreements, start=1)
        ]
        return LearningState(potential="2", sample="3", rounds=rounds)

    def test_the_first_round_is_made(self) -> None:
        assert self.maker.verdict(self.after(), [found(copper(1))], []) == (None, False)

    def test_they_end_when_the_order_stands_and_nothing_is_new(self) -> None:
        old, new = found(crystal("fcc")), found(crystal("bcc"))
        learned = self.after(self.good, before=self.poor)
        reason, trusted = self.maker.verdict(learned, [old, new], [new])
        assert reason is not None
        assert trusted
        assert self.maker.verdict(learned, [new, old], [new])[0] is None

    def test_they_end_when_the_potential_foretold_what_it_had_not_seen(self) -> None:
        new = found(crystal("bcc"))
        verdict = self.maker.verdict(self.after(self.good), [new], [new])
        assert verdict == ("the potential foretold what the engine found", True)
        forgot = self.after(self.poor, before=self.good)
        assert self.maker.verdict(forgot, [new], [new]) == (None, False)

    def test_a_poor_potential_goes_on_to_the_limit(self) -> None:
        new = found(crystal("bcc"))
        assert self.maker.verdict(self.after(self.poor), [new], [new]) == (None, False)
        reason, trusted = self.maker.verdict(self.after(self.poor, self.poor), [new], [new])
        assert reason == "the limit of 2 rounds"
        assert not trusted

    def test_a_hopeless_one_gets_more_rounds(self) -> None:
        new = found(crystal("bcc"))
        assert self.maker.verdict(self.after(self.lost, self.lost), [new], [new])[0] is None
        reason, _ = self.maker.verdict(self.after(*[self.lost] * 3), [new], [new])
        assert reason == "the limit of 3 rounds"

    def test_the_budget_ends_them(self) -> None:
        new = found(crystal("bcc"))
        reason, _ = self.maker.verdict(self.after(self.poor, labels=100), [new], [new])
        assert reason == "the budget of 100 evaluations is spent"


def test_a_round_says_what_it_cost_and_how_well_its_crystals_were_foretold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    potential = gold_and_copper()
    atoms = bulk("Cu", cubic=True, a=3.85)
    atoms.symbols = ["Cu", "Au", "Au", "Cu"]
    structure = to_structure(atoms)
    trained = SimpleNamespace(potential=potential)
    monkeypatch.setattr(round_outcome, "output_of", {"old": trained, "new": trained}.__getitem__)
    state = LearningState(potential="old", sample="s")
    assert round_outcome.take_in(state, [], None, Gate()) is state
    asked = [found(structure), found(structure)]
    under_way = state.in_round("new", "t", asked, ["a", "b"])
    assert (under_way.searched, under_way.begun) == ("old", 1)
    result = RelaxDocument(structure=structure, engine="emt", energy=-0.5, steps=7)
    after = round_outcome.take_in(under_way, [result, None], 5, Gate())
    (row,) = after.rounds
    assert (row.potential, row.n_labels, row.n_relaxed, row.failed) == ("old", 5, 1, 1)
    assert row.evaluations == after.evaluations == 5 + 8
    (energy,) = potential.compute([atoms]).energies
    (one,) = after.relaxed
    assert one.single_point == pytest.approx(energy / 4)
    assert row.before.mean_error == pytest.approx(1000 * (energy / 4 + 0.5))
    assert (after.searched, after.asked, after.jobs) == (None, [], [])


def test_rounds_at_two_pressures_compare_enthalpies_at_each_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The potential errs by the same everywhere: a mean error, no deviation, ranks as they are."""
    structures = [crystal("fcc"), crystal("bcc"), crystal("fcc", 3.4), crystal("bcc", 3.4)]
    energies = [0.0, 0.02, 0.1, 0.13]
    trained = SimpleNamespace(potential=None)
    monkeypatch.setattr(round_outcome, "output_of", lambda _: trained)

    def single_points(structures: list[Structure], _: object) -> tuple[Any, Any]:
        return np.array(energies) + 0.002, np.zeros(len(structures))

    for module in (round_outcome, agreement):
        monkeypatch.setattr(module, "single_points", single_points)
    pressures = [0.0, 0.0, 300.0, 300.0]
    asked = [at(p, found(s)) for p, s in zip(pressures, structures, strict=True)]
    state = LearningState(potential="old", sample="s").in_round("new", "t", asked, list("abcd"))
    results = [
        RelaxDocument(structure=s, engine="emt", energy=e, pressure=p)
        for s, e, p in zip(structures, energies, pressures, strict=True)
    ]
    after = round_outcome.take_in(state, results, 5, Gate(window=500.0))
    for figures in (after.rounds[0].before, after.rounds[0].after):
        assert figures.n == 4
        assert figures.mean_error == pytest.approx(2.0)
        assert figures.deviation == pytest.approx(0.0, abs=1e-5)
    best = [results[0].enthalpy, min(results[2].enthalpy, results[3].enthalpy)]
    assert after.rounds[0].lowest_energy == pytest.approx(sum(best) / 2)
