"""What CrySPY is told, and what relaxes for it."""

from __future__ import annotations

import configparser
import json
import sys
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar

from tests.benchmarks.peer_cryspy import Peer, Record, Relaxations, composition_of, describe

EMT = "ase.calculators.emt:EMT"


def _peer(folder: Path, target: str, algorithm: str) -> Peer:
    return Peer(folder, Path(sys.executable), composition_of(target), algorithm, 0)


@pytest.mark.parametrize("target", ["CuAu:2", "Cu:4"])
def test_input_of_the_evolutionary_search(tmp_path: Path, target: str) -> None:
    """Children add up to the population, or CrySPY refuses the input."""
    config = configparser.ConfigParser()
    config.read_string(_peer(tmp_path, target, "EA").input_text(20))
    children = [config.getint("EA", f"n_{kind}") for kind in ("crsov", "perm", "strain", "rand")]
    assert sum(children) == config.getint("EA", "n_pop")
    assert (children[1] == 0) == (target == "Cu:4")
    assert "tot_struc" not in config["basic"]


def test_input_of_the_random_search(tmp_path: Path) -> None:
    config = configparser.ConfigParser()
    config.read_string(_peer(tmp_path, "Ca(CdP)2:2", "RS").input_text(40))
    assert config["basic"]["tot_struc"] == "40"
    assert dict(zip(config["structure"]["atype"].split(), config["structure"]["nat"].split(),
                    strict=True)) == {"Ca": "2", "Cd": "4", "P": "4"}  # fmt: skip


def test_relaxations(tmp_path: Path) -> None:
    """A crystal, something that is none, and the crystal again."""
    (tmp_path / "crystal").mkdir()
    (tmp_path / "broken").mkdir()
    copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.7), ["Cu"], [[0, 0, 0]])
    Poscar(copper).write_file(tmp_path / "crystal" / "POSCAR")
    relax = Relaxations(Path(sys.executable), EMT, 0.01, 100, tmp_path / "relax.log")
    try:
        record = Record()
        for name in ("crystal", "broken", "crystal"):
            answer, seconds = relax(tmp_path / name, 60.0)
            assert seconds > 0
            record.take(name, answer)
    finally:
        relax.close()
    assert (record.relaxed, record.failed) == (2, 1)
    assert record.energies[0][0] == pytest.approx(-0.0070, abs=3e-4)
    assert float((tmp_path / "crystal" / "log.tote").read_text()) == pytest.approx(
        4 * record.energies[0][0], abs=1e-3
    )
    best = Structure.from_file(tmp_path / "crystal" / "CONTCAR")
    assert best.volume / len(best) == pytest.approx(11.6, rel=0.03)
    assert "space group 225" in describe(record, best)
    with pytest.raises((RuntimeError, ValueError)):
        relax(tmp_path / "crystal", 60.0)


def test_a_budget_that_is_spent_is_not_gone_beyond(tmp_path: Path) -> None:
    peer = _peer(tmp_path, "CuAu:1", "RS")
    spent = {"cpu": 70.0, "relaxed": 1, "failed": 0, "evaluations": 5, "energies": [[-1.0, "0"]]}
    (tmp_path / "record.json").write_text(json.dumps(spent))
    record = peer.run(60.0, EMT, 0.01, 10)
    assert record == Record(70.0, 1, 0, 5, [(-1.0, "0")])
    assert not (tmp_path / "cryspy.in").exists()
