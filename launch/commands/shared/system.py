"""Chemical systems as they are typed: options, and known phases for the hull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.errors import CampaignError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from workflows.system import SystemTarget


@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    """Which compositions of a system to search."""

    composition_range: Annotated[
        str | None,
        typer.Option(
            "--composition-range",
            help="Of a system: least and most of elements (of the atoms) or blocks (of the "
            "blocks), e.g. Mg=0.2:0.8.",
        ),
    ] = None
    charge_balance: Annotated[
        bool,
        typer.Option(
            "--charge-balance",
            help="Of a system: only compositions that common oxidation states balance.",
        ),
    ] = False

    def require_formula(self, formula: str, known: Sequence[Path] | None = None) -> None:
        """
        Refuse options of a system beside a formula.

        Raises
        ------
        CampaignError
            If there are any.
        """
        given = {
            "--composition-range": self.composition_range,
            "--charge-balance": self.charge_balance,
            "--known": known,
        }
        for name, value in given.items():
            if value:
                hint = "; known phases of a formula are for devitrify compare" * (name == "--known")
                raise CampaignError(
                    f"{name} is for systems such as Mg-Si or MgO-SiO2, and {formula} is a "
                    f"formula{hint}."
                )


def require_no_units(system: str, units: str | None) -> None:
    """
    Refuse formula units beside a system.

    Raises
    ------
    CampaignError
        If there are any.
    """
    if units is not None:
        raise CampaignError(
            f"--z is for formulas, and {system} is a system; give the largest cell by --atoms-max."
        )


def read_known_of_system(paths: Sequence[Path], target: SystemTarget) -> dict[str, Structure]:
    """
    Read known phases of a system.

    Parameters
    ----------
    paths : sequence of Path
        Files of crystals, and folders of such files.
    target : SystemTarget
        Of whatever composition its blocks can make, also outside of its ranges.

    Returns
    -------
    dict of str to Structure
        By the names of their files, with numbers where these are not enough.

    Raises
    ------
    CampaignError
        If one is missing, of another system, or a folder is empty.
    """
    from launch.commands.shared.crystal_files import read_known

    found = read_known(paths, None)
    for label, structure in found.items():
        if target.space.amounts(structure.composition.get_el_amt_dict()) is None:
            raise CampaignError(
                f"The known phase {label} is {structure.composition.reduced_formula}, which is "
                f"none of the system {target.formula}: leave it out."
            )
    return found
