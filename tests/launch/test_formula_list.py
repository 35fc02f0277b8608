"""A campaign for each formula of a list, added once however often it is typed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import bson
import pytest
from fireworks import Firework, ScriptTask

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.commands.shared.formula_list import listed_campaigns
from launch.commands.shared.prediction import PredictionOptions
from launch.database.adding import add_campaigns
from launch.database.embedded import EmbeddedDatabase
from launch.database.firework_documents import firework_document
from launch.database.indexes import create_indexes
from launch.database.launchpad import CampaignLaunchPad
from launch.database.tallies import COLLECTION
from launch.database.tally_reading import read_tallies
from tests.launch.test_cli import call
from tests.launch.test_tallies import workflow

numbers = itertools.count()
LIST = """# three of one kind
Cu
CuAu --z 2 --seed 3   # with options of its own
CuAu --z 2 --seed 4

Cu
"""


@pytest.fixture
def config(server: EmbeddedDatabase, tmp_path: Path) -> Iterator[Path]:
    """Return the configuration of an empty launchpad."""
    name = f"list_{next(numbers)}"
    create_indexes(server.uri, name)
    folder = tmp_path / "config"
    write_files(folder, ClusterDescription("local", server.uri, database=name).files(folder))
    yield folder
    with Configuration(folder).connected() as pad:
        pad.connection.drop_database(name)


def test_a_list_is_added_once(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, written = tmp_path / "formulas.txt", tmp_path / "all.jsonl"
    listed.write_text(LIST)
    same = ("workflow", "--engine", "emt", "--list")
    code, out, error = call(capsys, *same, str(listed), "-o", str(written))
    assert code == 0, error
    assert "4 campaigns" in out
    to_add = ("workflow", "--list", str(written), "--add", "--launchpad", str(config))
    code, out, error = call(capsys, *to_add)
    assert code == 0, error
    assert "4 campaigns added;" in out
    with Configuration(config).connected() as pad:
        tallies = read_tallies(pad.db)
        assert sorted(t.formula for t in tallies) == ["AuCu", "AuCu", "Cu", "Cu"] or sorted(
            t.formula for t in tallies
        ) == ["Cu", "Cu", "CuAu", "CuAu"]
        assert len({t.campaign for t in tallies}) == 4
        number = pad.fireworks.count_documents({})
        assert number == sum(t.states.total() for t in tallies) > 40
        ids = sorted(f["fw_id"] for f in pad.fireworks.find({}, {"fw_id": 1}))
        assert ids == list(range(1, number + 1))
        assert pad.get_wf_by_fw_id(ids[-1]).state == "READY"
    # from the list itself the same campaigns come
    code, out, error = call(capsys, *same, str(listed), "--add", "--launchpad", str(config))
    assert code == 0, error
    assert "0 campaigns added, 4 were there already" in out


def test_what_a_kill_has_left_is_added_anew(config: Path) -> None:
    names = ["MgO-a", "MgO-b", "MgO-c"]
    with Configuration(config).connected() as pad:
        assert isinstance(pad, CampaignLaunchPad)
        campaigns = [(name, lambda name=name: workflow(name)) for name in names]
        assert [new for _, new in add_campaigns(pad, campaigns)] == [True] * 3
        # killed before what is ready of the one, and before the tally of the other
        pad.fireworks.delete_many({"spec.campaign": "MgO-a", "state": "READY"})
        pad.db[COLLECTION].delete_many({"_id": {"$in": ["MgO-a", "MgO-b"]}})
        again = [(name, lambda name=name: workflow(name)) for name in names]
        assert [new for _, new in add_campaigns(pad, again)] == [True, False, False]
        assert [t.states.total() for t in read_tallies(pad.db)] == [3, 3, 3]
        assert pad.workflows.count_documents({}) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Cu\nXyz9\n", "line 2"),
        ("Cu --z\n", "behind a formula go only"),
        ("Cu --engine vasp\n", "behind a formula go only"),
        ("Cu --seed many\n", "takes a whole number"),
        ("Cu --seed 1.5\n", "takes a whole number"),
        ("Cu --seed -4\n", "takes a number from 0"),
        (f"Cu --seed {10**26}\n", "takes a number from 0"),
        ("Cu --atoms-max 0\n", "takes a number from 1 to 1000"),
        ("Cu --seed 4 --seed 5\n", "given twice"),
        ("", "has no formula"),
        ("# nothing yet\n\n", "has no formula"),
        ('Cu "\n', "line 1"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    listed = tmp_path / "formulas.txt"
    listed.write_text(text)
    out = tmp_path / "all.jsonl"
    code, _, error = call(
        capsys, "workflow", "--engine", "emt", "--list", str(listed), "-o", str(out)
    )
    assert code == 1
    assert reason in error
    assert not out.exists()


def test_workflows_of_another_version_or_with_other_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, written, again = (tmp_path / name for name in ("f.txt", "all.jsonl", "again.jsonl"))
    listed.write_bytes(b"\xef\xbb\xbfCu\n")  # as some editors begin a text
    first = ["workflow", "--engine", "emt", "--list", str(listed), "-o", str(written)]
    assert call(capsys, *first)[0] == 0
    repeat = ["workflow", "--list", str(written), "-o", str(again)]
    code, _, error = call(capsys, *repeat, "--engine", "emt", "--z", "2")
    assert code == 1
    assert re.search(r"leave out --(z, --engine|engine, --z),", error)
    assert call(capsys, *repeat)[0] == 0
    document = json.loads(written.read_text())
    document["metadata"] |= {"campaign_version": 99, "begun_by": "7.0"}
    written.write_text(json.dumps(document) + "\n")
    again.unlink()
    code, _, error = call(capsys, *repeat)
    assert code == 1
    assert "line 1" in error
    assert "go on with devitrify 7.0" in error
    written.write_text("")
    assert "has no workflow" in call(capsys, *repeat)[2]
    assert not again.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-o", "a.json"], "Give a formula"),
        (["Cu"], "-o"),
        (["Cu", "--list", "formulas.txt", "-o", "a.jsonl"], "Give a formula"),
        (["--list", "formulas.txt", "-o", "a.json"], ".jsonl"),
        (["--list", "missing.txt", "-o", "a.jsonl"], "cannot be read"),
        (["--list", "formulas.txt", "--campaign", "x", "-o", "a.jsonl"], "--campaign"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], reason: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, _, error = call(capsys, "workflow", *words)
    assert code == 1
    assert reason in error


def test_documents_are_those_of_fireworks(tmp_path: Path) -> None:
    listed = tmp_path / "formulas.txt"
    listed.write_text("CuAu --z 2\n")
    options = PredictionOptions(formula="CuAu", engine="emt", protocol="quick")
    ((_, build),) = listed_campaigns(listed, options)
    fireworks = build().fws
    assert len(fireworks) > 10
    for firework in fireworks:
        ours = firework_document(firework)
        theirs = firework.to_db_dict()
        assert ours == theirs
        assert bson.encode(ours) == bson.encode(theirs)
    # one of another kind is FireWorks' own matter
    other = Firework(ScriptTask(script="true"), fw_id=1)
    assert firework_document(other) == other.to_db_dict()
