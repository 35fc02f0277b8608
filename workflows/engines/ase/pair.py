"""
A smooth pair potential for every element: crude, very fast, and never without an answer.

It is a sampler: its trajectories reach the densities and the bonds of a material roughly, for a
reference engine to label. Nobody should believe its energies.

Atoms carry scaled oxidation states (a factor of 0.6 is usual in potentials of oxides and glasses)
and interact by

    u(r) = q_i q_j / (4 pi eps0 r) + A (r0 / r)^9 - B (r0 / r)^6

with r0 the sum of their radii. A and B make a 9-6 Lennard-Jones well at r0. Between opposite
charges A is larger by as much as balances, at r0, the Coulomb force of a bond in zincblende, whose
Madelung constant is 1.638 for four bonds: so bonds have the length of the radii in a condensed
phase, not in a molecule. The Coulomb term is damped and shifted (Fennell and Gezelter) and the
others are shifted, so that energies and forces vanish at the cutoff.

Oxidation states are the most frequent ones that add up to zero; radii are those of the ions. Where
no oxidation states add up (alloys, elements) atoms are neutral, with metallic or covalent radii
and deeper wells.

References
----------
C. J. Fennell and J. D. Gezelter, J. Chem. Phys. 124, 234104 (2006); R. D. Shannon, Acta Cryst.
A32, 751 (1976), radii as kept by pymatgen; B. Cordero et al., Dalton Trans., 2832 (2008), covalent
radii as kept by ASE.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress
from numba import njit
from numpy.typing import NDArray
from pymatgen.core import Composition, Element

from workflows.engines.ase.calculator import ModelCalculator

if TYPE_CHECKING:
    from ase import Atoms

#: e²/(4 pi eps0) in eV Å.
COULOMB = units.Hartree * units.Bohr

#: Madelung constant of zincblende by its number of bonds.
MADELUNG_OF_A_BOND = 1.638 / 4

#: Depth of the wells in eV, between ions and between neutral atoms.
ION_DEPTH, NEUTRAL_DEPTH = 0.02, 0.2

#: Damping of the Coulomb term in 1/Å.
DAMPING = 0.2


@dataclass(frozen=True)
class PairParameters:
    """
    Parameters of the elements of one compound.

    Attributes
    ----------
    numbers : tuple of int
        Atomic numbers.
    charges : ndarray, shape (n_elements,)
        Scaled oxidation states in e.
    lengths : ndarray, shape (n_elements, n_elements)
        Sums of radii r0 in Å.
    repulsion, attraction : ndarray, shape (n_elements, n_elements)
        A and B in eV.
    """

    numbers: tuple[int, ...]
    charges: NDArray[np.float64]
    lengths: NDArray[np.float64]
    repulsion: NDArray[np.float64]
    attraction: NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def pair_parameters(formula: str, charge_scale: float = 0.6) -> PairParameters:
    """
    Guess the parameters of a compound.

    Parameters
    ----------
    formula : str
        Any formula; only ratios matter.
    charge_scale : float
        Charges in units of the oxidation states.
    """
    composition = Composition(formula).reduced_composition
    symbols = sorted((element.symbol for element in composition), key=atomic_numbers.__getitem__)
    with warnings.catch_warnings():  # pymatgen warns of elements without some property
        warnings.simplefilter("ignore", UserWarning)
        states = oxidation_states(composition)
        radii = np.array([_radius(symbol, states[symbol]) for symbol in symbols])
    charges = charge_scale * np.array([states[symbol] for symbol in symbols])
    lengths = radii[:, None] + radii[None, :]
    depth = ION_DEPTH if charges.any() else NEUTRAL_DEPTH
    bonding = np.maximum(0.0, -np.outer(charges, charges)) * COULOMB / lengths
    return PairParameters(
        numbers=tuple(atomic_numbers[symbol] for symbol in symbols),
        charges=charges,
        lengths=lengths,
        repulsion=2 * depth + MADELUNG_OF_A_BOND * bonding / 9,
        attraction=np.full_like(lengths, 3 * depth),
    )


def oxidation_states(composition: Composition) -> dict[str, float]:
    """
    Guess the average oxidation state of each element; all zero where none add up.

    Parameters
    ----------
    composition : Composition
        Reduced.
    """
    guesses = composition.oxi_state_guesses() if len(composition) > 1 else ()
    first = guesses[0] if guesses else {}
    return {element.symbol: float(first.get(element.symbol, 0.0)) for element in composition}


def _radius(symbol: str, state: float) -> float:
    """Radius in Å: of the ion nearest to the state, or of the neutral atom."""
    element = Element(symbol)
    if state:
        known = {s: r for s, r in element.ionic_radii.items() if s * state > 0}
        if known:
            return float(known[min(known, key=lambda s: abs(s - state))])
    else:
        metallic = element.metallic_radius if element.is_metal else None
        if metallic:
            return float(metallic)
    return float(covalent_radii[atomic_numbers[symbol]])


class PairCalculator(ModelCalculator):
    """
    The pair potential as an ASE calculator, for three-dimensional periodic structures.

    Parameters
    ----------
    charge_scale : float
        Charges in units of the oxidation states.
    cutoff : float
        Å
    """

    def __init__(self, charge_scale: float = 0.6, cutoff: float = 8.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.charge_scale, self.cutoff = charge_scale, cutoff

    def evaluate(self, atoms: Atoms) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """
        Energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, ASE's sign).

        Raises
        ------
        ValueError
            If the atoms are not periodic in all directions.
        """
        if not atoms.pbc.all():
            raise ValueError("the pair potential needs atoms that are periodic in all directions")
        counts = np.bincount(atoms.numbers)
        formula = "".join(f"{chemical_symbols[z]}{counts[z]}" for z in np.flatnonzero(counts))
        parameters = pair_parameters(formula, self.charge_scale)
        types = np.searchsorted(parameters.numbers, atoms.numbers)
        cell = atoms.cell.array
        heights = atoms.get_volume() / np.linalg.norm(
            np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1
        )
        energy, forces, virial = _evaluate(
            types,
            atoms.get_scaled_positions(wrap=False),
            cell,
            np.floor(self.cutoff / heights + 0.5).astype(np.int64),
            self.cutoff,
            np.outer(parameters.charges, parameters.charges) * COULOMB,
            parameters.repulsion * parameters.lengths**9,
            parameters.attraction * parameters.lengths**6,
        )
        return energy, forces, full_3x3_to_voigt_6_stress(-virial / atoms.get_volume())


@njit(cache=True)
def _bare(r: float, coulomb: float, repulsion: float, attraction: float) -> tuple[float, float]:
    """Energy and its derivative before they are shifted."""
    damped = math.erfc(DAMPING * r) / r
    slope = -damped / r - 2 * DAMPING / math.sqrt(math.pi) * math.exp(-((DAMPING * r) ** 2)) / r
    sixth = 1 / r**6
    ninth = sixth / r**3
    energy = coulomb * damped + repulsion * ninth - attraction * sixth
    return energy, coulomb * slope - (9 * repulsion * ninth - 6 * attraction * sixth) / r


@njit(cache=True)
def _evaluate(
    types: NDArray[np.int64],
    scaled: NDArray[np.float64],
    cell: NDArray[np.float64],
    images: NDArray[np.int64],
    cutoff: float,
    coulomb: NDArray[np.float64],
    repulsion: NDArray[np.float64],
    attraction: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """
    Sum over all pairs within the cutoff, images included.

    Parameters
    ----------
    types : ndarray, shape (n_atoms,)
        Rows in the tables of parameters.
    scaled : ndarray, shape (n_atoms, 3)
        Fractional positions, of any cell.
    cell : ndarray, shape (3, 3)
        Lattice vectors as rows in Å.
    images : ndarray, shape (3,)
        Neighbouring cells to look at in each direction, beyond the nearest image.
    cutoff : float
        Å
    coulomb, repulsion, attraction : ndarray, shape (n_elements, n_elements)
        Coefficients of 1/r, 1/r⁹ and -1/r⁶ in eV Å, eV Å⁹ and eV Å⁶.

    Returns
    -------
    tuple
        Energy (eV), forces (eV/Å, shape (n_atoms, 3)) and virial, sum of r ⊗ f over pairs (eV,
        shape (3, 3)).
    """
    n = len(types)
    # energy and slope at the cutoff, by pair of elements
    edge = np.zeros((coulomb.shape[0], coulomb.shape[0], 2))
    for s in range(coulomb.shape[0]):
        for t in range(coulomb.shape[0]):
            edge[s, t] = _bare(cutoff, coulomb[s, t], repulsion[s, t], attraction[s, t])
    energy = 0.0
    forces = np.zeros((n, 3))
    virial = np.zeros((3, 3))
    for i in range(n):
        for j in range(i, n):
            s, t = types[i], types[j]
            base = scaled[j] - scaled[i]
            base -= np.rint(base)
            for a in range(-images[0], images[0] + 1):
                for b in range(-images[1], images[1] + 1):
                    for c in range(-images[2], images[2] + 1):
                        if i == j and a == 0 and b == 0 and c == 0:
                            continue
                        f0, f1, f2 = base[0] + a, base[1] + b, base[2] + c
                        x = f0 * cell[0, 0] + f1 * cell[1, 0] + f2 * cell[2, 0]
                        y = f0 * cell[0, 1] + f1 * cell[1, 1] + f2 * cell[2, 1]
                        z = f0 * cell[0, 2] + f1 * cell[1, 2] + f2 * cell[2, 2]
                        squared = x * x + y * y + z * z
                        if squared >= cutoff * cutoff:
                            continue
                        r = math.sqrt(squared)
                        # an atom and its own image are met from both sides
                        weight = 0.5 if i == j else 1.0
                        value, slope = _bare(r, coulomb[s, t], repulsion[s, t], attraction[s, t])
                        slope -= edge[s, t, 1]
                        energy += weight * (value - edge[s, t, 0] - edge[s, t, 1] * (r - cutoff))
                        vector = np.array((x, y, z))
                        for k in range(3):
                            pull = slope * vector[k] / r
                            forces[i, k] += weight * pull
                            forces[j, k] -= weight * pull
                            for m in range(3):
                                virial[k, m] -= weight * pull * vector[m]
    return energy, forces, virial
