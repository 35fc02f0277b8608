"""Nobody else gets in: into the database, the workers, through links, documents or messages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore
from maggma.stores import MemoryStore
from pymongo.errors import PyMongoError

from launch.database import embedded
from launch.database.embedded import EmbeddedDatabase
from launch.database.server import Server, answers, client, secrets_of, without_password
from launch.errors import CampaignError, explain
from launch.local.campaign import Campaign
from launch.local.processes import WorkerProcess, worker_environment
from launch.local.status import campaign_status
from launch.local.worker import WorkerOptions
from launch.own_files import require_own
from launch.report.campaign_results import CampaignResults
from launch.report.files import write_report
from tests.launch.test_report import documents, store_of
from workflows.documents.dynamics import VolumeDocument
from workflows.documents.prediction import PredictionDocument

NOBODY = 65534
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can act as a second user of this machine"
)

#: Tries to make a root user on every server that begins to listen, until it is ended.
ATTACK = """
import os, sys, time
from pathlib import Path
from pymongo import MongoClient
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("begins", flush=True)
while True:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        host, port = fields[1].split(":")
        if fields[3] != "0A" or host != "0100007F":
            continue
        uri = f"mongodb://127.0.0.1:{int(port, 16)}/?directConnection=true"
        try:
            with MongoClient(uri, serverSelectionTimeoutMS=50, socketTimeoutMS=500) as client:
                client.admin.command("createUser", "mallory", pwd="mine", roles=["root"])
        except Exception:
            continue
        print("made", flush=True)
    time.sleep(0.01)
"""


@contextmanager
def attack() -> Iterator[None]:
    """Let another user of this machine attack all servers on it."""
    process = subprocess.Popen([sys.executable, "-c", ATTACK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begins\n"
        yield
    finally:
        process.kill()
        said = process.stdout.read()
        process.wait()
    assert said == ""


@needs_root
def test_no_other_user_makes_a_user_of_a_new_database(tmp_path: Path) -> None:
    database = EmbeddedDatabase(tmp_path / "database")
    with attack(), database, client(database.uri) as connection:
        time.sleep(1.0)
        users = connection.admin["system.users"].find()
        assert [user["user"] for user in users] == ["devitrify"]


@pytest.mark.parametrize("where", ["admin", "other"])
def test_a_database_with_users_of_others_is_refused(tmp_path: Path, where: str) -> None:
    with EmbeddedDatabase(tmp_path) as database, client(database.uri) as connection:
        connection[where].command("createUser", "mallory", pwd="mine", roles=["readWrite"])
    with pytest.raises(CampaignError, match="users that devitrify did not make \\('mallory'\\)"):
        EmbeddedDatabase(tmp_path).start()
    assert EmbeddedDatabase(tmp_path).running() is None


def test_a_server_that_does_not_know_the_password_is_not_ours(tmp_path: Path) -> None:
    """Another program may have the port: it must not be believed, nor told anything."""
    said = []
    with EmbeddedDatabase(tmp_path) as database, socket.create_server(("127.0.0.1", 0)) as other:
        server = database.running()
        assert server is not None
        port = other.getsockname()[1]
        uri = database._uri(Server(server.pid, server.created, port))
        assert not answers(uri, seconds=0.3)
        other.settimeout(0.2)
        with suppress(TimeoutError):
            while True:
                connection, _ = other.accept()
                said.append(connection.recv(10_000))
        secret = (tmp_path / "password").read_bytes()
        assert said
        assert not any(secret in words for words in said)


def test_files_of_the_database_are_the_owners_only(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with EmbeddedDatabase(tmp_path / "database"):
            found = [tmp_path / "database", *(tmp_path / "database").rglob("*")]
            assert len(found) > 10
            assert [path for path in found if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(mask)


@pytest.mark.parametrize("place", ["database", "home/.secantus"])
@pytest.mark.parametrize("name", ["secantusd.toml", "secantusdb.toml"])
def test_settings_of_others_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / name).write_text("[server]\nno_such_key = 1\n")
    with EmbeddedDatabase(tmp_path / "database") as database:
        assert database.alive()


def planted(folder: Path, name: str) -> Path:
    """Plant a module that leaves a trace when it is imported; return the trace."""
    trace = folder.parent / f"{name}-was-here"
    folder.mkdir(parents=True, exist_ok=True)
    text = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    text += "class Thing:\n    def __init__(self, **_): pass\n"
    (folder / "__init__.py").write_text(text)
    return trace


@pytest.mark.parametrize("path", [None, ".", ""])
def test_workers_import_nothing_from_where_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    launches = tmp_path / "launches"
    traces = [planted(launches / name, name) for name in ("launch", "fireworks", "jobflow")]
    if path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", path)
    options = WorkerOptions(
        name="worker", parent=os.getpid(), uri="mongodb://127.0.0.1:1/", database="none",
        launches=str(launches), retries=0, since="",
    )  # fmt: skip
    log = tmp_path / "log"
    worker = WorkerProcess(options, log, worker_environment(tmp_path, 1))
    try:
        deadline = time.monotonic() + 30
        while "starts" not in log.read_text() and worker.exit_code() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2.0)  # it imports FireWorks then
    finally:
        worker.kill()
        worker.close()
    assert [trace for trace in traces if trace.exists()] == []
    assert "starts" in log.read_text()


@pytest.mark.parametrize("inside", ["", "launches", "database", "logs"])
def test_a_folder_that_others_write_to_is_refused(
    new_campaign: Callable[..., Campaign], inside: str
) -> None:
    folder = new_campaign().folder
    (folder / inside).mkdir(exist_ok=True)
    (folder / inside).chmod(0o777)
    with pytest.raises(CampaignError, match=r"Others may write to .*: chmod go-w /"):
        Campaign.open(folder)
    with pytest.raises(CampaignError, match="Others may write"):
        new_campaign()
    (folder / inside).chmod(0o755)
    Campaign.open(folder)


@needs_root
@pytest.mark.parametrize("inside", ["", "launches", "database"])
def test_a_folder_of_another_user_is_refused(
    new_campaign: Callable[..., Campaign], inside: str
) -> None:
    folder = new_campaign().folder
    (folder / inside).mkdir(exist_ok=True)
    os.chown(folder / inside, NOBODY, NOBODY)
    with pytest.raises(CampaignError, match="belongs to nobody, who could have programs run"):
        campaign_status(folder)
    assert not (folder / "database" / "owner.lock").exists()


def test_a_new_campaign_is_not_open_to_the_group(new_campaign: Callable[..., Campaign]) -> None:
    mask = os.umask(0)
    try:
        assert new_campaign().folder.stat().st_mode & 0o022 == 0
    finally:
        os.umask(mask)
    require_own(new_campaign().folder)


@pytest.mark.parametrize(
    "name",
    [
        ".lock", "campaign.json", "devitrify.log", "database", "logs", "launches",
        "database/server.log", "database/server.json", "database/owner.lock",
        "database/secantusdb", "database/secantusdb/WiredTiger.wt", "logs/worker-1.log",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dangling", [False, True])
def test_status_writes_through_no_link(
    new_campaign: Callable[..., Campaign], tmp_path: Path, name: str, dangling: bool
) -> None:
    campaign = new_campaign()
    link = campaign.folder / name
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    victim = tmp_path / "victim"
    if link.name == "campaign.json":
        victim.write_bytes(link.read_bytes())
        link.unlink()
    elif not dangling and "." not in link.name and not link.name.endswith(".log"):
        victim.mkdir()
        (victim / "kept").write_text("precious")
    elif not dangling:
        victim.write_text("precious")
    before = snapshot(tmp_path, victim)
    link.symlink_to(victim)
    with pytest.raises(CampaignError, match=rf"{link.name} is a symbolic link"):
        campaign_status(campaign.folder)
    assert snapshot(tmp_path, victim) == before


@pytest.mark.parametrize(
    "name",
    [
        "frames.extxyz", "potential.nnp", "ranking.txt", "summary.json", "structures", "plots",
        "structures/01_Cu_Z1_Fm-3m.cif", "structures/relaxed/01_Cu_Z1_Fm-3m.cif",
        "plots/training.png",
    ],
)  # fmt: skip
def test_results_write_and_delete_through_no_link(tmp_path: Path, name: str) -> None:
    folder, victim = tmp_path / "campaign", tmp_path / "victim"
    link = folder / name
    link.parent.mkdir(parents=True)
    if "." in name:
        victim.write_text("precious")
    else:
        victim.mkdir()
        (victim / "precious.cif").write_text("precious")
    before = snapshot(tmp_path, victim)
    link.symlink_to(victim)
    results = CampaignResults(store_of(documents()), "mine")
    with pytest.raises(CampaignError, match=f"{link.name} is a symbolic link"):
        write_report(results, folder)
    assert snapshot(tmp_path, victim) == before


def test_names_in_documents_lead_nowhere(tmp_path: Path) -> None:
    found = documents()
    for document in found:
        if isinstance(document, PredictionDocument):
            document.candidates[0].formula = "../../up"
            document.candidates[0].space_group = "../P1"
    (tmp_path / "a" / "campaign").mkdir(parents=True)
    write_report(CampaignResults(store_of(found), "mine"), tmp_path / "a" / "campaign")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["campaign"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def snapshot(folder: Path, victim: Path) -> list[Any]:
    """List what lies in a folder, and what is at the end of a link, with its content."""
    inside = sorted(victim.rglob("*")) if victim.is_dir() else []
    text = victim.read_bytes() if victim.is_file() else None
    return [
        sorted(path.name for path in folder.iterdir()),
        text,
        [(path, path.read_bytes()) for path in inside],
    ]


CRAFTED: list[dict[str, Any]] = [
    {"warning": {"@module": "evil", "@class": "Thing", "a": 1}},
    {"warning": {"@module": "evil", "@callable": "Thing", "@bound": None}},
    {"segments": [{"deep": [{"@module": "evil", "@class": "Thing"}]}]},
    {"structure": {"@module": "evil", "@class": "Thing"}},
    {"@module": "evil", "@class": "VolumeDocument"},
    {"@module": ["evil"]},
    {"@module": "evil.", "@class": {"@module": "evil", "@class": "Thing"}},
]


@pytest.mark.parametrize("crafted", CRAFTED)
def test_documents_make_no_objects_but_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crafted: dict[str, Any]
) -> None:
    trace = planted(tmp_path / "path" / "evil", "evil")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    output = {"@module": "workflows.documents.schemas", "@class": "VolumeDocument", **crafted}
    document = {"uuid": "a", "index": 1, "output": output, "completed_at": "1"}
    store.update({**document, "metadata": {"campaign": "mine"}})
    if output["@class"] == "VolumeDocument":
        with pytest.raises(ValueError, match="no job stores") as error:
            CampaignResults(store, "mine").newest(VolumeDocument)
        sentence = explain(error.value)
        assert sentence is not None
        assert "\n" not in sentence
    assert "evil" not in sys.modules
    assert not trace.exists()
    assert not list(tmp_path.rglob("*-was-here"))


def test_ours_are_read(tmp_path: Path) -> None:
    results = CampaignResults(store_of(documents()), "mine")
    kinds = {type(document) for document in documents()}
    assert {type(results.newest(kind)) for kind in kinds} == kinds


@pytest.mark.parametrize(
    "uri",
    [
        "me:hunter2@host:27017",
        "mongodb://me:hunter2@host:27017/?tls=true&tlsCertificateKeyFilePassword=hunter2",
        "mongodb://host/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
        "mongodb://me:hunter2/x@host/",
        "mongodb://me:27017/hunter2@host/",
        "mongodb://me:a?hunter2@host/",
        "mongodb+srv://me:hunter2@host/?token=hunter2",
        "http://host/?token=hunter2",
        "hunter2",
    ],
)
def test_no_message_quotes_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    assert "hunter2" not in without_password(uri)
    quoted = f"bad {uri}"
    for secret in secrets_of(uri):
        quoted = quoted.replace(secret, "...")
    assert uri == "hunter2" or "hunter2" not in quoted
    if "host" in uri and "srv" not in uri:
        given = uri.replace("host", "127.0.0.1")
        monkeypatch.setattr(embedded, "answers", lambda uri, **_: answers(uri, 0.2))
        with pytest.raises((CampaignError, PyMongoError)) as error:
            EmbeddedDatabase(tmp_path, uri=given)._connect(given)
        assert "hunter2" not in (explain(error.value) or "hunter2")
