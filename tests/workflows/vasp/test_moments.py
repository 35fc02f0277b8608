"""Magnetic moments as VASP writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_the_last_step_counts(tmp_path: Path) -> None:
    outcar = tmp_path / "OUTCAR"
    outcar.write_text(table(3.2) + " free  energy   TOTEN  =  -1.0 eV\n" + table(3.5))
    assert read_moments(outcar) == pytest.approx([3.525, -3.525, -0.039])


@pytest.mark.parametrize("text", ["", " magnetization (x)\n", "\0\1 no OUTCAR", None])
def test_a_file_without_moments_has_none(tmp_path: Path, text: str | None) -> None:
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
