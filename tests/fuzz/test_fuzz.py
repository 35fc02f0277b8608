"""Some nonsense of each kind in every run; the rest is for ``python -m tests.fuzz``."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fuzz.__main__ import Record
from tests.fuzz.case import Case, Outcome, judge
from tests.fuzz.commands import command_case
from tests.fuzz.files import file_case
from tests.fuzz.parent import Child, try_all

SEED = 11
TAKEN = Outcome(0, "1 eV")
REFUSED = Outcome(1, error="Error: no.")


@pytest.mark.parametrize(
    ("wanted", "outcome", "fault"),
    [
        ("accept", TAKEN, None),
        ("refuse", REFUSED, None),
        ("either", TAKEN, None),
        ("either", REFUSED, None),
        ("refuse", TAKEN, "nonsense accepted"),
        ("refuse", Outcome(0, reached=True), "nonsense accepted"),
        ("accept", Outcome(0, "nan eV"), "nonsense accepted"),
        ("accept", REFUSED, "sense refused"),
        ("refuse", Outcome(1), "no reason given"),
        ("refuse", Outcome(1, error="Traceback (most recent"), "traceback"),
        ("refuse", Outcome(1, error="Error: This is a defect of devitrify (a"), "traceback"),
        ("refuse", Outcome(None, end="hang"), "hang"),
        ("refuse", Outcome(None, end="crash"), "crash"),
    ],
)
def test_the_judge(wanted: str, outcome: Outcome, fault: str | None) -> None:
    case = Case("command 0", ("run",), wanted)  # type: ignore[arg-type]
    assert judge(case, outcome) == fault


def test_cases_are_made_again_by_their_numbers() -> None:
    for make in (command_case, file_case):
        cases = [make(SEED, number) for number in range(40)]
        assert cases == [make(SEED, number) for number in range(40)]
        assert cases != [make(SEED + 1, number) for number in range(40)]
        assert {case.wanted for case in cases} >= {"refuse", "either"}
        assert all(Case.from_json(case.to_json()) == case for case in cases)


def test_a_process_that_hangs_is_replaced() -> None:
    child = Child()
    try:
        case = Case("command 0", ("protocol", "quick"), "accept")
        assert child.try_out(case, limit=0.0).end == "hang"
        assert judge(case, child.try_out(case)) is None
    finally:
        child.close()


@pytest.mark.timeout(300)
def test_nonsense_is_refused_by_a_sentence() -> None:
    record = Record()
    cases = [command_case(SEED, number) for number in range(70)]
    cases += [file_case(SEED, number) for number in range(30)]
    try_all(cases, record)
    assert sum(record.counts.values()) == len(cases)
    assert not [
        (fault, case.command, dataclasses.astuple(outcome))
        for fault, case, outcome in record.faulty
    ]
