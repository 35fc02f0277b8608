"""Potentials of the paper's group run here, and ours survive the way there and back."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.formats.files import load_potential
from nnp.formats.simple_nn import read_simple_nn, write_simple_nn
from tests.nnp.oracle import ACTIVATIONS, symmetry_functions
from tests.nnp.samples import disordered, random_potential

REFERENCE = Path(
    os.environ.get("DEVITRIFY_REFERENCE", Path(__file__).parents[3] / "shared" / "reference")
)
SPINNER = REFERENCE / "spinner_mg2sio4"

needs_reference = pytest.mark.skipif(
    not (SPINNER / "potential_saved").exists(), reason="the SPINNER reference data are not here"
)


@needs_reference
@pytest.mark.parametrize(
    "name", ["Mg2SiO4_112_perturbed", "Mg2SiO4_polymorphs_exp", "Mg2SiO4_polymorphs_relaxed"]
)
def test_lammps_energies_forces_and_stresses_of_spinner(name: str) -> None:
    potential = load_potential(SPINNER / "potential_saved")
    structures = read(SPINNER / f"{name}.extxyz", ":")
    assert isinstance(structures, list)
    found = potential.compute(structures)
    for n, atoms in enumerate(structures):
        assert abs(found.energies[n] - atoms.get_potential_energy()) / len(atoms) < 1e-9
        np.testing.assert_allclose(found.forces[n], atoms.get_forces(), rtol=0, atol=1e-8)
        np.testing.assert_allclose(
            found.stresses[n], atoms.get_stress(voigt=False), rtol=0, atol=1e-10
        )


@needs_reference
def test_forsterite_relaxes_to_the_known_minimum() -> None:
    from ase.filters import FrechetCellFilter
    from ase.optimize import LBFGS

    from nnp.calculator import NeuralNetworkCalculator

    atoms = read(REFERENCE / "structures" / "Mg2SiO4_forsterite_Pnma.vasp")
    assert isinstance(atoms, Atoms)
    atoms.calc = NeuralNetworkCalculator(SPINNER / "potential_saved")
    relaxation: Any = LBFGS
    assert relaxation(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=300)
    assert atoms.get_potential_energy() == pytest.approx(-192.44142873, abs=2e-5)
    assert atoms.get_volume() == pytest.approx(296.77, abs=0.02)


def evaluate_file(path: Path, atoms: Atoms) -> float:
    """Energy in eV from the text alone, written without the package's reader."""
    blocks: dict[str, list[list[str]]] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == "POT":
            block = blocks.setdefault(words[1], [])
        elif words and words[0] != "ELEM_LIST":
            block.append(words)
    elements = tuple(blocks)
    total = 0.0
    for n, symbol in enumerate(atoms.get_chemical_symbols()):
        block = blocks[symbol]
        size = int(block[0][1])
        values = _functions(block[1 : 1 + size], elements, atoms)[n]
        first, second = (np.array(block[1 + size + k][1:], float) for k in (0, 1))
        total += _network((values - first) / second, block[3 + size :])
    return total


def _functions(rows: list[list[str]], elements: tuple[str, ...], atoms: Atoms) -> NDArray:
    """Symmetry functions in the order of the file."""
    columns = []
    for row in rows:
        radius, *numbers = map(float, row[1:5])
        radial = ((numbers[0], numbers[1]),) if row[0] == "2" else ((1.0, 0.0),)
        angular = ((numbers[0], numbers[1], numbers[2]),) if row[0] == "4" else ()
        one = SymmetryFunctions(elements, radial, angular, radius, radius)
        values = symmetry_functions(atoms, one)
        if row[0] == "2":
            columns.append(values[:, elements.index(row[5])])
        else:
            a, b = sorted(row[5:7], key=elements.index)
            columns.append(values[:, len(elements) + one.pairs.index((a, b))])
    return np.array(columns).T


def _network(x: NDArray, lines: list[list[str]]) -> float:
    kinds: list[str] = []
    weights: list[list[NDArray]] = []
    biases: list[list[NDArray]] = []
    for words in lines[1:]:
        if words[0] == "LAYER":
            kinds.append(words[2])
            weights.append([])
            biases.append([])
        else:
            (weights if words[0][0] == "w" else biases)[-1].append(np.array(words[1:], float))
    for kind, w, b in zip(kinds, weights, biases, strict=True):
        x = ACTIVATIONS[kind](np.array(w) @ x + np.ravel(b))
    return float(x[0])


SMALL = SymmetryFunctions(
    ("Si", "O"),
    radial=((0.01, 0.0), (0.5, 1.0)),
    angular=((0.01, 1.0, 1.0), (0.05, 4.0, -1.0)),
    radial_cutoff=5.0,
    angular_cutoff=4.0,
)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("members", [1, 3])
def test_written_files_give_the_same_energy(activation: str, members: int, tmp_path: Path) -> None:
    potential = random_potential(SMALL, hidden=(6, 5), activation=activation, members=members)
    atoms = disordered("Si2O4", 5.5)
    energy = potential.compute([atoms]).energies[0]
    path = tmp_path / "potential_saved"
    write_simple_nn(potential, path)
    again = read_simple_nn(path).compute([atoms])
    assert again.energies[0] == pytest.approx(energy, abs=1e-12 * len(atoms))
    np.testing.assert_allclose(again.forces[0], potential.compute([atoms]).forces[0], atol=1e-11)
    assert evaluate_file(path, atoms) == pytest.approx(energy, abs=1e-9)


def test_elements_may_differ_in_functions_and_widths(tmp_path: Path) -> None:
    """Text as another program might write it: no principal components, functions that differ."""
    rng = np.random.default_rng(0)

    def network(sizes: list[int]) -> str:
        lines = [f"NET {len(sizes) - 1} " + " ".join(map(str, sizes))]
        for k, (n_in, n_out) in enumerate(pairwise(sizes)):
            lines.append(f"LAYER {k} {'sigmoid' if k < len(sizes) - 2 else 'linear'}")
            for m in range(n_out):
                lines.append(f"w{m} " + " ".join(f"{x:.12g}" for x in rng.normal(size=n_in)))
                lines.append(f"b{m} {rng.normal():.12g}")
        return "\n".join(lines)

    path = tmp_path / "potential_saved"
    path.write_text(
        "ELEM_LIST Si O\n\nPOT Si 5.0\nSYM 3\n"
        "2 5.0 0.1 0.0 0.0 Si\n2 5.0 0.4 1.0 0.0 O\n4 4.0 0.05 2.0 1.0 O Si\n"
        f"scale1 0.1 0.2 0.3\nscale2 1.0 2.0 0.5\n{network([3, 4, 2, 1])}\n\n"
        "POT O 5.0\nSYM 2\n2 5.0 0.1 0.0 0.0 Si\n4 4.0 0.05 1.0 -1.0 Si Si\n"
        f"scale1 0.1 0.2\nscale2 1.0 2.0\n{network([2, 3, 3, 1])}\n"
    )
    atoms = disordered("Si2O4", 5.5)
    energy = load_potential(path).compute([atoms]).energies[0]
    assert energy == pytest.approx(evaluate_file(path, atoms), abs=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ELEM_LIST Si O", "ELEM_LIST Si O Mg", "no network for it"),
        ("ELEM_LIST Si O", "", "no ELEM_LIST"),
        ("4 4.0 0.01", "5 4.0 0.01", "type 5"),
        ("2 5.0 0.01", "2 4.5 0.01", "several cutoffs"),
        ("LAYER 1 tanh", "LAYER 1 relu", "tanh or sigmoid"),
        ("POT Si 5.0", "POT Si 3.0", "POT of Si has a cutoff of 3, its functions 5"),
        ("POT Si 5.0", "POT Si", "line 3 is incomplete"),
    ],
)
def test_what_cannot_be_read_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "potential_saved"
    write_simple_nn(random_potential(SMALL, hidden=(4, 4)), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_simple_nn(path)
