"""Fixtures that put the stand-in for VASP where atomate2 and custodian find it."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fake_vasp.install import Installation, install

#: Folder of the recorded runs, a folder each.
RECORDED = Path(__file__).with_name("recorded")


@dataclass
class FakeVasp:
    """
    The stand-in within one test.

    Attributes
    ----------
    installation : Installation
        Executables and potentials.
    state : Path
        File that counts the calls of this test.
    """

    installation: Installation
    state: Path
    _patch: pytest.MonkeyPatch

    @property
    def executable(self) -> Path:
        """The one for any k-points."""
        return self.installation.executables / "vasp_std"

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for processes that the test starts."""
        return dict(os.environ)

    def set(self, **variables: str | float | None) -> None:
        """Set ``FAKE_VASP_`` variables by the rest of their names; none takes one away."""
        for name, value in variables.items():
            if value is None:
                self._patch.delenv(f"FAKE_VASP_{name.upper()}", raising=False)
            else:
                self._patch.setenv(f"FAKE_VASP_{name.upper()}", str(value))

    def fault(self, *faults: str) -> None:
        """Ask for faults, for example ``"brmix run md call 2"``; none takes them away."""
        self.set(faults=", ".join(faults) or None)


@pytest.fixture(scope="session")
def fake_vasp_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Executables and potentials for all elements, once a session."""
    return install(tmp_path_factory.mktemp("fake_vasp"))


@pytest.fixture
def fake_vasp(
    fake_vasp_installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeVasp:
    """``vasp_std`` and ``vasp_gam`` on the path, potentials for pymatgen, no faults."""
    from pymatgen.core import SETTINGS

    for name in [name for name in os.environ if name.startswith("FAKE_VASP_")]:
        monkeypatch.delenv(name)
    for name, value in fake_vasp_installation.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(fake_vasp_installation.potentials))
    state = tmp_path / "fake_vasp_calls.json"
    monkeypatch.setenv("FAKE_VASP_STATE", str(state))
    monkeypatch.setenv("CUSTODIAN_WALLTIME_START", "")
    monkeypatch.delenv("CUSTODIAN_WALLTIME_START")
    return FakeVasp(fake_vasp_installation, state, monkeypatch)


@pytest.fixture
def recorded_vasp(tmp_path: Path) -> Callable[[str], Path]:
    """Unpack the files of a recorded run, by its name, and give their folder."""

    def unpack(name: str) -> Path:
        folder = tmp_path / f"recorded_{name}"
        folder.mkdir(exist_ok=True)
        for file in (RECORDED / name).glob("*.gz"):
            (folder / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        return folder

    return unpack
