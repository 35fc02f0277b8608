"""Magnetic moments as VASP writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_vasp.samples import run_here, salt
from workflows.engines.moments import told
from workflows.engines.vasp.incar import moment_tags
from workflows.engines.vasp.moments import read_moments

#: Of an antiferromagnet of three atoms; VASP writes it once for each ionic step.
TABLE = """

 magnetization (x)
{blank}
# of ion       s       p       d       tot
------------------------------------------
    1        0.011   0.014   {iron}   {total}
    2        0.011   0.014  -{iron}  -{total}
    3        0.002  -0.041   0.000  -0.039
--------------------------------------------------
tot          0.024  -0.013   0.000  -0.039


"""


def table(iron: float) -> str:
    """One ionic step with that moment of the d electrons."""
    return TABLE.format(blank=" ", iron=f"{iron:.3f}", total=f"{iron + 0.025:.3f}")


def test_moments_are_read_in_the_order_of_poscar(tmp_path: Path) -> None:
    moments = [1.0, -2.0, 3.0, -4.0, 0.0, 0.5, 2.5, -1.5]
    given = " ".join(map(str, moments))
    spins = {"ISPIN": 2, "LORBIT": 11, "MAGMOM": given, "NSW": 2, "IBRION": 2, "ISIF": 3}
    outcar = run_here(tmp_path, salt(), **spins) / "OUTCAR"
    # the stand-in keeps four fifths of the moments that it begins with
    assert read_moments(outcar) == pytest.approx([0.8 * moment for moment in moments], abs=1e-3)
    # the last step counts
    outcar.write_text(outcar.read_text() + table(3.2) + table(3.5))
    assert read_moments(outcar) == pytest.approx([3.525, -3.525, -0.039])


def test_a_run_without_moments_has_none(tmp_path: Path) -> None:
    assert read_moments(run_here(tmp_path, salt(), NSW=0) / "OUTCAR") == []


@pytest.mark.parametrize("text", ["", " magnetization (x)\n", "\0\1 no OUTCAR", None])
def test_a_broken_file_loses_no_relaxation(tmp_path: Path, text: str | None) -> None:
    outcar = tmp_path / "OUTCAR"
    if text is not None:
        outcar.write_text(text)
    assert read_moments(outcar) == []


def test_moments_are_asked_for_and_told_where_there_are_any() -> None:
    assert moment_tags(True) == {"LORBIT": 11}
    assert moment_tags(False) == {}
    assert told([3.5, -3.5], 2) == [3.5, -3.5]
    assert told([0.05, -0.02], 2) is None
    assert told([], 2) is None
