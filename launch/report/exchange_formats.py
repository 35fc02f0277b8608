"""Ranked crystals for other programs: an ASE database, or OPTIMADE's lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnp.storage.files import open_text_atomically
from search.relax.pressure import GPA

if TYPE_CHECKING:
    from launch.report.records import CandidateRecord

#: Version of the OPTIMADE specification whose JSON lines are written.
OPTIMADE_VERSION = "1.2.0"
#: Before the names of what the specification does not know.
PREFIX = "_devitrify_"
#: Of each such name: type, unit and meaning.
PROPERTIES: dict[str, tuple[str, str, str]] = {
    "campaign": ("string", "", "campaign that found the structure"),
    "rank": ("integer", "1", "in its campaign, from 1"),
    "energy": ("float", "eV", "of the reference engine, per atom"),
    "energy_above_best": ("float", "meV", "above the best of its campaign, per atom"),
    "enthalpy": ("float", "eV", "of the reference engine, per atom; null without a pressure"),
    "pressure": ("float", "GPa", "from outside"),
    "engine": ("string", "", "reference engine"),
    "space_group": ("string", "", "Hermann-Mauguin symbol within the tolerance"),
    "space_group_number": ("integer", "1", "of the international tables"),
    "formula_units": ("integer", "1", "Z of the primitive cell"),
    "density": ("float", "g/cm^3", ""),
    "potential_energy": ("float", "eV", "of the potential that found it, relaxed by it, per atom"),
    "single_point": ("float", "eV", "of the last potential at this geometry, per atom"),
    "converged": ("boolean", "", "whether it was relaxed to the thresholds"),
    "found_by": ("string", "", "operator of the search that made it"),
    "job": ("string", "", "id of the job that relaxed it"),
}


def write_ase_database(
    records: Sequence[CandidateRecord], versions: Mapping[str, Mapping[str, str]], path: Path
) -> None:
    """
    Write ranked structures to an ASE database, with the energy of their cell.

    Parameters
    ----------
    records : sequence of CandidateRecord
        With structures.
    versions : mapping of str to mapping
        Versions of what computed, by campaign.
    path : Path
        Replaced once it is whole.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect

    from workflows.conversion import to_atoms

    temporary = path.with_name(f".{path.name}.part.db")
    temporary.unlink(missing_ok=True)
    try:
        with connect(temporary, type="db", use_lock_file=False) as database:
            for record in records:
                atoms = to_atoms(record.to_structure())
                atoms.calc = SinglePointCalculator(atoms, energy=record.energy * len(atoms))
                named = {key: value for key, value in figures(record).items() if value is not None}
                named["energy_per_atom"] = named.pop("energy")
                named["spacegroup"] = named.pop("space_group")
                named["job_id"] = named.pop("job")
                words = {key: value for key, value in named.items() if value != ""}
                database.write(atoms, data={"versions": dict(versions[record.campaign])}, **words)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_optimade(
    records: Sequence[CandidateRecord], modified: Mapping[str, datetime], path: Path
) -> None:
    """
    Write ranked structures as OPTIMADE's lines of JSON, which its servers take.

    A header comes first, then what the properties mean, then one structure a line.

    Parameters
    ----------
    records : sequence of CandidateRecord
        With structures.
    modified : mapping of str to datetime
        When the ranking of each campaign was made (UTC).
    path : Path
        Replaced once it is whole.
    """
    with open_text_atomically(path) as file:
        for line in ({"x-optimade": {"meta": {"api_version": OPTIMADE_VERSION}}}, _information()):
            file.write(json.dumps(line) + "\n")
        for record in records:
            file.write(json.dumps(_entry(record, modified[record.campaign])) + "\n")


def figures(record: CandidateRecord) -> dict[str, Any]:
    """Return what is told of a structure, by the names of :data:`PROPERTIES`; pressure in GPa."""
    found = {name: getattr(record, name) for name in PROPERTIES}
    return {**found, "pressure": record.pressure / GPA}


def _information() -> dict[str, Any]:
    """Say what the properties mean that the specification does not know."""
    properties = {
        f"{PREFIX}{name}": {
            "title": name.replace("_", " "),
            "description": meaning or name.replace("_", " "),
            "type": kind,
            **({"unit": unit} if unit and unit != "1" else {}),
            "sortable": True,
        }
        for name, (kind, unit, meaning) in PROPERTIES.items()
    }
    return {
        "type": "info",
        "id": "structures",
        "description": "crystal structures predicted by devitrify",
        "properties": properties,
        "formats": ["json"],
        "output_fields_by_format": {"json": list(properties)},
    }


def _entry(record: CandidateRecord, modified: datetime) -> dict[str, Any]:
    from pymatgen.io.optimade import OptimadeStructureAdapter

    attributes: dict[str, Any] = OptimadeStructureAdapter.get_optimade_structure(
        record.to_structure()
    )["attributes"]  # type: ignore[assignment]
    attributes["species"].sort(key=lambda species: species["name"])  # it comes from a set
    own = {f"{PREFIX}{name}": value for name, value in figures(record).items()}
    when = modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pressure = f"-{record.pressure / GPA:g}GPa" if record.pressure else ""
    return {
        "type": "structures",
        "id": f"{record.campaign}{pressure}-{record.rank:02d}",
        "attributes": {**attributes, **own, "last_modified": when},
    }
