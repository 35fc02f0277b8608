"""What is said of a run of VASP that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflows.engines.vasp.errors import DISK_FULL, HANGS, JOB_KILLED, advise, explain_end


@pytest.mark.parametrize(
    ("code", "said"), [(-9, "signal 9"), (139, "signal 11"), (24, "status 24"), (1, "status 1")]
)
def test_return_codes_in_words(tmp_path: Path, code: int, said: str) -> None:
    message = f"Job return code is {code}. Terminating..."
    assert explain_end(message, tmp_path).endswith(said)


def test_a_full_disk_is_recognised_by_what_fortran_writes(tmp_path: Path) -> None:
    (tmp_path / "std_err.txt").write_text("forrtl: severe (38): error during write, unit 12\n")
    assert explain_end("Job return code is 38. Terminating...", tmp_path) == DISK_FULL


def test_other_messages_stay(tmp_path: Path) -> None:
    assert explain_end("Max errors reached: 4.", tmp_path) == "Max errors reached: 4."


def test_advice_follows_the_error_and_names_the_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in advise((DISK_FULL,), tmp_path)
    assert "vasp.supervision.hang_timeout" in advise((HANGS,), tmp_path)
    assert f"OUTCAR in {tmp_path}" in advise((JOB_KILLED,), tmp_path)
