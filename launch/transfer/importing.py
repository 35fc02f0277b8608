"""Campaigns out of an archive: into a folder, or into the database of a cluster."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from launch.errors import CampaignError
from launch.local.campaign import PRESSURES, Campaign, require_space
from launch.local.campaign_document import CampaignDocument, travelling_metadata
from launch.own_files import FOLDER_MODE
from launch.transfer.documents import CampaignDocuments
from launch.transfer.inserting import insert, require_absent
from nnp.storage.files import write_atomically
from workflows.jobs.stage import Stage
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration
    from launch.transfer.checking import Checked


#: In the folder of a campaign that was begun with a file of settings: all of them.
SETTINGS_FILE = "settings.yaml"
CONFIG_OPTION = "--config"
#: Of a campaign's settings, what is typed in other ways.
NO_NUMBERS = ("engine", "sampler", "formula_units", *PRESSURES)


@dataclass(frozen=True)
class Imported:
    """
    A campaign where it is now.

    Attributes
    ----------
    name : str
    documents : CampaignDocuments
        With their new numbers.
    folder : Path or None
        None in a shared database.
    description : CampaignDocument or None
        What it began with.
    """

    name: str
    documents: CampaignDocuments
    folder: Path | None
    description: CampaignDocument | None


def import_into_database(found: list[Checked], configuration: Configuration) -> list[Imported]:
    """
    Import campaigns into the database that a cluster's campaigns share.

    Parameters
    ----------
    found : list of Checked
    configuration : Configuration
        Of the cluster; its resources are those that jobs ask for from now on.

    Raises
    ------
    CampaignError
        If one is there already, or is of another version and unfinished: then none is imported.
    """
    from launch.database.indexes import prepare
    from launch.transfer.places import opened_shared

    with opened_shared(configuration) as place:
        prepare(place.pad)
        for checked in found:
            checked.require_runnable()
            require_absent(place, checked.entry.name)
        imported = []
        for checked in found:
            _ask_for_resources(checked.documents)
            if checked.description is not None:
                first = sum(fw_id in checked.description.fw_ids for fw_id in _nodes(checked))
                told = travelling_metadata(checked.description, first)
                checked.documents.own_workflow["metadata"].update(told)
            documents = insert(place, checked)
            imported.append(Imported(checked.entry.name, documents, None, checked.description))
        return imported


def import_into_folder(
    found: list[Checked], folder: Path, uri: str | None = None
) -> list[Imported]:
    """
    Import campaigns into folders.

    Parameters
    ----------
    found : list of Checked
        Several go into folders of their names in `folder`.
    folder : Path
        One that is not there, or is empty.
    uri : str or None
        Of a MongoDB, in place of the embedded database.

    Raises
    ------
    CampaignError
        If a folder is there already, or the campaign cannot be one of a folder: then none is
        imported.
    """
    from launch.own_files import file_name

    folder = folder.expanduser().absolute()
    targets = [folder] if len(found) == 1 else [folder / file_name(c.entry.name) for c in found]
    if len(set(targets)) != len(targets):
        raise CampaignError("Two of these campaigns would have one folder: nothing was imported.")
    for checked, target in zip(found, targets, strict=True):
        _require_free(target)
        if checked.description is None:
            raise CampaignError(
                f"Of the campaign {checked.entry.name} it is not known with which settings it "
                "began, since an earlier devitrify wrote its workflow: import it into a database, "
                "without naming a folder."
            )
    return [_import_one(*pair, uri) for pair in zip(found, targets, strict=True)]


def _import_one(checked: Checked, folder: Path, uri: str | None) -> Imported:
    """Import a campaign into a folder, which appears when it is complete."""
    from launch.database.indexes import create_indexes
    from launch.transfer.places import opened
    from workflows.jobs.site import without_site

    description = checked.description
    assert description is not None
    with _folder_in_the_making(folder) as making:
        require_space(making, 2 * checked.archive.manifest.size)
        campaign = Campaign(making, description.model_copy())
        with campaign.database(uri) as database, without_site():
            name = description.database
            with opened(database.uri, name) as place:
                require_absent(place, checked.entry.name)
                _require_unused(place.pad)
                create_indexes(database.uri, name)
                _ask_for_resources(checked.documents)
                before = sorted(one["fw_id"] for one in checked.documents.fireworks)
                documents = insert(place, checked)
                owner = {"campaign": campaign.id, "version": description.version}
                place.pad.db.campaign.replace_one({"_id": "owner"}, owner, upsert=True)
        after = sorted(one["fw_id"] for one in documents.fireworks)
        numbers = dict(zip(before, after, strict=True))
        first = [numbers[one] for one in description.fw_ids if one in numbers]
        campaign.document.fw_ids = first
        _bring_settings(campaign, folder)
        campaign.save()
    return Imported(checked.entry.name, documents, folder, campaign.document)


def _bring_settings(campaign: Campaign, folder: Path) -> None:
    """
    Write the settings of a campaign into its folder, if it was begun with a file of some.

    Parameters
    ----------
    campaign : Campaign
        Its command names the new file afterwards.
    folder : Path
        Where the campaign will be.
    """
    import yaml

    command = campaign.document.command
    if CONFIG_OPTION not in command:
        return
    settings = campaign.document.settings
    numbers = {path: value for path, value in settings.items() if path not in NO_NUMBERS}
    write_atomically(campaign.folder / SETTINGS_FILE, yaml.safe_dump(numbers, sort_keys=False))
    command[command.index(CONFIG_OPTION) + 1] = str(folder / SETTINGS_FILE)


def _require_unused(pad: Any) -> None:
    """Refuse a database that has workflows of others; half of an import is none."""
    from launch.transfer.inserting import NOTES

    if pad.db[NOTES].find_one({}) is None and pad.workflows.find_one({}, {"_id": 1}) is not None:
        raise CampaignError(
            f"The database {pad.name} is in use already: nothing was imported; use another server."
        )


def _nodes(checked: Checked) -> list[int]:
    nodes: list[int] = checked.documents.own_workflow["nodes"]
    return nodes


def _ask_for_resources(documents: CampaignDocuments) -> None:
    """Let unfinished jobs ask their queue for what they would ask here; in place."""
    from workflows.jobs.tags import fireworks_spec

    for firework in documents.fireworks:
        spec = firework["spec"]
        stage: Stage | None = STAGES.get(str(spec.get("stage")))
        queue = spec.get("_category")
        if firework["state"] != "COMPLETED" and stage is not None and queue in stage.queues:
            spec.update(fireworks_spec(stage, queue))


def _require_free(folder: Path) -> None:
    """Refuse a folder that is there and not empty."""
    try:
        taken = folder.is_symlink() or (folder.exists() and any(folder.iterdir()))
    except OSError as error:
        raise CampaignError(f"{folder} cannot be read ({error.strerror}).") from error
    if taken:
        raise CampaignError(
            f"{folder} is there already: give another folder; nothing was imported."
        )


@contextmanager
def _folder_in_the_making(folder: Path) -> Iterator[Path]:
    """Give a folder that gets its name at the end; what killed imports have left is removed."""
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        for left in parent.glob(f".{_plain(folder.name)}.import-*"):
            number = left.name.rpartition("-")[2]
            if number.isdecimal() and not psutil.pid_exists(int(number)):
                shutil.rmtree(left, ignore_errors=True)
        making = parent / f".{folder.name}.import-{os.getpid()}"
        making.mkdir(mode=FOLDER_MODE)
    except OSError as error:
        raise CampaignError(f"{folder} cannot be made ({error.strerror}).") from error
    try:
        yield making
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _plain(name: str) -> str:
    """Return a name in which no sign stands for others."""
    return re.sub(r"([*?[])", r"[\1]", name)
