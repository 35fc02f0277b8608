"""YAML files that people edit, for the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.errors import CampaignError
from workflows.yaml_files import MappingFileError
from workflows.yaml_files import read_mapping as read


def read_mapping(path: Path, quote: bool = True) -> dict[str, Any]:
    """
    Read a file that maps names to values.

    Parameters
    ----------
    path : Path
        YAML.
    quote : bool
        Whether messages may show parts of it, which may be a password.

    Raises
    ------
    CampaignError
        If it cannot be read, is no YAML, or maps nothing.
    """
    try:
        return read(path, quote)
    except OSError as error:
        raise CampaignError(f"{path} cannot be read ({error.strerror}).") from None
    except MappingFileError as error:
        raise CampaignError(f"{error}.") from None
