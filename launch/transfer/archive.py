"""
The zip file in which campaigns travel.

Beside what is for people, it holds a folder for each campaign with its documents as lines of JSON
(MongoDB's extended JSON, so that every type comes back) and its blobs as they are in GridFS. Its
``manifest.json`` names every file with its size and its SHA-256; the checksum of the whole is the
SHA-256 of that list, as ``sha256sum`` prints it. Nothing in it is code, no path of it is ever
written to, and what is read is never larger than the manifest says.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, Self

from bson import json_util
from bson.errors import BSONError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from launch.errors import CampaignError
from launch.versions import own_version
from nnp.storage.files import open_atomically

FORMAT: Final = "devitrify campaigns"
#: Raised where an earlier devitrify could not read the file any more.
FORMAT_VERSION = 1
MANIFEST = "manifest.json"

#: Bytes: of the manifest, of one document, of one blob, of all files together.
LARGEST_MANIFEST = 500_000_000
LARGEST_LINE = 100_000_000
LARGEST_BLOB = 2_000_000_000
LARGEST_ARCHIVE = 500_000_000_000
_PIECE = 1 << 20
#: Of every file: the same campaign makes the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ArchiveError(CampaignError):
    """A file is no archive of campaigns, or has been damaged."""


class FileEntry(BaseModel):
    """A file of an archive."""

    sha256: Sha256
    bytes: int = Field(ge=0, le=LARGEST_ARCHIVE)


class CampaignEntry(BaseModel):
    """A campaign of an archive."""

    name: str = Field(min_length=1)
    formula: str
    folder: str = Field(pattern=r"^campaign-\d{1,6}$", description="of its files in the archive")
    campaign_version: int | None = Field(description="None: of before campaigns had versions")
    begun_by: str | None = Field(None, description="version of the devitrify that began it")
    state: str = Field(description="of its workflow")
    fireworks: int = Field(ge=0)
    finished: int = Field(ge=0, description="Fireworks that are completed")
    launches: int = Field(ge=0)
    outputs: int = Field(ge=0)
    blobs: int = Field(ge=0)

    def path(self, name: str) -> str:
        """Return the path of a file of the campaign in the archive."""
        return f"{self.folder}/{name}"


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["devitrify campaigns"] = FORMAT
    version: int = FORMAT_VERSION
    devitrify: str = Field(description="version that has exported it")
    created: datetime
    campaigns: list[CampaignEntry] = Field(min_length=1)
    files: dict[str, FileEntry] = Field(description="all others, by path")
    checksum: Sha256

    @property
    def size(self) -> int:
        """Bytes of all files when they are unpacked."""
        return sum(entry.bytes for entry in self.files.values())


def checksum_of(files: Mapping[str, FileEntry]) -> str:
    """
    Return the checksum of what was exported.

    Parameters
    ----------
    files : mapping of str to FileEntry
        By path.
    """
    listed = "".join(f"{files[path].sha256}  {path}\n" for path in sorted(files))
    return hashlib.sha256(listed.encode()).hexdigest()


class ArchiveWriter:
    """
    Writes an archive; see :func:`write_archive`.

    Parameters
    ----------
    file : file object
        Binary, to write to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self.files: dict[str, FileEntry] = {}

    def add(self, path: str, pieces: Iterable[bytes]) -> None:
        """Add a file, in pieces."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_info(path), "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        self.files[path] = FileEntry(sha256=digest.hexdigest(), bytes=size)

    def add_lines(self, path: str, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add documents, a line each; return how many there were."""
        counted = 0

        def lines() -> Iterator[bytes]:
            nonlocal counted
            for document in documents:
                counted += 1
                yield to_line(document)

        self.add(path, lines())
        return counted

    def add_file(self, path: str, source: Path) -> None:
        """Add a file of the disk."""
        with source.open("rb") as file:
            self.add(path, iter(lambda: file.read(_PIECE), b""))

    def finish(self, campaigns: list[CampaignEntry]) -> Manifest:
        """Write the manifest and close the archive."""
        manifest = Manifest(
            devitrify=own_version(),
            created=datetime.now(UTC),
            campaigns=campaigns,
            files=self.files,
            checksum=checksum_of(self.files),
        )
        self._zip.writestr(_info(MANIFEST), manifest.model_dump_json(indent=1) + "\n")
        self._zip.close()
        return manifest

    def give_up(self) -> None:
        """Close what will not be kept."""
        with suppress(OSError, ValueError):
            self._zip.close()


@contextmanager
def write_archive(path: Path) -> Iterator[ArchiveWriter]:
    """
    Write an archive, whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced at the end.

    Yields
    ------
    ArchiveWriter
        To be finished within.
    """
    with open_atomically(path) as file:
        writer = ArchiveWriter(file)
        try:
            yield writer
        except BaseException:
            writer.give_up()  # while the file is open: nobody hears of it later
            raise


class ArchiveReader:
    """
    Reads an archive and trusts nothing in it.

    Parameters
    ----------
    path : Path
        Of the zip file.

    Raises
    ------
    ArchiveError
        If it is no archive of campaigns, or cannot be read here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.exists() and not path.is_file():  # a device may have no end
                raise ArchiveError(f"{path} is no file: name an archive of devitrify export.")
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile:
            raise self._damaged("it is no zip file, or its end is missing") from None
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read ({error.strerror}).") from error
        try:
            self.manifest = self._read_manifest()
            self._require_listed()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def verify(self) -> None:
        """
        Compare all files with their checksums.

        Raises
        ------
        ArchiveError
            If one does not fit.
        """
        for path in self.manifest.files:
            for _ in self._pieces(path):
                pass

    def read(self, path: str) -> bytes:
        """Return a file of an archive, whole and verified."""
        if self._entry(path).bytes > LARGEST_BLOB:
            raise self.foreign(f"{path!r} is larger than {LARGEST_BLOB / 1e9:g} GB")
        return b"".join(self._pieces(path))

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the documents of a file; the file is verified when the last one was taken."""
        rest = b""
        for piece in self._pieces(path):
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > LARGEST_LINE:
                raise self.foreign(f"{path!r} has a document larger than any database takes")
            yield from (self._document(line, path) for line in whole)
        if rest:
            raise self.foreign(f"the last line of {path!r} has no end")

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self.manifest.files

    def below(self, folder: str) -> list[str]:
        """Paths of the files in a folder."""
        return [path for path in self.manifest.files if path.startswith(f"{folder}/")]

    def foreign(self, why: str) -> ArchiveError:
        """Return the error for content that no export has made."""
        return ArchiveError(
            f"{self.path} is no archive that devitrify export has made ({why}): nothing was "
            "imported."
        )

    def _entry(self, path: str) -> FileEntry:
        entry = self.manifest.files.get(path)
        if entry is None:
            raise self.foreign(f"{path!r} is missing")
        return entry

    def _document(self, line: bytes, path: str) -> dict[str, Any]:
        try:
            document = json_util.loads(line.decode())
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError, BSONError):
            document = None
        if not isinstance(document, dict):
            raise self.foreign(f"a line of {path!r} is no document")
        return document

    def _pieces(self, path: str) -> Iterator[bytes]:
        """Yield the content of a file and compare it with its size and checksum."""
        entry, digest, size = self._entry(path), hashlib.sha256(), 0
        try:
            with self._zip.open(path) as file:
                while piece := file.read(_PIECE):
                    size += len(piece)
                    digest.update(piece)
                    if size > entry.bytes:
                        break
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
            raise self._damaged(f"{path!r} cannot be unpacked") from None
        if (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
            raise self._damaged(f"the checksum of {path!r} does not fit")

    def _read_manifest(self) -> Manifest:
        try:
            size = self._zip.getinfo(MANIFEST).file_size
        except KeyError:
            raise self.foreign("it has no manifest") from None
        if size > LARGEST_MANIFEST:
            raise self.foreign("its manifest is too large")
        try:
            content = json.loads(self._zip.read(MANIFEST))
        except (ValueError, RecursionError):
            raise self.foreign("its manifest cannot be read") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError):
            raise self._damaged("its manifest cannot be unpacked") from None
        self._require_format(content)
        try:
            manifest = Manifest.model_validate(content)
        except ValidationError:
            raise self.foreign("its manifest cannot be read") from None
        if manifest.checksum != checksum_of(manifest.files):
            raise self._damaged("the checksum of its manifest does not fit")
        if manifest.size > LARGEST_ARCHIVE:
            raise self.foreign(f"it would be larger than {LARGEST_ARCHIVE / 1e9:g} GB")
        return manifest

    def _require_format(self, content: Any) -> None:
        """Refuse what other programs, or later versions of this one, have made."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise self.foreign("its manifest is of something else")
        if content.get("version") != FORMAT_VERSION:
            raise ArchiveError(
                f"{self.path} has format {content.get('version')!s:.20} of archives, and this "
                f"devitrify {own_version()} reads {FORMAT_VERSION}: import it with devitrify "
                f"{content.get('devitrify')!s:.20}, which has exported it."
            )

    def _require_listed(self) -> None:
        """See that the files are those of the manifest, each once."""
        found = [info.filename for info in self._zip.infolist() if info.filename != MANIFEST]
        if len(found) != len(set(found)) or set(found) != set(self.manifest.files):
            raise self._damaged("its files are not those of its manifest")
        for info in self._zip.infolist():
            entry = self.manifest.files.get(info.filename)
            if entry is not None and entry.bytes != info.file_size:
                raise self._damaged(f"{info.filename!r} has another size than its manifest says")

    def _damaged(self, why: str) -> ArchiveError:
        return ArchiveError(
            f"{self.path} has been damaged or is no archive of campaigns ({why}): nothing was "
            "imported; get it anew from where it was exported."
        )


def to_line(document: Mapping[str, Any]) -> bytes:
    """Spell a document of a database out in one line of extended JSON."""
    text: str = json_util.dumps(document, json_options=json_util.RELAXED_JSON_OPTIONS)
    return text.encode() + b"\n"


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
