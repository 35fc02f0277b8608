"""Magnetic moments in results, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.core import Lattice, Structure

from launch.report.files import moments_in_words, ranking_table, wide_console
from search.relax.limits import RelaxationLimits
from tests.workflows.samples import copper
from tests.workflows.test_candidates import run
from workflows.conversion import to_structure
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.ase.engine import AseEngine
from workflows.engines.ase.relax import AseRelaxMaker
from workflows.engines.gpaw.engine import GpawEngine
from workflows.engines.registry import find_engine, magnetic_note
from workflows.engines.vasp.engine import VaspEngine


def relaxed(structure: Structure, name: str, steps: int = 1) -> RelaxDocument:
    """Relax for some steps by an engine."""
    maker = AseRelaxMaker(find_engine(name), limits=RelaxationLimits(0.01, 0.5, steps))
    return AseRelaxMaker.make.original(maker, structure, "x")


def test_chgnet_finds_the_moments_of_iron_and_none_in_magnesia() -> None:
    """Its stock calculator is the oracle."""
    from chgnet.model.dynamics import CHGNetCalculator

    oxide = to_structure(bulk("FeO", "rocksalt", a=4.3))
    document = relaxed(oxide, "chgnet")
    moments = document.moments_by_element
    assert moments["Fe"] == pytest.approx([3.7, 3.7], abs=0.3)  # four electrons without partners
    assert moments["O"][1] < 0.3
    atoms = document.structure.to_ase_atoms()
    atoms.calc = CHGNetCalculator(use_device="cpu", verbose=False)
    atoms.get_potential_energy()
    assert document.magnetic_moments == pytest.approx(atoms.calc.results["magmoms"], abs=1e-4)
    assert relaxed(to_structure(bulk("MgO", "rocksalt", a=4.2)), "chgnet").magnetic_moments is None


def test_dispersion_leaves_moments_as_they_are() -> None:
    atoms = bulk("FeO", "rocksalt", a=4.3)
    moments = []
    for name in ("chgnet", "chgnet+d3zero"):
        atoms.calc = find_engine(name).build()
        atoms.get_potential_energy()
        moments.append(atoms.calc.results["magmoms"])
    assert moments[0] == pytest.approx(moments[1])
    assert moments[0][0] > 3.0


def test_the_setting_of_spins_is_that_of_the_engine_without_its_dispersion() -> None:
    said = find_engine("vasp+d3bj").magnetism()
    assert said is not None
    assert "set vasp.magnetic=true" in said


class Magnet(EMT):
    """A metal with moments, of half a μB for each Å between neighbours."""

    def calculate(self, *arguments: object, **keywords: object) -> None:
        """Compute as EMT does, and moments that the volume gives."""
        super().calculate(*arguments, **keywords)
        edge = (4 * self.atoms.get_volume() / len(self.atoms)) ** (1 / 3)
        self.results["magmoms"] = [-0.5 * edge / 2**0.5] * len(self.atoms)


def test_moments_are_in_documents_and_in_the_table() -> None:
    magnet = AseEngine(name="magnet", calculator=f"{__name__}:Magnet")
    cubic = Structure(Lattice.cubic(2.4), ["Cu"], [[0, 0, 0]])
    document = run(magnet, [copper(1, 3.6), cubic])
    first, second = document.candidates
    assert first.magnetic_moments["Cu"] == pytest.approx([1.27, 1.27], abs=0.01)
    assert second.magnetic_moments["Cu"] > first.magnetic_moments["Cu"]
    assert document.summary()["candidates"][0]["magnetic_moments"] == first.magnetic_moments
    assert "Cu 1.3" in _printed(document)
    plain = document.model_copy(
        update={"candidates": [c.model_copy(update={"magnetic_moments": None}) for c in (first,)]}
    )
    assert "μB" not in _printed(plain)


def _printed(document: object) -> str:
    console = wide_console()
    with console.capture() as printed:
        console.print(ranking_table(document))
    return printed.get()


def test_moments_in_words() -> None:
    assert moments_in_words({"Fe": [3.71, 4.12], "Co": [2.6, 2.6], "O": [0.01, 0.04]}) == (
        "Fe 3.7-4.1, Co 2.6"
    )
    assert moments_in_words(None) == ""


def test_what_an_engine_says_of_a_magnetic_compound() -> None:
    elements = ("Li", "Fe", "P", "O")
    assert "no order of them from another" in magnetic_note(find_engine("chgnet"), elements)
    assert "set vasp.magnetic=true" in magnetic_note(find_engine("vasp"), elements)
    for plain in (VaspEngine(), GpawEngine()):
        polarised = replace(plain, settings=replace(plain.settings, magnetic=True))
        assert "other orders may be lower" in magnetic_note(polarised, elements)
    foreign = find_engine("ase.calculators.lj:LennardJones")
    assert "LennardJones knows of magnetism is not known" in magnetic_note(foreign, elements)
    assert magnetic_note(foreign, ("Mg", "O")) is None
