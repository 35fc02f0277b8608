"""What ``devitrify doctor`` finds, and how it says to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.cluster import doctor, slurm
from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.embedded import EmbeddedDatabase
from launch.errors import CampaignError
from tests.launch.test_cli import call


def configuration(folder: Path, uri: str, **changes: object) -> Configuration:
    """Write a configuration."""
    partitions = {"dft": "knl", "nnp": "normal"}
    site = ClusterDescription(**{"kind": "local", "uri": uri, "partitions": partitions, **changes})
    write_files(folder, site.files(folder))
    return Configuration(folder)


def found(checks: list[doctor.Check]) -> dict[str, doctor.Check]:
    """Return checks by name."""
    return {check.name: check for check in checks}


def test_a_sound_configuration(
    server: EmbeddedDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration(tmp_path, server.uri, database="doctored")
    code, out, _ = call(capsys, "doctor", "--folder", str(tmp_path))
    assert code == 1
    assert "--prepare" in out
    code, out, _ = call(capsys, "doctor", "--folder", str(tmp_path), "--prepare")
    assert code == 0, out
    for name in ("imports", "database", "launchpad", "clock", "GridFS", "disk"):
        assert name in out
    # preparing again harms nothing
    assert call(capsys, "doctor", "--folder", str(tmp_path), "--prepare")[0] == 0


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    uri = "mongodb://me:s3cret@127.0.0.1:1/?serverSelectionTimeoutMS=200"
    config = configuration(tmp_path, uri)
    path = tmp_path / "my_launchpad.yaml"
    path.write_text(path.read_text().replace("60000", "200"))
    check = found(list(doctor._database(config)))["database"]
    assert check.state == "failed"
    assert "127.0.0.1:1" in check.finding
    assert "s3cret" not in check.finding
    assert "my_launchpad.yaml" in check.mend


def test_a_missing_data_store_is_found(server: EmbeddedDatabase, tmp_path: Path) -> None:
    config = configuration(tmp_path, server.uri)
    text = (tmp_path / "jobflow.yaml").read_text()
    (tmp_path / "jobflow.yaml").write_text(text[: text.index("  additional_stores")])
    check = doctor._blobs(config)
    assert check.state == "failed"
    assert "data" in check.finding


def test_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(tmp_path, "mongodb://127.0.0.1:1", kind="cpu")
    monkeypatch.setenv("PATH", "/nowhere")
    (check,) = doctor._queue(config, "dft")
    assert check.state == "failed"
    assert "sinfo is not on the PATH" in check.finding
    monkeypatch.setattr(slurm, "partitions", lambda: {"normal": "1-00:00:00"})
    (check,) = doctor._queue(config, "dft")
    assert "no partition knl" in check.finding
    assert "normal" in check.mend


def test_pseudopotentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pymatgen.core import SETTINGS

    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path))
    folder = tmp_path / "POT_GGA_PAW_PBE"
    folder.mkdir()
    (folder / "POTCAR.Mg_pv.gz").touch()
    (folder / "O").mkdir()
    (folder / "O" / "POTCAR").touch()
    check = doctor._potcars("Mg2SiO4")
    assert check.state == "failed"
    assert "none for Si in" in check.finding
    assert doctor._potcars("MgO").state == "ok"
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", None)
    assert "PMG_VASP_PSP_DIR" in doctor._potcars("MgO").mend


def test_a_vasp_command_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    config = configuration(tmp_path, "mongodb://127.0.0.1:1", vasp_command="srun -n 4 no_vasp")
    assert found(list(doctor._programs(config, None)))["VASP"].state == "warning"


def test_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="devitrify init"):
        Configuration.find(tmp_path)
