"""Files of potentials and of structures, as the commands are given them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError

if TYPE_CHECKING:
    from nnp.frames import Frames
    from nnp.potential import Potential


def read_frames(paths: list[Path]) -> Frames:
    """
    Read all frames of some files.

    Parameters
    ----------
    paths : list of Path
        Anything ASE reads.

    Raises
    ------
    CampaignError
        If a file cannot be read, or holds nothing.
    """
    from nnp.frames import Frames

    parts = []
    for path in paths:
        if not path.is_file():
            raise CampaignError(f"There is no file {path}.")
        try:
            part = Frames.read(path)
        except Exception as error:  # ASE's readers raise whatever a malformed file leads them to
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise CampaignError(f"{path} cannot be read as structures: {reason}.") from error
        if not len(part):
            raise CampaignError(f"{path} holds no structure.")
        parts.append(part)
    return Frames.concatenate(parts)


def load_potential(path: Path) -> Potential:
    """
    Load a potential of ours or of SIMPLE-NN.

    Raises
    ------
    CampaignError
        If there is none, or it cannot be read.
    """
    from nnp.formats.files import load_potential as load
    from nnp.potential import PotentialFileError

    if not path.is_file():
        raise CampaignError(f"There is no file {path}.")
    try:
        return load(path)
    except PotentialFileError as error:
        raise CampaignError(str(error)) from error
    except OSError as error:
        raise CampaignError(f"{path} cannot be read: {error.strerror}.") from error
