"""Connect to the database of a campaign: its launchpad and its job store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from jobflow import JobStore

OUTPUTS = "outputs"
LOCK_SECONDS = 30  # a workflow lock older than this was left by a dead process


def launchpad(uri: str, name: str, log_level: str = "ERROR", patience: float = 30.0) -> LaunchPad:
    """
    Return the FireWorks launchpad of a campaign.

    Parameters
    ----------
    uri : str
        Connection string of the server.
    name : str
        Name of the campaign's database.
    log_level : str
        What FireWorks prints.
    patience : float
        How long to look for the server before an operation fails, in seconds.
    """
    from launch.database.launchpad import CampaignLaunchPad

    configure_fireworks()
    options = {"serverSelectionTimeoutMS": int(1000 * patience)}
    return CampaignLaunchPad(
        host=uri, name=name, uri_mode=True, strm_lvl=log_level, mongoclient_kwargs=options
    )


def configure_fireworks(lock_seconds: int = LOCK_SECONDS) -> None:
    """
    Set what FireWorks binds at import: its own configuration files would come too late.

    Locks of dead processes are taken over soon, and no Firework is copied into its folder.

    Parameters
    ----------
    lock_seconds : int
        How long a workflow's lock is respected.
    """
    from fireworks.core import launchpad as launchpad_module
    from fireworks.core import rocket

    launchpad_module.WFLock.__init__.__defaults__ = (lock_seconds, True)
    rocket.PRINT_FW_JSON = False


def job_store(uri: str, name: str, patience: float = 30.0) -> JobStore:
    """
    Return the jobflow store of a campaign.

    Documents go to the collection ``outputs``; what a job saves as ``data`` (trajectories,
    potentials) to GridFS, since a MongoDB document ends at 16 MB.

    Parameters
    ----------
    uri, name : str
        As for :func:`launchpad`.
    patience : float
        As there, in seconds.
    """
    from jobflow import JobStore
    from maggma.stores import GridFSStore, MongoStore

    where: dict[str, Any] = {"uri": uri, "database": name}
    where["mongoclient_kwargs"] = {"serverSelectionTimeoutMS": int(1000 * patience)}
    documents = MongoStore(collection_name=OUTPUTS, **where)
    blobs = GridFSStore(collection_name=f"{OUTPUTS}_blobs", **where)
    return JobStore(documents, additional_stores={"data": blobs})
