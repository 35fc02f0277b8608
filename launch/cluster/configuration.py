"""Read the configuration folder of a cluster: its launchpad, job store and queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.database.server import MALFORMED, is_uri
from launch.errors import CampaignError
from launch.yaml_files import read_mapping
from workflows.jobs.site import default_folder

if TYPE_CHECKING:
    from fireworks import FWorker
    from jobflow import JobStore

    from launch.database.launchpad import CampaignLaunchPad


#: Seconds that a command looks for the server; jobs wait longer.
PATIENCE = 10.0
LONGEST_LOCK = 86_400  # s


def _with_patience(options: object, seconds: float) -> dict[str, Any]:
    """Return options of pymongo by which a server is looked for no longer than some seconds."""
    known = options if isinstance(options, dict) else {}
    limit, found = int(1000 * seconds), known.get("serverSelectionTimeoutMS")
    shorter = isinstance(found, int) and found < limit
    return {**known, "serverSelectionTimeoutMS": found if shorter else limit}


@dataclass(frozen=True)
class Configuration:
    """
    A configuration folder, as ``devitrify init`` writes it.

    Attributes
    ----------
    folder : Path
        Absolute path.
    """

    folder: Path

    @classmethod
    def find(cls, folder: Path | None = None) -> Configuration:
        """
        Return the configuration in a folder, by default in the user's.

        Raises
        ------
        CampaignError
            If there is none.
        """
        found = cls((folder or default_folder()).expanduser().absolute())
        if not (found.folder / "my_launchpad.yaml").exists():
            raise CampaignError(
                f"There is no configuration in {found.folder}: write one with devitrify init, or "
                "name its folder (--config; of workflow, --launchpad)."
            )
        return found

    def read(self, name: str) -> dict[str, Any]:
        """
        Read one of its YAML files.

        Raises
        ------
        CampaignError
            If it cannot be read.
        """
        # its text may hold a password
        return read_mapping(self.folder / name, quote=False)

    def launchpad(
        self, kind: type[CampaignLaunchPad] | None = None, patience: float | None = None
    ) -> CampaignLaunchPad:
        """
        Connect to the launchpad.

        Parameters
        ----------
        kind : type or None
            Class of the launchpad; default: the one with safe counters.
        patience : float or None
            Seconds that a server is looked for; none: as the file says.

        Raises
        ------
        CampaignError
            If its URI is malformed.
        """
        from pymongo.errors import ConfigurationError, InvalidName

        from launch.database.connections import configure_fireworks
        from launch.database.launchpad import CampaignLaunchPad

        configure_fireworks(self._lock_seconds())
        document = self.read("my_launchpad.yaml")
        path = self.folder / "my_launchpad.yaml"
        known = (
            *("host", "port", "name", "username", "password", "authsource", "uri_mode"),
            "mongoclient_kwargs",
        )
        options = {key: document[key] for key in known if document.get(key) is not None}
        if patience is not None:
            options["mongoclient_kwargs"] = _with_patience(
                options.get("mongoclient_kwargs"), patience
            )
        if options.get("uri_mode"):
            self._require_uri(options.get("host"), "my_launchpad.yaml")
        try:
            return (kind or CampaignLaunchPad)(**options, strm_lvl="ERROR")
        except (ConfigurationError, InvalidName, TypeError, ValueError):
            raise CampaignError(
                f"The URI, the name or an option of the database in {path} is not one that "
                "pymongo takes, or its host has no name server's entry: correct it."
            ) from None

    @contextmanager
    def connected(self) -> Iterator[CampaignLaunchPad]:
        """Connect to the launchpad for a while, for somebody who waits for the answer."""
        pad = self.launchpad(patience=PATIENCE)
        try:
            yield pad
        finally:
            pad.connection.close()

    def job_store(self) -> JobStore:
        """
        Return the job store of ``jobflow.yaml``.

        Raises
        ------
        CampaignError
            If it has none, or one of its URIs is malformed.
        """
        from jobflow import JobStore

        document = self.read("jobflow.yaml").get("JOB_STORE")
        if not isinstance(document, dict):
            raise CampaignError(f"{self.folder / 'jobflow.yaml'} has no JOB_STORE.")
        try:
            if "docs_store" not in document:
                store: JobStore = JobStore.from_dict(document)  # type: ignore[assignment]
                return store
            others = document.get("additional_stores") or {}
            for store_document in (document["docs_store"], *others.values()):
                if "uri" in store_document:
                    self._require_uri(store_document["uri"], "jobflow.yaml")
                    store_document["mongoclient_kwargs"] = _with_patience(
                        store_document.get("mongoclient_kwargs"), PATIENCE
                    )
            return JobStore.from_dict_spec(document)
        except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
            raise CampaignError(
                f"JOB_STORE in {self.folder / 'jobflow.yaml'} makes no store "
                f"({type(error).__name__}): write it as devitrify init does."
            ) from None

    def _lock_seconds(self) -> int:
        """How long locks are respected: that of ``FW_config.yaml``, as lpad and qlaunch have it."""
        from launch.cluster.files import CLUSTER_LOCK_SECONDS

        if not (self.folder / "FW_config.yaml").exists():
            return CLUSTER_LOCK_SECONDS
        found = self.read("FW_config.yaml").get("WFLOCK_EXPIRATION_SECS", CLUSTER_LOCK_SECONDS)
        if type(found) is not int or not 1 <= found <= LONGEST_LOCK:
            raise CampaignError(
                f"WFLOCK_EXPIRATION_SECS in {self.folder / 'FW_config.yaml'} is a whole number of "
                f"seconds from 1 to {LONGEST_LOCK}."
            )
        return found

    def _require_uri(self, uri: object, name: str) -> None:
        if not is_uri(str(uri)):
            raise CampaignError(f"The URI of the database in {self.folder / name} {MALFORMED}")

    def worker(self, queue: str) -> FWorker:
        """Return the FireWorks worker of a queue."""
        from fireworks import FWorker

        return FWorker.from_file(str(self.folder / queue / "my_fworker.yaml"))

    def queues(self) -> list[str]:
        """Names of the queues: the folders with a worker."""
        return sorted(path.parent.name for path in self.folder.glob("*/my_fworker.yaml"))

    def worker_names(self) -> set[str]:
        """Names of the workers of all queues, as launches record them."""
        return {
            str(self.read(f"{queue}/my_fworker.yaml").get("name", "")) for queue in self.queues()
        }
