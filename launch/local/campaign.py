"""The folder of a campaign: what it is for, who uses it, and whether there is room in it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from launch.database.embedded import EmbeddedDatabase
from launch.errors import CampaignError
from launch.local.campaign_document import CampaignDocument, as_json_types, describe, digest
from launch.own_files import FOLDER_MODE, open_own, require_no_links, require_own, try_writing
from launch.report.status import CampaignHeading
from launch.shell import command_line
from launch.versions import CAMPAIGN_VERSION, refusal
from nnp.storage.files import write_atomically
from workflows.composition import same_compound
from workflows.system import same_system

CAMPAIGN_FILE = "campaign.json"
#: Settings that no correction changes: melts, searches and rankings of others are other ones.
PRESSURES = ("pressure_GPa", "pressures_GPa")
SYSTEM = ("space", "known")
LOCK_FILE = ".lock"
LOG_FILE = "devitrify.log"
#: What is written in a campaign's folder while it runs; the report names its own files.
WRITTEN = (CAMPAIGN_FILE, LOCK_FILE, LOG_FILE, "database", "logs")
MEGABYTE = 1_000_000
REQUIRED_SPACE = 200 * MEGABYTE


class Campaign:
    """
    A campaign folder.

    Use :meth:`create_or_open` to start or resume a campaign and :meth:`open` to look at one.

    Parameters
    ----------
    folder : Path
        The campaign's folder.
    document : CampaignDocument
        Its description.
    """

    def __init__(self, folder: Path, document: CampaignDocument) -> None:
        self.folder = folder
        self.document = document
        #: Other settings that are asked for, until it is known whether they come too late.
        self.correction: dict[str, Any] | None = None
        #: By which it is resumed now, and which becomes its own with such settings.
        self.command: list[str] = []

    @classmethod
    def create_or_open(
        cls,
        folder: Path | str,
        *,
        formula: str,
        engine: str,
        protocol: str,
        seed: int,
        settings: Mapping[str, Any] | None = None,
        command: Sequence[str] = (),
    ) -> Campaign:
        """
        Return the campaign in a folder, creating it where there is none.

        Parameters
        ----------
        folder : Path or str
            The campaign's folder; created with its parents if missing.
        formula, engine, protocol : str
            What the campaign is for. A campaign that exists must agree.
        seed : int
            Of all random numbers; it must agree too.
        settings : mapping or None
            Everything else that changes the result, as JSON types. Of a campaign that exists they
            may differ: they are its ``correction`` then, for stages that have not begun.
        command : sequence of str
            What is typed behind ``devitrify run`` to come here again.

        Raises
        ------
        CampaignError
            If the folder cannot be used or belongs to a different campaign, or to one that another
            version has begun.
        """
        folder = Path(folder).expanduser().absolute()
        plain = as_json_types(settings)
        wanted = {"formula": formula, "engine": engine, "protocol": protocol, "seed": seed}
        if (folder / CAMPAIGN_FILE).exists():
            campaign = cls.open(folder)
            _require_version(campaign.document.model_dump(), folder, exactly=True)
            campaign._require_same(wanted, plain)
            campaign.command = list(command)
            require_writable(folder)
            return campaign
        _make_folder(folder)
        require_safe(folder)
        require_writable(folder)
        require_space(folder)
        document = describe(
            f"{formula}-{uuid.uuid4().hex[:8]}", **wanted, settings=plain, command=command
        )
        campaign = cls(folder, document)
        campaign.save()
        return campaign

    @classmethod
    def open(cls, folder: Path | str) -> Campaign:
        """Return the campaign in a folder that has one and is the user's own."""
        folder = Path(folder).expanduser().absolute()
        path = folder / CAMPAIGN_FILE
        require_safe(folder)
        try:
            content = json.loads(path.read_text())
            if isinstance(content, dict) and "settings_digest" in content:
                _require_version(content, folder)
            document = CampaignDocument.model_validate(content)
        except FileNotFoundError:
            raise CampaignError(
                f"There is no campaign in {folder}: start one with: "
                f"{command_line('devitrify', 'run', 'FORMULA', '--folder', folder)}"
            ) from None
        except (OSError, RecursionError, ValidationError, ValueError) as error:
            raise CampaignError(
                f"{path} cannot be read ({_first_line(error)}): restore it from a copy, or use "
                "another --folder."
            ) from error
        return cls(folder, document)

    def require_named(self, name: str | None) -> None:
        """Raise a CampaignError if another campaign is asked for by name."""
        if name not in (None, self.id):
            raise CampaignError(
                f"{self.folder} holds the campaign {self.id}, not {name}: leave out --campaign, or "
                "name the other folder."
            )

    @property
    def heading(self) -> CampaignHeading:
        """Which campaign it is, for reports."""
        return CampaignHeading(
            campaign=self.document.id,
            formula=self.document.formula,
            engine=self.document.engine,
            protocol=self.document.protocol,
            folder=str(self.folder),
            command=self.document.command,
        )

    @property
    def id(self) -> str:
        """The campaign's unique name."""
        return self.document.id

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.folder / "logs"

    @property
    def launches(self) -> Path:
        """The folder in which jobs run."""
        return self.folder / "launches"

    def database(self, uri: str | None = None) -> EmbeddedDatabase:
        """Return the campaign's database, or the server at a URI in its place."""
        return EmbeddedDatabase(self.folder / "database", uri=uri)

    def save(self) -> None:
        """Write ``campaign.json``, whole or not at all."""
        try:
            text = self.document.model_dump_json(indent=2)
            write_atomically(self.folder / CAMPAIGN_FILE, text + "\n")
        except OSError as error:
            raise CampaignError(
                f"{self.folder / CAMPAIGN_FILE} cannot be written ({error.strerror}); nothing "
                "was lost: put that right and run the same command again."
            ) from error

    @contextmanager
    def lock(self, patience: float = 3.0) -> Iterator[None]:
        """
        Hold the campaign alone: the lock ends with the process, however that ends.

        Parameters
        ----------
        patience : float
            How long to wait for another holder, in seconds.
        """
        path = self.folder / LOCK_FILE
        try:
            file = open_own(path, "a+")
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        with file:
            _acquire(file, self.folder, patience)
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.seek(0)
            file.truncate()

    def locked(self) -> bool:
        """Whether a process runs this campaign now."""
        try:
            with (self.folder / LOCK_FILE).open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _require_same(self, wanted: Mapping[str, Any], settings: dict[str, Any]) -> None:
        for name, value in wanted.items():
            present = getattr(self.document, name)
            same = present == value
            if name == "formula":
                same = same_compound(present, value) or same_system(present, value)
            if not same:
                raise CampaignError(
                    f"The folder {self.folder} holds a campaign with {name} {present}, not "
                    f"{value}: give another --folder, or the same {name} to resume it."
                )
        self.correction = settings if digest(settings) != self.document.settings_digest else None
        if any(self.document.settings.get(name) != settings.get(name) for name in PRESSURES):
            raise self.refuse_correction("All of a campaign is at its pressures.")
        if any(self.document.settings.get(name) != settings.get(name) for name in SYSTEM):
            raise self.refuse_correction("All of a campaign is of its system and known phases.")

    def begin_correction(self) -> None:
        """Note that the settings are about to change: whatever is asked for next is other ones."""
        self.document.settings_digest = ""
        self.save()

    def accept_correction(self) -> None:
        """Let the corrected settings be those of the campaign."""
        if self.correction is not None:
            self.document.settings = self.correction
            self.document.settings_digest = digest(self.correction)
            self.document.command = self.command
            self.correction = None
            self.save()

    def refuse_correction(self, reason: object) -> CampaignError:
        """Return the error that says which settings come too late, and why."""
        found = list(_differences(self.document.settings, self.correction))
        listed = "; ".join(found[:5]) + ("; ..." if len(found) > 5 else "")
        return CampaignError(
            f"The folder {self.folder} holds a campaign with other settings ({listed}). {reason} "
            "Give another --folder, or the same settings to resume it."
        )


def require_space(folder: Path, required: int = REQUIRED_SPACE) -> None:
    """Raise a CampaignError if a folder has less free space than required (bytes)."""
    free = shutil.disk_usage(folder).free
    if free < required:
        raise CampaignError(
            f"Only {free / MEGABYTE:.0f} MB are free in {folder}, a campaign needs "
            f"{required / MEGABYTE:.0f} MB: free some space and run the same command again, "
            "nothing is lost."
        )


def require_safe(folder: Path) -> None:
    """Raise a CampaignError if others can write in a campaign's folder, or a link leads out."""
    for own in (folder, *(folder / name for name in ("database", "logs", "launches"))):
        require_own(own)
    launches = folder / "launches"  # of what jobs have left in it nothing is written again
    require_no_links(folder, *WRITTEN, *(["launches"] if launches.is_symlink() else []))


def require_writable(folder: Path) -> None:
    """Raise a CampaignError if files cannot be made in a folder."""
    try:
        try_writing(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _cannot_write(folder: Path, error: OSError) -> CampaignError:
    return CampaignError(
        f"The folder {folder} cannot be written ({error.strerror}): give another --folder."
    )


def _acquire(file: IO[str], folder: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise CampaignError(
                    f"The campaign in {folder} is already being run by process {holder}: wait "
                    "for it or end it ('devitrify status' shows how far it is)."
                ) from None
            time.sleep(0.1)


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield the differences between two settings as phrases."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield from _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
    else:
        yield f"{path or 'settings'} {json.dumps(old)}, not {json.dumps(new)}"


def _require_version(content: Mapping[str, Any], folder: Path, exactly: bool = False) -> None:
    """
    Refuse a campaign of another version; those without a number are older than the numbers.

    Parameters
    ----------
    content : mapping
        What is in ``campaign.json``.
    folder : Path
        The campaign's folder.
    exactly : bool
        Whether it is to be run; an older one can still be read.

    Raises
    ------
    CampaignError
        If it is of another version; it says which devitrify runs it.
    """
    found = content.get("version")
    readable = isinstance(found, int) and found <= CAMPAIGN_VERSION
    if found != CAMPAIGN_VERSION and (exactly or not readable):
        versions = content.get("versions")
        begun_by = versions.get("devitrify") if isinstance(versions, dict) else None
        sentence = refusal(f"The campaign in {folder}", found, begun_by)
        raise CampaignError(f"{sentence}, or give another --folder to begin anew.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
