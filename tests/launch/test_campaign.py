"""The campaign folder: whose it is, who holds it, and what is said when it cannot be used."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.errors import CampaignError
from launch.local import campaign as module
from launch.local.campaign import Campaign, require_space
from launch.local.campaign_document import digest
from launch.versions import CAMPAIGN_VERSION, LAST_TO_RUN, installed_versions, own_version, who_runs

HOLD = """
import sys, time
from launch.local.campaign import Campaign
with Campaign.open(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_document_round_trip(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign(settings={"quench": {"rate": 100.0}})
    again = Campaign.open(campaign.folder)
    assert again.document == campaign.document
    assert again.id.startswith("LiAlCl4-")
    assert again.document.database == "devitrify_" + again.id.replace("-", "_")
    assert again.document.versions["jobflow"]


def test_resuming_keeps_the_identity(new_campaign: Callable[..., Campaign]) -> None:
    first = new_campaign(settings={"b": 1, "a": (1, 2)})
    assert new_campaign(settings={"a": [1, 2], "b": 1}).id == first.id


def test_another_spelling_resumes_the_campaign(new_campaign: Callable[..., Campaign]) -> None:
    first = new_campaign(formula="CuAu")
    assert [new_campaign(formula=f).id for f in ("AuCu", "Cu2Au2")] == [first.id, first.id]
    with pytest.raises(CampaignError, match="formula CuAu, not CuAu3"):
        new_campaign(formula="CuAu3")


@pytest.mark.parametrize(
    ("version", "sentence"), [(None, "an earlier version"), (99, "version 99 of campaigns")]
)
def test_a_campaign_of_another_version_is_refused(
    new_campaign: Callable[..., Campaign], version: int | None, sentence: str
) -> None:
    campaign = new_campaign()
    path = campaign.folder / "campaign.json"
    content = json.loads(path.read_text())
    assert content.pop("version") == CAMPAIGN_VERSION
    path.write_text(json.dumps(content if version is None else {**content, "version": version}))
    for use in (Campaign.open, lambda _: new_campaign()):
        with pytest.raises(CampaignError, match=sentence) as error:
            use(campaign.folder)
        assert "another --folder" in str(error.value)


def test_a_campaign_of_an_earlier_version_is_read_and_not_run(
    new_campaign: Callable[..., Campaign],
) -> None:
    campaign = new_campaign()
    path = campaign.folder / "campaign.json"
    before = json.dumps({**json.loads(path.read_text()), "version": 1})
    path.write_text(before)
    assert Campaign.open(campaign.folder).id == campaign.id
    with pytest.raises(CampaignError, match="version 1 of campaigns") as error:
        new_campaign()
    assert f"go on with {LAST_TO_RUN[1]}" in str(error.value)
    assert path.read_text() == before


def test_a_campaign_of_a_later_version_tells_which_devitrify_runs_it(
    new_campaign: Callable[..., Campaign],
) -> None:
    campaign = new_campaign()
    path = campaign.folder / "campaign.json"
    content = json.loads(path.read_text())
    later = {"version": CAMPAIGN_VERSION + 1, "versions": {"devitrify": "9.8.7"}}
    path.write_text(json.dumps({**content, **later}))
    with pytest.raises(CampaignError) as error:
        Campaign.open(campaign.folder)
    assert f"this devitrify {own_version()} runs version {CAMPAIGN_VERSION}" in str(error.value)
    assert "go on with devitrify 9.8.7, or" in str(error.value)


def test_nobody_is_sent_to_the_devitrify_that_refuses() -> None:
    assert who_runs(99, own_version()) == "the devitrify that began it"


def test_of_every_version_of_campaigns_it_is_known_who_runs_it() -> None:
    assert set(LAST_TO_RUN) == {None, *range(1, CAMPAIGN_VERSION)}


def test_a_campaign_knows_the_command_of_its_settings(
    new_campaign: Callable[..., Campaign],
) -> None:
    first = new_campaign(command=["LiAlCl4", "--seed", "1"])
    assert first.heading.command == ["LiAlCl4", "--seed", "1"]
    again = new_campaign(settings={"a": 1}, command=["LiAlCl4", "--set", "a=1"])
    assert again.heading.command == ["LiAlCl4", "--seed", "1"]
    again.accept_correction()
    assert Campaign.open(first.folder).heading.command == ["LiAlCl4", "--set", "a=1"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"formula": "Mg2SiO4"}, "formula LiAlCl4, not Mg2SiO4"),
        ({"engine": "vasp"}, "engine emt, not vasp"),
        ({"seed": 2}, "seed 1, not 2"),
    ],
)
def test_folder_of_another_campaign(
    new_campaign: Callable[..., Campaign], change: dict, sentence: str
) -> None:
    campaign = new_campaign()
    with pytest.raises(CampaignError, match=sentence) as error:
        new_campaign(**change)
    assert "another --folder" in str(error.value)
    assert Campaign.open(campaign.folder).document == campaign.document


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rate": 50.0}, r"quench\.rate 100\.0, not 50\.0"),
        ({}, r"quench\.rate 100\.0, not null"),
    ],
)
def test_other_settings_are_a_correction_until_they_come_too_late(
    new_campaign: Callable[..., Campaign], change: dict, sentence: str
) -> None:
    settings = {"quench": {"rate": 100.0}, "melt": {"temperature": 4000.0}}
    campaign = new_campaign(settings=settings)
    assert new_campaign(settings=settings).correction is None
    again = new_campaign(settings={**settings, "quench": change})
    assert again.correction == {**settings, "quench": change}
    assert re.search(sentence, str(again.refuse_correction("It has begun.")))
    assert Campaign.open(campaign.folder).document == campaign.document


def test_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="There is no campaign in"):
        Campaign.open(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"id": "a", "surprise": 1}', "\xff"])
def test_damaged_document(new_campaign: Callable[..., Campaign], text: str) -> None:
    campaign = new_campaign()
    (campaign.folder / "campaign.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CampaignError, match="cannot be read") as error:
        new_campaign()
    assert "\n" not in str(error.value)


def test_folder_under_a_file(tmp_path: Path, new_campaign: Callable[..., Campaign]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CampaignError, match=r"cannot be written \(Not a directory\)"):
        new_campaign("file/campaign")


def test_unwritable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_campaign: Callable[..., Campaign]
) -> None:
    """The tests may run as root, for whom every folder is writable."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("launch.own_files.TemporaryFile", refuse)
    with pytest.raises(CampaignError, match=r"cannot be written \(Permission denied\): give"):
        new_campaign()


def test_no_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, new_campaign: Callable[..., Campaign]
) -> None:
    monkeypatch.setattr(module, "REQUIRED_SPACE", 10**18)
    monkeypatch.setattr(require_space, "__defaults__", (10**18,))
    with pytest.raises(CampaignError, match=r"MB are free in .* nothing is lost"):
        new_campaign()
    assert not (tmp_path / "campaign" / "campaign.json").exists()


def test_full_disk_while_saving(
    monkeypatch: pytest.MonkeyPatch, new_campaign: Callable[..., Campaign]
) -> None:
    campaign = new_campaign()
    before = (campaign.folder / "campaign.json").read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    campaign.document.fw_ids = [1]
    with pytest.raises(CampaignError, match="No space left on device"):
        campaign.save()
    assert (campaign.folder / "campaign.json").read_text() == before


def test_lock_excludes_other_processes_and_ends_with_its_holder(
    new_campaign: Callable[..., Campaign],
) -> None:
    campaign = new_campaign()
    assert not campaign.locked()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(campaign.folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert campaign.locked()
        with (
            pytest.raises(CampaignError, match=f"already being run by process {holder.pid}"),
            campaign.lock(patience=0.2),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    assert not campaign.locked()
    with campaign.lock():
        assert campaign.locked()
    assert not campaign.locked()


def test_lock_in_a_folder_that_is_gone(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    for path in campaign.folder.iterdir():
        path.unlink()
    campaign.folder.rmdir()
    with pytest.raises(CampaignError, match="cannot be written"), campaign.lock():
        pass


def test_digest_ignores_the_order() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_versions() -> None:
    versions = installed_versions()
    assert versions["python"].startswith("3.")
    assert "no-such-package" not in versions
