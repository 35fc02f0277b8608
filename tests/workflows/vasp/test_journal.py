"""What a killed job finds again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workflows.engines.vasp.inputs import copy_wavefunctions
from workflows.engines.vasp.journal import Journal


def test_the_next_launch_finds_the_state_of_the_same_task(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "job.checkpoint", "liquid")
    assert journal.read() is None
    state = {"parts": [{"forces": np.arange(6.0).reshape(1, 2, 3)}], "asked": 12, "folder": "a"}
    journal.write(state)
    found = Journal(tmp_path / "job.checkpoint", "liquid").read()
    assert found is not None
    assert np.array_equal(found["parts"][0]["forces"], state["parts"][0]["forces"])
    assert (found["asked"], found["folder"]) == (12, "a")
    assert Journal(tmp_path / "job.checkpoint", "quench").read() is None
    journal.drop()
    assert journal.read() is None


def test_without_a_path_nothing_is_kept() -> None:
    journal = Journal(None, "liquid")
    journal.write({"asked": 1})
    journal.drop()
    assert journal.read() is None


def test_wave_functions_of_an_earlier_launch_are_copied(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    assert not copy_wavefunctions(old, new)
    (old / "WAVECAR").write_bytes(b"")  # as VASP leaves it when it is killed
    assert not copy_wavefunctions(old, new)
    (old / "WAVECAR").write_bytes(b"orbitals")
    assert copy_wavefunctions(old, new)
    assert (new / "WAVECAR").read_bytes() == b"orbitals"
    assert copy_wavefunctions(new, new)
