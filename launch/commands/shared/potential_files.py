"""Files of potentials and of structures, as the commands are given them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.errors import CampaignError, as_sentence

if TYPE_CHECKING:
    from nnp.frames import Frames
    from nnp.potential import Potential

EnergyKey = Annotated[
    str | None,
    typer.Option(
        "--energy-key",
        help="Name of the energies in the files, e.g. REF_energy; forces and stresses are looked "
        "for under names formed alike.",
    ),
]


def read_frames(
    paths: list[Path],
    energy_key: str | None,
    *,
    cutoff: float | None = None,
    required: bool = True,
) -> Frames:
    """
    Read all frames of some files, and print what a user should know of them.

    Parameters
    ----------
    paths : list of Path
        vasprun.xml, OUTCAR, extended XYZ, and all else that ASE reads.
    energy_key : str or None
        Name of the energies; none: the usual ones.
    cutoff : float or None
        Range of the potential in Å, for structures that are not periodic; none refuses them.
    required : bool
        Whether every frame must have an energy and forces.

    Raises
    ------
    CampaignError
        If a file cannot be read, or what it says of energies and forces is missing or doubtful.
    """
    from nnp.formats.labels import read_labels
    from nnp.formats.structures import StructureFileError
    from nnp.frames import Frames
    from nnp.training.checks import check_sizes

    parts: list[Frames] = []
    used: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise CampaignError(f"There is no file {path}.")
        try:
            found = read_labels(path, energy_key=energy_key, cutoff=cutoff, required=required)
            check_sizes(found.frames)
        except StructureFileError as error:
            raise CampaignError(_sentence(str(error))) from error
        except ValueError as error:
            raise CampaignError(_sentence(f"{path}: {error}")) from error
        except OSError as error:
            raise CampaignError(f"{path} cannot be read: {error.strerror}.") from error
        for note in found.notes:
            typer.echo(_sentence(note), err=True)
        if found.energy_key is not None and found.by_name:
            used.setdefault(found.energy_key, path)
        parts.append(found.frames)
    if len(used) > 1:
        listed = ", ".join(f"{key} of {path}" for key, path in used.items())
        raise CampaignError(
            f"The energies are {listed}: they must not be mixed, choose one by --energy-key."
        )
    return Frames.concatenate(parts)


def _sentence(text: str) -> str:
    """Say which option chooses the energies; a name of a file at the beginning is kept as it is."""
    text = text.replace("by the energy key", "by --energy-key")
    return as_sentence(text) if text.startswith(("frame ", "some ")) else text


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
