"""A whole campaign with dispersion, by the commands that people type."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ase.calculators.emt import EMT
from ase.io import read

from tests.integration.conftest import RUN, SHORT
from workflows.engines.registry import find_engine

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_copper_with_dispersion_from_its_formula(devitrify: Command, tmp_path: Path) -> None:
    options = ["run", "Cu", *RUN, *SHORT, "--set", "until=sample", "--folder", "copper"]
    done = devitrify(*options, "--dispersion", "d3bj:pbe")
    assert done.returncode == 0, done.stderr
    assert "engine emt+d3bj:pbe" in done.stdout
    folder = tmp_path / "copper"
    # every label has it, of whatever stage
    calculator = find_engine("emt+d3bj:pbe").build()
    frames = read(folder / "frames.extxyz", index=":")
    stages = {atoms.info["stage"] for atoms in frames}
    assert "liquid" in stages
    for stage in sorted(stages):
        atoms = next(atoms for atoms in frames if atoms.info["stage"] == stage)
        labelled, found = atoms.get_potential_energy(), []
        for each in (calculator, EMT()):
            atoms.calc = each
            found.append(atoms.get_potential_energy())
        assert labelled == pytest.approx(found[0], abs=1e-5)
        assert found[0] < found[1] - 0.1 * len(atoms)

    # nobody goes on with it without, or with another
    for other in ([], ["--dispersion", "d3zero:pbe"]):
        refused = devitrify(*options, *other)
        assert refused.returncode == 1
        assert "a campaign with engine emt+d3bj:pbe, not emt" in refused.stderr
