"""What is known about a campaign before it runs: the content of ``campaign.json``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from launch.versions import CAMPAIGN_VERSION, installed_versions

#: In the metadata of a workflow without a folder: the campaign's document, as a text.
DESCRIPTION = "description"
#: There: how many Fireworks it had when it was added.
N_FIRST = "n_first"


class CampaignDocument(BaseModel):
    """What is known about a campaign before it runs: the content of ``campaign.json``."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(CAMPAIGN_VERSION, description="of campaigns, see CAMPAIGN_VERSION")
    id: str = Field(description="unique name, in the metadata of every job")
    formula: str = Field(description="reduced formula")
    engine: str = Field(description="reference engine")
    protocol: str = Field(description="name of the protocol")
    seed: int = Field(description="seed of all random numbers")
    settings: dict[str, Any] = Field(description="everything that changes the result")
    settings_digest: str = Field(description="SHA-256 of the settings")
    created: datetime
    versions: dict[str, str] = Field(description="versions of Python and of the packages used")
    database: str = Field(description="name of the MongoDB database")
    command: list[str] = Field(
        default_factory=list, description="what was typed behind devitrify run"
    )
    workflow_uuid: str | None = Field(
        default=None, description="uuid of the jobflow Flow once added"
    )
    fw_ids: list[int] = Field(default_factory=list, description="Fireworks first added")


def describe(
    name: str, *, settings: Mapping[str, Any], command: Sequence[str] = (), **wanted: Any
) -> CampaignDocument:
    """
    Describe a campaign that begins now.

    Parameters
    ----------
    name : str
        Unique.
    settings : mapping
        Everything that changes the result, as JSON types.
    command : sequence of str
        What is typed behind ``devitrify run`` to come to it again.
    **wanted : object
        Its formula, engine, protocol and seed.
    """
    return CampaignDocument(
        id=name,
        settings=dict(settings),
        settings_digest=digest(settings),
        created=datetime.now(UTC),
        versions=installed_versions(),
        # MongoDB allows few characters and 63 of them
        database="devitrify_" + re.sub(r"\W", "_", name, flags=re.ASCII)[-50:],
        command=list(command),
        **wanted,
    )


def workflow_metadata(document: CampaignDocument) -> dict[str, Any]:
    """
    Return what a FireWorks workflow is told of its campaign.

    Parameters
    ----------
    document : CampaignDocument
    """
    return {
        "campaign": document.id,
        "formula": document.formula,
        "campaign_version": document.version,
        "begun_by": document.versions.get("devitrify"),
    }


def travelling_metadata(document: CampaignDocument, n_first: int) -> dict[str, Any]:
    """
    Return what a workflow is told that has no campaign's folder beside it.

    Parameters
    ----------
    document : CampaignDocument
    n_first : int
        Fireworks that it has from its beginning; these have the lowest numbers.

    Returns
    -------
    dict
        The description is a text: its keys have dots, which not every database takes.
    """
    described = {DESCRIPTION: document.model_dump_json(), N_FIRST: n_first}
    return {**workflow_metadata(document), **described}


def as_json_types(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings as they are in ``campaign.json``."""
    plain: dict[str, Any] = json.loads(json.dumps(settings or {}, default=str, sort_keys=True))
    return plain


def digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of settings, independent of the order of their keys."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
