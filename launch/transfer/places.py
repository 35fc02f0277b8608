"""Where the documents of campaigns are: the collections of a launchpad and of a job store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError
from launch.local.correction import ARCHIVE

if TYPE_CHECKING:
    from gridfs import GridFS
    from jobflow import JobStore
    from pymongo.collection import Collection

    from launch.cluster.configuration import Configuration
    from launch.database.launchpad import CampaignLaunchPad


@dataclass(frozen=True)
class Place:
    """
    A launchpad and the job store that belongs to it.

    Attributes
    ----------
    pad : CampaignLaunchPad
        Its Fireworks, launches and workflows.
    store : JobStore
        Connected; its documents in a MongoDB, its blobs in GridFS.
    """

    pad: CampaignLaunchPad
    store: JobStore

    @property
    def outputs(self) -> Collection[dict[str, Any]]:
        """Output documents."""
        found: Collection[dict[str, Any]] = self.store.docs_store._collection
        return found

    @property
    def progress(self) -> Collection[dict[str, Any]]:
        """How far running jobs are; it is beside the output documents."""
        return self.outputs.database["progress"]

    @property
    def archive(self) -> Collection[dict[str, Any]]:
        """Fireworks that corrections have taken out."""
        found: Collection[dict[str, Any]] = self.pad.db[ARCHIVE]
        return found

    @property
    def blobs(self) -> GridFS:
        """What output documents refer to by a ``blob_uuid``."""
        found: GridFS = _blobs_of(self.store)._collection
        return found

    @property
    def blob_files(self) -> Collection[dict[str, Any]]:
        """What GridFS knows of each blob."""
        found: Collection[dict[str, Any]] = _blobs_of(self.store)._files_collection
        return found


def place_of(pad: CampaignLaunchPad, store: JobStore) -> Place:
    """
    Connect to a job store and see that it is of the kind that campaigns can travel between.

    Raises
    ------
    CampaignError
        If its blobs or documents are elsewhere than in a MongoDB.
    """
    from maggma.stores import GridFSStore, MongoStore

    store.connect()
    in_gridfs = isinstance(_blobs_of(store), GridFSStore)
    if not isinstance(store.docs_store, MongoStore) or not in_gridfs:
        raise CampaignError(
            "Campaigns travel between job stores that are a MongoDB with GridFS, as devitrify init "
            "writes them; that of this configuration is another one."
        )
    return Place(pad, store)


def _blobs_of(store: Any) -> Any:
    """Return the store of what jobs save as data; None if there is none."""
    return store.additional_stores.get("data")


@contextmanager
def opened(uri: str, name: str, patience: float = 30.0) -> Iterator[Place]:
    """
    Open the database of one campaign.

    Parameters
    ----------
    uri, name : str
        Of the server, and of the database.
    patience : float
        How long to look for the server, in seconds.
    """
    from launch.database.connections import job_store, launchpad

    pad = launchpad(uri, name, patience=patience)
    store = job_store(uri, name, patience)
    try:
        yield place_of(pad, store)
    finally:
        store.close()
        pad.connection.close()


@contextmanager
def opened_shared(configuration: Configuration) -> Iterator[Place]:
    """Open the database that the campaigns of a cluster share."""
    with configuration.connected() as pad:
        store = configuration.job_store()
        try:
            yield place_of(pad, store)
        finally:
            store.close()
