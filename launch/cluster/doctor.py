"""Look over everything a cluster needs, and say how to mend what is amiss."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.cluster.configuration import PATIENCE, Configuration
from launch.database.server import secrets_of
from launch.errors import CampaignError
from launch.own_files import try_writing
from launch.shell import command_line

if TYPE_CHECKING:
    from pymongo.database import Database

MODULES = ("workflows.chains.prediction", "fireworks", "jobflow", "atomate2.vasp.jobs.md", "numba")
FREE_SPACE = 5_000_000_000  # bytes
#: One of each collection: those of its version of the program came with it.
NEEDED_INDEXES = {
    "fireworks": "spec.campaign_1_state_1",
    "outputs": "output.@class_1_metadata.formula_1",
    "tallies": "ready.nnp_1",
    "outputs_blobs.files": "metadata.job_uuid_1",
}
CLOCK_SECONDS = 60.0  # FireWorks and recovery compare times of several machines


@dataclass(frozen=True)
class Check:
    """
    What was found about one thing.

    Attributes
    ----------
    name : str
        The thing.
    state : str
        ``ok``, ``warning`` or ``failed``.
    finding : str
        What was found.
    mend : str
        What to do about it.
    """

    name: str
    state: str
    finding: str
    mend: str = ""


def examine(configuration: Configuration, formula: str | None = None) -> list[Check]:
    """
    Check a configuration from this machine.

    Parameters
    ----------
    configuration : Configuration
        As written by ``devitrify init``.
    formula : str or None
        Look for the POTCARs of its elements.
    """
    checks = [_imports(), *_variables(configuration), *_database(configuration)]
    adapters = [q for q in configuration.queues() if _adapter_path(configuration, q).exists()]
    checks += [check for queue in adapters for check in _queue(configuration, queue)]
    checks += [*_programs(configuration, formula), *_extras(formula), *_disk(configuration)]
    return checks


def _imports() -> Check:
    """On the login node too: jobs that qlaunch cannot import it marks as failed."""
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken package raises what it likes
            return Check(
                "imports", "failed", f"{module}: {type(error).__name__}: {error}",
                "install devitrify in this environment, on the login node and for the jobs",
            )  # fmt: skip
    return Check("imports", "ok", f"{len(MODULES)} packages")


def _variables(configuration: Configuration) -> Iterator[Check]:
    wanted = {
        "FW_CONFIG_FILE": configuration.folder / "FW_config.yaml",
        "JOBFLOW_CONFIG_FILE": configuration.folder / "jobflow.yaml",
        "DEVITRIFY_CONFIG": configuration.folder,
    }
    missing = [name for name, path in wanted.items() if os.environ.get(name) != str(path)]
    if missing:
        yield Check(
            "environment", "warning", f"{', '.join(missing)} name something else",
            f"run: {command_line('.', configuration.folder / 'env.sh')}",
        )  # fmt: skip
    else:
        yield Check("environment", "ok", "env.sh was read")


def _database(configuration: Configuration) -> Iterator[Check]:
    """Reachable, writable, prepared, GridFS, clock: each needs the one before it."""
    from pymongo.errors import PyMongoError

    try:
        pad = configuration.launchpad(patience=PATIENCE)
        pad.connection.admin.command("ping")
    except (PyMongoError, CampaignError, ValueError, KeyError) as error:
        yield Check(
            "database", "failed", _without_secrets(error, configuration),
            "start the MongoDB, or correct the URI in my_launchpad.yaml and jobflow.yaml",
        )  # fmt: skip
        return
    steps: tuple[tuple[str, Callable[[Database], Check]], ...] = (
        ("database", _writable), ("launchpad", _prepared), ("clock", _clock),
    )  # fmt: skip
    for name, step in steps:
        try:
            yield step(pad.db)
        except PyMongoError as error:
            yield Check(
                name, "failed", _without_secrets(error, configuration),
                "give the user of the URI the role readWrite on this database",
            )  # fmt: skip
    pad.connection.close()
    yield _blobs(configuration)


def _writable(database: Database) -> Check:
    name = f"check-{uuid.uuid4()}"
    database.devitrify_checks.insert_one({"_id": name})
    database.devitrify_checks.delete_one({"_id": name})
    version = database.client.server_info()["version"]
    return Check("database", "ok", f"{database.name}, server {version}, writable")


def _prepared(database: Database) -> Check:
    if database.fw_id_assigner.count_documents({}) == 0:
        return Check(
            "launchpad", "failed", "it has no counters yet", "run: devitrify doctor --prepare"
        )
    missing = [
        name for collection, name in NEEDED_INDEXES.items()
        if name not in database[collection].index_information()
    ]  # fmt: skip
    if missing:
        return Check(
            "launchpad",
            "warning",
            "it has not all of our indexes",
            "run: devitrify doctor --prepare",
        )
    return Check("launchpad", "ok", f"{database.workflows.estimated_document_count()} workflows")


def _clock(database: Database) -> Check:
    there = database.command("hello").get("localTime")
    if there is None:
        return Check("clock", "warning", "the server does not tell its time")
    apart = abs((datetime.now(UTC) - there.replace(tzinfo=UTC)).total_seconds())
    if apart > CLOCK_SECONDS:
        return Check(
            "clock", "failed", f"{apart:.0f} s apart from the database's",
            "have both machines' clocks set by NTP",
        )  # fmt: skip
    return Check("clock", "ok", f"{apart:.1f} s apart from the database's")


def _blobs(configuration: Configuration) -> Check:
    """Write, read and remove a blob through the store that jobs use."""
    from pymongo.errors import PyMongoError

    try:
        stores: dict[str, Any] = configuration.job_store().additional_stores  # type: ignore[has-type]
        blobs = stores.get("data")
        if blobs is None:
            return Check(
                "GridFS", "failed", "jobflow.yaml has no additional store named data",
                "write it as devitrify init does",
            )  # fmt: skip
        blobs.connect()
        name = f"check-{uuid.uuid4()}"
        blobs.update([{"blob_uuid": name, "data": "x" * 1000}], key="blob_uuid")
        found = blobs.query_one({"blob_uuid": name})
        blobs.remove_docs({"blob_uuid": name})
        blobs.close()
    except (PyMongoError, CampaignError, ValueError, KeyError) as error:
        return Check(
            "GridFS", "failed", _without_secrets(error, configuration), "correct jobflow.yaml"
        )
    if found is None:
        return Check("GridFS", "failed", "what was written is not there", "see the server's log")
    return Check("GridFS", "ok", "a blob was written, read and removed")


def _adapter_path(configuration: Configuration, queue: str) -> Path:
    return configuration.folder / queue / "my_qadapter.yaml"


def _queue(configuration: Configuration, queue: str) -> Iterator[Check]:
    """Partition and batch script, which SLURM looks at without running it."""
    from launch.cluster import slurm

    name = f"queue {queue}"
    try:
        adapter = configuration.read(f"{queue}/my_qadapter.yaml")
        limits = slurm.partitions()
    except CampaignError as error:
        yield Check(name, "failed", str(error), "run this on a login node of the cluster")
        return
    partition = str(adapter.get("queue"))
    if partition not in limits:
        yield Check(
            name, "failed", f"there is no partition {partition}",
            f"set queue in {queue}/my_qadapter.yaml to one of {', '.join(sorted(limits))}",
        )  # fmt: skip
        return
    refusal = _refusal(configuration, queue)
    if refusal:
        yield Check(name, "failed", refusal, f"correct {queue}/my_qadapter.yaml and devitrify.yaml")
    else:
        yield Check(name, "ok", f"partition {partition}, at most {limits[partition]}")


def _refusal(configuration: Configuration, queue: str) -> str | None:
    """Why SLURM would refuse the largest job of a queue; none if it takes it."""
    from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

    from workflows.jobs.site import SiteError, SiteSettings, walltime_seconds
    from workflows.stages.table import default_resources

    try:
        settings = SiteSettings.from_dict(configuration.read("devitrify.yaml"))
    except (SiteError, CampaignError) as error:
        return str(error)
    wanted = max(
        {**default_resources()[queue], **settings.resources.get(queue, {})}.values(),
        key=lambda resources: walltime_seconds(resources.walltime),
    )
    adapter = CommonAdapter.from_dict(configuration.read(f"{queue}/my_qadapter.yaml"))
    adapter.update(walltime=wanted.walltime, nodes=wanted.nodes)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.sh"
        script.write_text(adapter.get_script_str(folder))
        done = subprocess.run(
            ["sbatch", "--test-only", str(script)], capture_output=True, text=True, check=False
        )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["sbatch refuses it"])[-1]


def _programs(configuration: Configuration, formula: str | None) -> Iterator[Check]:
    """Programs of engines, and pseudopotentials. Modules may provide them in jobs only."""
    from workflows.engines.registry import ENGINES

    for name, row in ENGINES.items():
        if row.commands:
            yield _program(configuration, name, row.commands[0])
    if formula is not None:
        yield _potcars(formula)


def _program(configuration: Configuration, engine: str, setting: str) -> Check:
    """The program that a setting of atomate2 names, and what starts it."""
    title = engine.upper()
    try:
        command = str(configuration.read("atomate2.yaml").get(setting, ""))
    except CampaignError as error:
        return Check(title, "warning", str(error), "write it as devitrify init does")
    programs = [word for word in command.split() if not word.startswith("-")]
    missing = [word for word in (programs[:1] + programs[-1:]) if shutil.which(word) is None]
    if not missing:
        return Check(title, "ok", command)
    return Check(
        title, "warning", f"{' and '.join(dict.fromkeys(missing))} is not on the PATH here",
        f"only --engine {engine} needs it: load its module, or correct {setting} in atomate2.yaml",
    )  # fmt: skip


def _potcars(formula: str) -> Check:
    from pymatgen.core import SETTINGS

    from workflows.composition import parse_composition

    folder = SETTINGS.get("PMG_VASP_PSP_DIR")
    if not folder:
        return Check(
            "POTCARs", "failed", "no folder is named",
            "export PMG_VASP_PSP_DIR in env.sh (devitrify init --potcars FOLDER)",
        )  # fmt: skip
    elements = sorted(element.symbol for element in parse_composition(formula))
    there = Path(folder).expanduser()
    missing = [element for element in elements if not _has_potcar(there, element)]
    if missing:
        return Check(
            "POTCARs", "failed", f"none for {', '.join(missing)} in {folder}",
            "put them there as pymatgen's 'pmg config --potcar' does",
        )  # fmt: skip
    return Check("POTCARs", "ok", f"{', '.join(elements)} in {folder}")


def _extras(formula: str | None) -> Iterator[Check]:
    """Engines that are optional extras."""
    from importlib.metadata import version

    from workflows.composition import parse_composition
    from workflows.engines.registry import ENGINES, find_engine

    elements = set() if formula is None else {e.symbol for e in parse_composition(formula)}
    # engines of one extra are alike in what they need and know
    named = {row.extra: (name, row) for name, row in reversed(ENGINES.items()) if row.extra}
    for name, row in sorted(named.values()):
        engine, title = find_engine(name), name.upper()
        unknown = sorted(elements - (engine.elements() or elements))
        if engine.missing() is not None:
            yield Check(title, "ok", f"not installed; only --engine {name} needs it")
        elif unknown:
            yield Check(
                title, "warning", f"it does not know {', '.join(unknown)}",
                "take another --engine for this formula",
            )  # fmt: skip
        else:
            yield Check(title, "ok", version(row.packages[0]))


def _has_potcar(folder: Path, element: str) -> bool:
    """Whether there is a PBE pseudopotential of an element, of whatever variant."""
    patterns = (f"POTCAR.{element}[._]*", f"POTCAR.{element}", f"{element}/POTCAR*",
                f"{element}_*/POTCAR*")  # fmt: skip
    roots = [path for path in folder.glob("*PBE*") if path.is_dir()]
    return any(next(root.glob(pattern), None) for root in roots for pattern in patterns)


def _disk(configuration: Configuration) -> Iterator[Check]:
    from workflows.jobs.site import SiteError, SiteSettings

    try:
        settings = SiteSettings.from_dict(configuration.read("devitrify.yaml"))
    except (SiteError, CampaignError) as error:
        yield Check("disk", "failed", str(error), "correct devitrify.yaml")
        return
    folder = settings.checkpoints or configuration.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_writing(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Check(
            "disk", "failed", f"{folder}: {error.strerror}", "set checkpoints in devitrify.yaml"
        )
        return
    state = "ok" if free > FREE_SPACE else "warning"
    mend = "" if state == "ok" else "free some space"
    yield Check("disk", state, f"{free / 1e9:.0f} GB free in {folder}", mend)


def _without_secrets(error: Exception, configuration: Configuration) -> str:
    """First line of an error, without anything of a URI but its hosts."""
    from pymongo.errors import ConfigurationError

    if isinstance(error, ConfigurationError | ValueError):  # these quote parts of the URI
        return "the URI or one of its options is not one that pymongo takes"
    text = (str(error).splitlines() or [type(error).__name__])[0]
    try:
        document = configuration.read("my_launchpad.yaml")
    except CampaignError:
        return type(error).__name__
    found = [str(document.get("password") or ""), *secrets_of(str(document.get("host", "")))]
    for secret in filter(None, found):
        text = text.replace(secret, "...")
    return text[:200]
