"""
A campaign as an object, for notebooks and scripts.

Examples
--------
>>> from launch.notebook import load
>>> found = load("LiAlCl4")
>>> found.table                  # pandas: a row for each ranked structure
>>> found.structures[0]          # pymatgen: the best one
>>> found.frames.to_atoms()      # ASE: all that the engine has labelled
>>> found.calculator()           # ASE: the potential
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobflow import JobStore
    from pandas import DataFrame
    from pymatgen.core import Structure

    from launch.report.records import CandidateRecord
    from nnp.calculator import NeuralNetworkCalculator
    from nnp.frames import Frames
    from nnp.potential import Potential


@dataclass(frozen=True)
class LoadedCampaign:
    """
    What a campaign has found, in memory; its database is closed.

    Attributes
    ----------
    name : str
        Of the campaign.
    records : list of CandidateRecord
        Ranked structures with their figures, best first.
    frames : Frames or None
        All that the reference engine has labelled; none if there is nothing yet.
    potential : Potential or None
        The newest one; none if there is none yet.
    warnings : list of str
        What to know before anything is trusted.
    """

    name: str
    records: list[CandidateRecord]
    frames: Frames | None
    potential: Potential | None
    warnings: list[str]

    @property
    def structures(self) -> list[Structure]:
        """Ranked structures, refined to their symmetry, best first."""
        return [record.to_structure() for record in self.records]

    @property
    def table(self) -> DataFrame:
        """
        A row for each ranked structure; energies in eV/atom, volumes in Å³/atom.

        Neighbours are counted as on the page.
        """
        from launch.report.page.neighbors import bond_limits, surroundings_of
        from launch.report.records import to_dataframe
        from workflows.conversion import to_atoms

        crystals = [to_atoms(structure) for structure in self.structures]
        limits = bond_limits({symbol for atoms in crystals for symbol in atoms.symbols})
        around = [surroundings_of(atoms, limits) for atoms in crystals]
        table = to_dataframe(self.records)
        table["coordination"] = [one.coordination_in_words for one in around]
        return table

    def calculator(self) -> NeuralNetworkCalculator:
        """
        Return the potential as an ASE calculator.

        Raises
        ------
        ValueError
            If the campaign has none yet.
        """
        from nnp.calculator import NeuralNetworkCalculator

        if self.potential is None:
            raise ValueError(f"the campaign {self.name} has no potential yet")
        return NeuralNetworkCalculator(self.potential)


def load(folder: Path | str, db: str | None = None) -> LoadedCampaign:
    """
    Read what the campaign in a folder has found so far, whether it runs or not.

    Parameters
    ----------
    folder : Path or str
        The campaign's.
    db : str or None
        URI of the campaign's MongoDB, if it has moved.

    Raises
    ------
    CampaignError
        If there is no campaign in the folder.
    """
    from launch.commands.shared.campaign_results import read_store
    from launch.local.campaign import Campaign

    campaign = Campaign.open(folder)
    return read_store(campaign, db, lambda store: _read(store, campaign.id))


def _read(store: JobStore, name: str) -> LoadedCampaign:
    from launch.report.campaign_results import CampaignResults
    from launch.report.results import Results

    results = Results(store)
    own = CampaignResults(store, name)
    return LoadedCampaign(
        name=name,
        records=sorted(
            results.candidates(campaign=name),
            key=lambda record: (record.pressure, record.rank is None, record.rank or 0),
        ),
        frames=own.frames(),
        potential=results.potential(name),
        warnings=own.warnings(),
    )
