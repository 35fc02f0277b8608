"""The embedded database: it starts, survives a kill, explains itself and leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest
from pymongo.errors import OperationFailure

from launch.database import embedded as module
from launch.database.connections import job_store, launchpad
from launch.database.embedded import (
    EmbeddedDatabase,
    Server,
    answers,
    client,
    free_port,
    without_password,
)
from launch.database.indexes import create_indexes
from launch.database.programs import SECANTUS, server_command
from launch.errors import CampaignError
from nnp.storage.files import write_atomically

START_AND_WAIT = """
import sys, time
from launch.database.embedded import EmbeddedDatabase, client
database = EmbeddedDatabase(sys.argv[1])
uri = database.start()
client(uri).test.numbers.insert_many([{"n": n} for n in range(200)])
print(uri, flush=True)
time.sleep(600)
"""


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_data_outlive_the_server(tmp_path: Path) -> None:
    database = EmbeddedDatabase(tmp_path)
    with database:
        assert database.alive()
        with client(database.uri) as connection:
            connection.test.numbers.insert_one({"n": 7})
        server = database.running()
        assert server is not None
        assert json.loads(database.record.read_text())["pid"] == server.pid
    assert gone(server.pid)
    assert not database.record.exists()
    assert not database.alive()
    assert database.running() is None
    with EmbeddedDatabase(tmp_path) as again, client(again.uri) as connection:
        assert [d["n"] for d in connection.test.numbers.find()] == [7]


def test_server_dies_with_a_killed_parent_and_loses_nothing(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert parent.stdout is not None
        uri = parent.stdout.readline().strip()
        server = EmbeddedDatabase(tmp_path).running()
        assert server is not None
        assert EmbeddedDatabase(tmp_path).uri == uri
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(server.pid)
    with EmbeddedDatabase(tmp_path) as again, client(again.uri) as connection:
        assert again.uri != ""
        assert connection.test.numbers.count_documents({}) == 200


def test_orphaned_server_is_replaced(tmp_path: Path) -> None:
    """A server that survived its parent is stopped, by its own process id only."""
    orphan = EmbeddedDatabase(tmp_path)
    orphan.start()
    first = orphan.running()
    assert first is not None
    orphan._ownership.release()  # as it is when its process has ended
    with EmbeddedDatabase(tmp_path) as database:
        second = database.running()
        assert second is not None
        assert second.pid != first.pid
        assert gone(first.pid)
    orphan.stop()


def test_record_of_another_process_is_not_believed(tmp_path: Path) -> None:
    """A process id used again by another program must not be signalled."""
    database = EmbeddedDatabase(tmp_path)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        created = psutil.Process(sleeper.pid).create_time()
        record = {"pid": sleeper.pid, "created": created, "port": free_port()}
        database.record.write_text(json.dumps(record))
        assert database.running() is None
        database.stop()
        assert sleeper.poll() is None
        assert Server(sleeper.pid, created - 100.0, 1).process() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_nobody_else_can_use_it(tmp_path: Path) -> None:
    """The port is open to every user of the machine, and jobs are code."""
    with EmbeddedDatabase(tmp_path) as database:
        server = database.running()
        assert server is not None
        stranger = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"
        with client(stranger) as connection, pytest.raises(OperationFailure, match="authentic"):
            connection.test.numbers.insert_one({"n": 1})
        secret = tmp_path / "password"
        assert secret.stat().st_mode & 0o777 == 0o600
        assert secret.read_text() in database.uri
    # killed before the password was kept: the next start sets a new one
    old = secret.read_text()
    secret.unlink()
    with EmbeddedDatabase(tmp_path) as database:
        assert old not in database.uri
        assert database.running() is not None


def test_second_server_on_a_folder_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OWNER_SECONDS", 0.2)
    with EmbeddedDatabase(tmp_path) as first:
        with pytest.raises(CampaignError, match=f"process {first._server.pid}"):
            EmbeddedDatabase(tmp_path).start()
        assert not EmbeddedDatabase(tmp_path).start_if_free()
        first._ownership.release()
        first.record.rename(tmp_path / "hidden.json")
        with pytest.raises(CampaignError, match="another database server uses it"):
            EmbeddedDatabase(tmp_path).start()
        assert first.alive()


def test_damaged_files(tmp_path: Path) -> None:
    with EmbeddedDatabase(tmp_path) as database:
        server = database.running()
    (tmp_path / "secantusdb" / "WiredTiger.turtle").write_bytes(os.urandom(2000))
    with pytest.raises(CampaignError, match="its files are damaged: restore the folder") as error:
        EmbeddedDatabase(tmp_path).start()
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert server is not None
    assert gone(server.pid)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CampaignError, match="cannot be written"):
        EmbeddedDatabase(tmp_path / "file" / "database").start()


def write_server(path: Path, body: str) -> None:
    """Write an executable that stands for a database server."""
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)


#: Stands for mongod: takes its options, and is SecantusDB.
AS_MONGOD = f"""
import os, sys
secantus = {str(Path(sys.executable).parent / SECANTUS)!r}
given = lambda option: sys.argv[sys.argv.index(option) + 1]
options = ["--standalone", "--port", given("--port"), "--storage-path", given("--dbpath")]
if "--auth" in sys.argv:
    options += ["--auth"]
else:
    assert given("--tlsMode") == "requireTLS"
    key, authority = given("--tlsCertificateKeyFile"), given("--tlsCAFile")
    options += ["--tls-cert-file", key, "--tls-key-file", key, "--tls-ca-file", authority]
    options += ["--tls-require-client-cert"]
os.execv(secantus, [secantus, *options])
"""


def test_server_that_is_killed_in_its_start_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after it can be spoken to, with its users and without."""
    starts = tmp_path / "starts"
    (tmp_path / "bin").mkdir()
    body = (
        "import os, pathlib\n"
        f"starts = pathlib.Path({str(starts)!r})\n"
        "with starts.open('a') as file: file.write('.')\n"
        "if len(starts.read_text()) in (1, 3): os.kill(os.getpid(), 9)\n"
    )
    write_server(tmp_path / "bin" / "mongod", body + AS_MONGOD)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    database = EmbeddedDatabase(tmp_path / "database")
    look = EmbeddedDatabase._require_no_others

    def kill_first(self: EmbeddedDatabase, uri: str) -> None:
        if len(starts.read_text()) == 4:
            server = self.running()
            assert server is not None
            os.kill(server.pid, signal.SIGKILL)
        look(self, uri.replace("?", "?serverSelectionTimeoutMS=300&"))

    monkeypatch.setattr(EmbeddedDatabase, "_require_no_others", kill_first)
    monkeypatch.setattr(module, "client", lambda uri, *_: client(uri, 1.0))
    with database:
        assert len(starts.read_text()) == 5
        assert answers(database.uri, 2.0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("import sys; sys.exit('OSError: No space left on device')", "the disk is full"),
        ("import sys; sys.exit('bad luck')", "the server ended with 'bad luck'"),
        ("import sys; sys.exit('OSError: Address already in use')", "No free port"),
        ("import os; os.kill(os.getpid(), 9)", "was killed at once"),
    ],
)
def test_server_that_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, sentence: str
) -> None:
    write_server(tmp_path / "mongod", body)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    database = EmbeddedDatabase(tmp_path / "database")
    with pytest.raises(CampaignError, match=sentence):
        database.start()
    assert not database.record.exists()


def test_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_server(tmp_path / "mongod", "import time; time.sleep(60)")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    database = EmbeddedDatabase(tmp_path / "database")
    with pytest.raises(CampaignError, match="did not answer"):
        database.start()
    assert not database.alive()


def test_mongod_is_preferred_and_a_folder_keeps_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    write_server(tmp_path / "bin" / "mongod", AS_MONGOD)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        with EmbeddedDatabase(tmp_path / "a") as database:
            assert answers(database.uri, 5.0)
            assert (tmp_path / "a" / "mongod" / "WiredTiger").exists()
        (tmp_path / "b" / "secantusdb").mkdir(parents=True)
        assert "secantusd" in server_command(tmp_path / "b", 1)[0]
    with pytest.raises(CampaignError, match="made by mongod, which is not on the PATH"):
        EmbeddedDatabase(tmp_path / "a").start()


def test_given_server(server: EmbeddedDatabase, tmp_path: Path) -> None:
    given = EmbeddedDatabase(tmp_path / "unused", uri=server.uri)
    with given:
        assert given.uri == server.uri
        assert given.alive()
    assert server.alive()
    # later commands need not be told again, and nobody else is told
    assert EmbeddedDatabase(tmp_path / "unused").uri == server.uri
    assert [path.name for path in (tmp_path / "unused").iterdir()] == ["uri"]
    assert (tmp_path / "unused" / "uri").stat().st_mode & 0o077 == 0


def test_a_campaign_with_its_own_database_does_not_move(
    tmp_path: Path, server: EmbeddedDatabase
) -> None:
    (tmp_path / "password").write_text("there is data of its own")
    with pytest.raises(CampaignError, match="leave --db out"):
        EmbeddedDatabase(tmp_path, uri=server.uri).start()


def test_given_server_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"mongodb://me:secret@127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    monkeypatch.setattr(module, "answers", lambda uri, **_: answers(uri, 0.2))
    with pytest.raises(
        CampaignError, match=r"No MongoDB answers at mongodb://127\.0\.0\.1"
    ) as error:
        EmbeddedDatabase(tmp_path, uri=uri).start()
    assert "secret" not in str(error.value)


def test_uri_without_server(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="No database server runs"):
        _ = EmbeddedDatabase(tmp_path).uri


def test_stores_and_indexes(server: EmbeddedDatabase) -> None:
    create_indexes(server.uri, "stores")
    create_indexes(server.uri, "stores")
    pad = launchpad(server.uri, "stores")
    assert pad.get_new_fw_id() == 1
    store = job_store(server.uri, "stores")
    with store:
        blob = {"positions": list(range(1000))}
        document = {"uuid": "a", "index": 1, "output": {"energy": -1.0, "frames": blob}}
        store.update(document, save={"data": ["frames"]})
        assert store.get_output("a", load=True)["frames"] == blob
        assert "blob_uuid" in store.get_output("a", load=False)["frames"]
    with client(server.uri) as connection:
        indexes = connection.stores.outputs.index_information()
    wanted = {"uuid_1", "metadata.campaign_1_output.@class_1", "metadata.formula_1_output.@class_1"}
    assert wanted <= set(indexes)


def take_ids(uri: str, count: int) -> list[int]:
    """Take launch ids as a worker does."""
    pad = launchpad(uri, "counters")
    return [pad.get_new_launch_id() for _ in range(count)]


def test_ids_are_unique_among_processes(server: EmbeddedDatabase) -> None:
    create_indexes(server.uri, "counters")
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(take_ids, server.uri, 100) for _ in range(3)]
        taken = [number for task in tasks for number in task.result()]
    assert sorted(taken) == list(range(1, 301))
    pad = launchpad(server.uri, "counters")
    assert pad.get_new_fw_id(5) == 1
    assert pad.get_new_fw_id() == 6
    pad.fw_id_assigner.delete_many({})
    with pytest.raises(CampaignError, match="doctor --prepare"):
        pad.get_new_launch_id()


def test_without_password() -> None:
    assert without_password("mongodb://u:p@h:1/x") == "mongodb://h:1/x"
    assert without_password("mongodb://h:1/x") == "mongodb://h:1/x"


def test_write_atomically_keeps_the_old_file_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
