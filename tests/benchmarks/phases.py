"""Known phases: from files, relaxed by an engine, and whether the engine holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from search.relax.limits import RelaxationLimits
from search.state.similarity import LOOSELY_RELAXED, match
from search.symmetry import find_space_group
from tests.benchmarks.training import Kept
from workflows.chains.protocol_numbers import DEFAULT_PROTOCOL
from workflows.chains.protocols import find_protocol
from workflows.conversion import to_atoms, to_structure
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.ase.static import free_energy
from workflows.engines.registry import find_engine

#: Å by which atoms may miss a symmetry: of crystals relaxed to finite forces, and a strict one.
LOOSE, STRICT = 0.1, 0.01
#: Relative difference in volume per atom up to which two crystals may be the same phase.
SAME_VOLUME = 0.1
#: eV/atom by which energies may differ and still count as the same.
ENERGY_TOLERANCE = 0.001
#: Steps of the relaxation of a known phase.
MAX_STEPS = 1000
#: Of the disturbance that a phase must survive to be held: displacements (Å) and strain, root mean
#: square of a component.
DISPLACEMENT, STRAIN = 0.05, 0.01

#: ``CATEGORY_FORMULA_SPACEGROUP``; categories are words in small letters.
_BENCHMARK_NAME = re.compile(
    r"(?P<category>[a-z]+(?:_[a-z]+)*)_(?P<formula>[A-Z][^_]*)_(?P<group>\d+)"
)
_SUFFIXES = (".vasp", ".poscar", ".cif")


class PhaseError(ValueError):
    """A file that holds no crystal to look for; the message says why."""


@dataclass(frozen=True)
class Phase:
    """
    A known phase, as given.

    Attributes
    ----------
    name : str
        Of its file, without what no folder should be called.
    category : str
        The benchmark's; empty if the file's name has none.
    structure : Structure
        Primitive cell.
    formula : str
        Reduced formula.
    z : int
        Formula units in the primitive cell.
    expected_group : int or None
        Number of the space group that the file's name says.
    """

    name: str
    category: str
    structure: Structure
    formula: str
    z: int
    expected_group: int | None = None

    @classmethod
    def read(cls, path: Path) -> Phase:
        """
        Read a file.

        Parameters
        ----------
        path : Path
            VASP or CIF.

        Raises
        ------
        PhaseError
            If it cannot be read, or has partly occupied sites.
        """
        try:
            given = Structure.from_file(path)
        except Exception as error:  # whatever the reader meets
            raise PhaseError(f"{path} cannot be read as a crystal: {error}") from error
        if not given.is_ordered:
            raise PhaseError(f"{path} has partly occupied sites; give an ordered structure")
        found = _BENCHMARK_NAME.fullmatch(path.stem)
        primitive = primitive_cell(given)
        formula, _ = primitive.composition.get_reduced_formula_and_factor()
        units = primitive.composition.num_atoms / type(primitive.composition)(formula).num_atoms
        return cls(
            name=re.sub(r"[^\w.+-]", "", path.stem),
            category=found["category"] if found else "",
            structure=primitive,
            formula=formula,
            z=round(units),
            expected_group=int(found["group"]) if found else None,
        )


def read_phases(paths: Iterable[Path]) -> list[Phase]:
    """
    Read files, and all VASP and CIF files of folders, in the order of their names.

    Parameters
    ----------
    paths : iterable of Path

    Raises
    ------
    PhaseError
        If there are none, two have the same name, or one cannot be read.
    """
    files = [file for path in paths for file in (_crystals_in(path) if path.is_dir() else [path])]
    phases = [Phase.read(file) for file in files]
    if not phases:
        raise PhaseError("there is no VASP or CIF file")
    names = [phase.name for phase in phases]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise PhaseError(f"more than one file is called {', '.join(double)}")
    return phases


def _crystals_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def primitive_cell(structure: Structure) -> Structure:
    """Primitive cell by the symmetry of a published structure; the cell itself if there is none."""
    return SpacegroupAnalyzer(structure, symprec=STRICT).find_primitive() or structure


def space_group(structure: Structure, tolerance: float) -> int:
    """Return the number of a space group; `tolerance` in Å."""
    return find_space_group(to_atoms(structure), tolerance).number


def same_phase(one: Structure, other: Structure) -> bool:
    """Whether two crystals match in the way of the literature, and in volume within a tenth."""
    ratio = (one.volume / len(one)) / (other.volume / len(other))
    # the matcher scales the volumes: two phases may differ in nothing else
    return abs(ratio - 1) < SAME_VOLUME and match(one, other, LOOSELY_RELAXED)


@dataclass(frozen=True)
class KnownPhase:
    """
    A known phase, relaxed by an engine.

    Attributes
    ----------
    phase : Phase
        As given.
    relaxed : Structure
        From there; a relaxation keeps the symmetry that it begins with.
    energy : float
        Of the engine, eV/atom.
    disturbed_energy : float
        Where the relaxation ends after atoms and cell were disturbed, eV/atom.
    marks : tuple of str
        What the engine does not hold of it.
    """

    phase: Phase
    relaxed: Structure
    energy: float
    disturbed_energy: float
    marks: tuple[str, ...] = field(default=())

    @property
    def held(self) -> bool:
        """Whether the engine holds it."""
        return not self.marks


def candidate_limits(max_steps: int | None = None) -> RelaxationLimits:
    """
    Return the limits of the candidates of the default protocol.

    Parameters
    ----------
    max_steps : int or None
        None: the protocol's.
    """
    limits = find_protocol(DEFAULT_PROTOCOL).candidates.limits
    return limits if max_steps is None else replace(limits, max_steps=max_steps)


def relax_known(phase: Phase, engine: str, kept: Kept) -> KnownPhase:
    """
    Relax a known phase, from where it is given and from a disturbed copy of the outcome.

    Parameters
    ----------
    phase : Phase
    engine : str
        Name of one that has a calculator here.
    kept : Kept
        Relaxations are kept there, under the names of the phase and the engine.
    """
    name = f"{phase.name}-{re.sub(r'[^A-Za-z0-9_.-]', '-', engine)}"
    document = kept(name, lambda: _relax_twice(phase.structure, engine))
    relaxed = Structure.from_dict(document["relaxed"])
    return KnownPhase(
        phase,
        relaxed,
        document["energy"],
        document["disturbed_energy"],
        tuple(_marks(phase.structure, document)),
    )


def _relax_twice(structure: Structure, engine: str) -> dict[str, Any]:
    relaxed = engine_relaxation(to_atoms(structure), engine, candidate_limits(MAX_STEPS))
    disturbed = disturb(to_atoms(Structure.from_dict(relaxed["relaxed"])))
    again = engine_relaxation(disturbed, engine, candidate_limits(MAX_STEPS))
    return {
        **relaxed,
        **{f"disturbed_{name}": value for name, value in again.items()},
    }


def engine_relaxation(atoms: Atoms, engine: str, limits: RelaxationLimits) -> dict[str, Any]:
    """
    Relax a crystal by an engine, as JSON types.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    engine : str
        Name of one that has a calculator here.
    limits : RelaxationLimits
        Where it ends.

    Raises
    ------
    ValueError
        If the engine has none.
    """
    calculator = find_engine(engine).crystal_calculator()
    if calculator is None:
        raise ValueError(f"the engine {engine} needs a job for each structure; choose another one")
    atoms.calc = calculator
    steps, converged = relax_atoms(atoms, limits)
    return {
        "relaxed": to_structure(atoms).as_dict(),
        "energy": free_energy(atoms) / len(atoms),
        "steps": steps,
        "converged": converged,
    }


def disturb(atoms: Atoms, seed: int = 0) -> Atoms:
    """
    Strain a crystal a little and displace its atoms, so that no symmetry is left to hold it.

    Parameters
    ----------
    atoms : Atoms
    seed : int
        Of the random numbers.
    """
    generator = np.random.default_rng(seed)
    strain = generator.normal(0.0, STRAIN, (3, 3))
    disturbed = atoms.copy()
    disturbed.set_cell(
        np.array(atoms.cell) @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True
    )
    disturbed.positions += generator.normal(0.0, DISPLACEMENT, disturbed.positions.shape)
    return disturbed


def _marks(given: Structure, document: dict[str, Any]) -> Sequence[str]:
    """Say in what the engine does not hold a phase."""
    relaxed = Structure.from_dict(document["relaxed"])
    disturbed = Structure.from_dict(document["disturbed_relaxed"])
    marks = []
    if not (document["converged"] and document["disturbed_converged"]):
        marks.append("not relaxed within the steps allowed")
    before, after = space_group(given, LOOSE), space_group(relaxed, LOOSE)
    if before != after:
        marks.append(f"space group {before} became {after}")
    # volumes of other functionals may be far off: no change of structure
    if not match(given, relaxed, LOOSELY_RELAXED):
        marks.append("relaxes to another structure")
    lower = 1e3 * (document["energy"] - document["disturbed_energy"])
    if lower > 1e3 * ENERGY_TOLERANCE:
        marks.append(f"falls {lower:.0f} meV/atom when disturbed")
    elif not same_phase(relaxed, disturbed):
        marks.append("becomes another structure when disturbed")
    return marks
