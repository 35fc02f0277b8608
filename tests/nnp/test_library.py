"""The package as a library: what it exports, what an import costs, and its example."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import nnp


def test_the_example_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(nnp)
    assert found.attempted > 10
    assert found.failed == 0


def test_everything_promised_is_there() -> None:
    for name in nnp.__all__:
        assert getattr(nnp, name).__name__ == name
        assert name in dir(nnp)
    assert set(nnp.__all__) == set(nnp._MODULES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nnp.nothing  # noqa: B018


def test_an_import_costs_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import nnp\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - {'nnp', 'typing', 're', 'importlib'} - set(sys.stdlib_module_names)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
