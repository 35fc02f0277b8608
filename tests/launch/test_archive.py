"""Archives that are damaged, foreign or crafted are refused in a sentence; nothing is executed."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from launch.errors import CampaignError
from launch.transfer.archive import ArchiveError, ArchiveReader, checksum_of, write_archive
from launch.transfer.checking import Checked, check
from tests.launch.archives import COMPLETE, UNFINISHED, Change, rebuilt


def read(path: Path, trusted: bool = False) -> list[Checked]:
    """Look through an archive."""
    with ArchiveReader(path) as archive:
        return check(archive, trusted)


@pytest.mark.parametrize("path", [UNFINISHED, *COMPLETE.values()], ids=lambda path: path.stem)
def test_what_was_exported_is_verified(path: Path) -> None:
    with ArchiveReader(path) as archive:
        (found,) = check(archive)
        assert len(found.documents.fireworks) == found.entry.fireworks
        assert sum(1 for _ in found.outputs()) == found.entry.outputs
        assert sum(1 for _ in found.blobs()) == found.entry.blobs
        assert found.description is not None
        assert found.description.version == found.entry.campaign_version
        assert archive.manifest.checksum == checksum_of(archive.manifest.files)


def _begin_and_fail(path: Path) -> None:
    with write_archive(path) as archive:
        archive.add("README", [b"text"])
        raise ZeroDivisionError


def test_an_archive_that_is_given_up_leaves_nothing_and_no_second_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    with pytest.raises(ZeroDivisionError):
        _begin_and_fail(tmp_path / "a.zip")
    gc.collect()
    assert not unheard
    assert not list(tmp_path.iterdir())


def test_a_cut_archive(tmp_path: Path) -> None:
    whole = UNFINISHED.read_bytes()
    path = tmp_path / "cut.zip"
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=r"cut.zip has been damaged .* nothing was imported"):
            read(path)


def test_no_changed_byte_changes_what_is_read(tmp_path: Path) -> None:
    """A zip file has some that nobody needs, such as the time of a file."""
    whole = bytearray(UNFINISHED.read_bytes())
    with ArchiveReader(UNFINISHED) as archive:
        files = {name: archive.read(name) for name in archive.manifest.files}
    path = tmp_path / "changed.zip"
    noticed = 0
    for place in range(50, len(whole), len(whole) // 20):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        try:
            with ArchiveReader(path) as archive:
                archive.verify()
                assert {name: archive.read(name) for name in archive.manifest.files} == files
        except ArchiveError as error:
            assert "nothing was imported" in str(error)
            noticed += 1
    assert noticed >= 18


def zipped(path: Path, files: dict[str, str]) -> Path:
    """Write any zip file."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a.txt": "a"}, "it has no manifest"),
        ({"manifest.json": "{"}, "its manifest cannot be read"),
        ({"manifest.json": "[" * 100_000}, "its manifest cannot be read"),
        ({"manifest.json": "{}"}, "its manifest is of something else"),
        ({"manifest.json": '{"format": "devitrify campaigns", "version": 1}'}, "cannot be read"),
    ],
)
def test_zip_files_of_others(tmp_path: Path, files: dict[str, str], why: str) -> None:
    with pytest.raises(ArchiveError, match=f"no archive that devitrify export has made .*{why}"):
        read(zipped(tmp_path / "other.zip", files))


def test_an_archive_of_a_later_devitrify(tmp_path: Path) -> None:
    document = {"format": "devitrify campaigns", "version": 2, "devitrify": "9.8"}
    path = zipped(tmp_path / "later.zip", {"manifest.json": json.dumps(document)})
    with pytest.raises(ArchiveError, match=r"import it with devitrify 9\.8, which has exported it"):
        read(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file"):
        read(tmp_path / "none.zip")


@pytest.mark.parametrize("name", ["../../up.txt", "/etc/up.txt", "campaign-1/blobs/../../../up"])
def test_a_path_that_leads_out_is_no_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "slip.zip"
    path.parent.mkdir()
    shutil.copy(UNFINISHED, path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, "up")
    with pytest.raises(ArchiveError, match="its files are not those of its manifest"):
        read(path)
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


def test_a_file_larger_than_it_says(tmp_path: Path) -> None:
    """What is unpacked is never more than the manifest says, whatever it would become."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(UNFINISHED) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            bomb = info.filename.endswith("outputs.jsonl")
            new.writestr(info, b"0" * 20_000_000 if bomb else content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ArchiveError, match="another size than its manifest says"):
        read(path)


def task(name: str) -> Change:
    """Let the last Firework run a task of FireWorks."""

    def change(documents: list[dict[str, Any]]) -> None:
        documents[-1]["spec"]["_tasks"] = [{"_fw_name": name, "script": "touch /tmp/was-here"}]

    return change


def job(**changes: object) -> Change:
    """Let the job of the last Firework be another."""

    def change(documents: list[dict[str, Any]]) -> None:
        documents[-1]["spec"]["_tasks"][0]["job"].update(changes)

    return change


ENGINE = {
    "@module": "workflows.engines.ase.engine", "@class": "AseEngine", "name": "emt",
    "arguments": {}, "calculator": "os:system",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (task("ScriptTask"), "ScriptTask"),
        (job(function={"@module": "os", "@callable": "system"}), "os.system"),
        (job(function_args=[{"@module": "subprocess", "@class": "Popen"}]), "subprocess.Popen"),
        (job(function_args=[[{"deep": ENGINE}]]), "os:system"),
        (job(function_args=[{**ENGINE, "calculator": "ase.calculators.emt:EMT",
                             "arguments": {"command": "x"}}]), "ase.calculators.emt:EMT"),
        (job(function={"@module": "workflows.engines.ase.engine",
                       "@callable": "import_callable"}), "import_callable"),
        (job(function={"@module": "workflows.engines.vasp.static",
                       "@callable": "VaspStaticMaker.make"}), "VaspStaticMaker"),
    ],
)  # fmt: skip
def test_programs_of_others_need_trust(tmp_path: Path, change: Change, named: str) -> None:
    path = rebuilt(tmp_path / "crafted.zip", {"fireworks.jsonl": change})
    with pytest.raises(CampaignError, match=r"run programs that are not devitrify's own") as error:
        read(path)
    assert named in str(error.value)
    assert "--trust; nothing was imported" in str(error.value)
    assert len(read(path, trusted=True)) == 1


EVIL = {"@module": "evil", "@class": "Thing"}


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("outputs.jsonl", lambda d: d[0].update(output=EVIL), "'evil.Thing', which no job stores"),
        ("outputs.jsonl", lambda d: d[3]["output"].update(x=[EVIL]), "which no job stores"),
        ("outputs.jsonl", lambda d: d[0].update(output=ENGINE), "'os:system', which no job"),
        (
            "outputs.jsonl",
            lambda d: d[0].update(output={"@module": "os", "@callable": "system"}),
            "'os.system', which no job stores",
        ),
        ("blobs/first", lambda d: d[0].update(EVIL), "'evil.Thing', which no job stores"),
        ("outputs.jsonl", lambda d: d[0]["metadata"].update(campaign="x"), "another campaign"),
        ("outputs.jsonl", lambda d: d.append(d[0]), "an output twice"),
        ("outputs.jsonl", lambda d: d[0].pop("uuid"), "lacks"),
        ("blobs.jsonl", lambda d: d.pop(), "it has blobs that it does not know of"),
        ("blobs.jsonl", lambda d: d[0]["metadata"].update(blob_uuid="../x"), "is missing"),
        ("fireworks.jsonl", lambda d: d.pop(), "its workflows have other Fireworks than it has"),
        ("fireworks.jsonl", lambda d: d[0]["spec"].update(campaign="x"), "of other campaigns"),
        ("workflows.jsonl", lambda d: d[0]["links"].update({"1": [99]}), "Fireworks of others"),
        ("workflows.jsonl", lambda d: d.clear(), "other Fireworks than it has"),
        ("launches.jsonl", lambda d: d.append(d[0]), "a launch twice"),
        ("launches.jsonl", lambda d: d[0].update(fw_id=99), "launches of other Fireworks"),
        ("campaign.json", lambda d: d[0].update(id="x"), "is of another campaign"),
        ("campaign.json", lambda d: d[0].pop("seed"), "describes no campaign"),
    ],
)
def test_crafted_documents(tmp_path: Path, name: str, change: Change, why: str) -> None:
    path = rebuilt(tmp_path / "crafted.zip", {name: change})
    with pytest.raises(ArchiveError, match=r"no archive that devitrify export has made") as error:
        read(path, trusted=True)
    assert why in str(error.value)
