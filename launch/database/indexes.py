"""By what documents are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.database.connections import OUTPUTS, launchpad
from launch.database.ready import QUEUES
from launch.database.release import JOB_VARIABLE
from launch.database.tallies import COLLECTION as TALLIES
from launch.database.writing import SINCE

if TYPE_CHECKING:
    from fireworks import LaunchPad

#: What output documents are looked up by.
OUTPUT_INDEXES = (
    ("uuid",),
    ("completed_at",),
    ("metadata.campaign", "output.@class"),
    ("metadata.formula", "output.@class"),
    ("metadata.stage",),
    ("output.@class", "metadata.formula"),
)


def create_indexes(uri: str, name: str) -> None:
    """Create the launchpad's counters and all indexes; harmless on a database in use."""
    prepare(launchpad(uri, name))


def prepare(pad: LaunchPad) -> None:
    """Create the counters of a launchpad that has none, and the indexes of all collections."""
    if pad.fw_id_assigner.count_documents({}) == 0:
        pad.reset(None, require_password=False, max_reset_wo_password=0)
    pad.tuneup()
    for keys in OUTPUT_INDEXES:
        pad.db[OUTPUTS].create_index([(key, 1) for key in keys])
    # Taking the next Firework of a queue: FireWorks' own index goes through those of all queues.
    queue = [("spec._category", 1), ("state", 1), ("spec._priority", -1), ("created_on", 1)]
    pad.db.fireworks.create_index(queue)
    pad.db.launches.create_index(f"fworker.env.{JOB_VARIABLE}")
    pad.db.fireworks.create_index([("spec.stage", 1), ("state", 1)])
    pad.db.fireworks.create_index([("spec.campaign", 1), ("state", 1)])
    pad.db.workflows.create_index("metadata.campaign")
    pad.db.workflows.create_index(SINCE)
    pad.db[f"{OUTPUTS}_blobs.files"].create_index("metadata.blob_uuid")
    pad.db[f"{OUTPUTS}_blobs.files"].create_index("metadata.job_uuid")
    pad.db.progress.create_index("campaign")
    for name in QUEUES:  # which campaign has something of a queue
        pad.db[TALLIES].create_index(f"ready.{name}")
