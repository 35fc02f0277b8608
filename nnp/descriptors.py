"""Atom-centred symmetry functions: which ones, and the moments they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb
from typing import Any, NamedTuple

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

#: Behler's radial set as SIMPLE-NN and SPINNER use it, in Å⁻².
STANDARD_RADIAL_ETAS = (
    0.003214,
    0.035711,
    0.071421,
    0.124987,
    0.214264,
    0.357106,
    0.714213,
    1.428426,
)
STANDARD_ANGULAR_ETAS = (0.000357, 0.028569, 0.089277)
STANDARD_ZETAS = (1.0, 2.0, 4.0)


#: Å, beyond which nobody's functions reach, and below which they see no neighbour.
SHORTEST_CUTOFF, LONGEST_CUTOFF = 0.5, 50.0
#: Å⁻², and power of a cosine, beyond which functions vanish or are lost among the digits.
LARGEST_ETA, LARGEST_ZETA = 1e4, 128.0


class Basis(NamedTuple):
    """
    Symmetry functions as a kernel sees them.

    Integer zetas are polynomials in cos(theta), so all G4 of an element pair follow from the
    moments sum e^(-eta S) F cos^p(theta): fewer numbers, one exponential for each eta.

    Attributes
    ----------
    radial_cutoff, angular_cutoff : float
        In Å.
    radial_eta, radial_shift : ndarray
        One entry for each G2 of a neighbour element, in Å⁻² and Å.
    angular_eta : ndarray
        The distinct angular eta in Å⁻².
    degree : int
        Highest power of cos(theta).
    general : ndarray
        G4 with non-integer zeta, shape (n, 3): index into ``angular_eta``, zeta, lambda.
    pair_block : ndarray of int
        Block number of an unordered element pair, shape (n_elements, n_elements).
    """

    radial_cutoff: float
    angular_cutoff: float
    radial_eta: NDArray[np.float64]
    radial_shift: NDArray[np.float64]
    angular_eta: NDArray[np.float64]
    degree: int
    general: NDArray[np.float64]
    pair_block: NDArray[np.int64]


@dataclass(frozen=True)
class SymmetryFunctions(MSONable):
    """
    Radial (G2) and narrow angular (G4) symmetry functions, the same for every centre.

    G2 = sum_j exp(-eta (r_ij - Rs)²) fc(r_ij) for each neighbour element;
    G4 = 2^(1 - zeta) sum_(j<k) (1 + lambda cos theta)^zeta exp(-eta (r_ij² + r_ik² + r_jk²))
    fc(r_ij) fc(r_ik) fc(r_jk) for each unordered pair of neighbour elements, with the cosine
    cutoff fc.

    Parameters
    ----------
    elements : tuple of str
        Chemical symbols; their order is the order of the functions.
    radial : tuple of tuple of float
        (eta in Å⁻², Rs in Å) of each G2.
    angular : tuple of tuple of float
        (eta in Å⁻², zeta, lambda) of each G4.
    radial_cutoff, angular_cutoff : float
        In Å; the angular one must not be the larger.

    Examples
    --------
    >>> SymmetryFunctions.standard(["Li", "Al", "Cl"]).n_functions
    132
    """

    elements: tuple[str, ...]
    radial: tuple[tuple[float, float], ...]
    angular: tuple[tuple[float, float, float], ...]
    radial_cutoff: float = 6.0
    angular_cutoff: float = 4.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(self.elements))
        for name in ("radial", "angular"):
            rows = tuple(tuple(float(x) for x in row) for row in getattr(self, name))
            object.__setattr__(self, name, rows)
        if len(set(self.elements)) != len(self.elements) or not self.elements:
            raise ValueError(f"Elements must be given once each, got {self.elements}.")
        if not 0 < self.angular_cutoff <= self.radial_cutoff:
            raise ValueError(
                "The angular cutoff must be positive and not exceed the radial one, "
                f"got {self.angular_cutoff} and {self.radial_cutoff} Å."
            )
        if not self.radial:
            raise ValueError("At least one radial symmetry function is needed.")
        numbers = [x for row in (*self.radial, *self.angular) for x in row]
        if not np.isfinite([self.radial_cutoff, *numbers]).all():
            raise ValueError("Symmetry functions need finite parameters.")
        if self.angular_cutoff < SHORTEST_CUTOFF or self.radial_cutoff > LONGEST_CUTOFF:
            raise ValueError(
                f"Cutoffs must be from {SHORTEST_CUTOFF} to {LONGEST_CUTOFF} Å, "
                f"got {self.angular_cutoff} and {self.radial_cutoff} Å."
            )
        if any(not 0 <= eta <= LARGEST_ETA for eta, *_ in (*self.radial, *self.angular)):
            raise ValueError(f"Symmetry functions need eta from 0 to {LARGEST_ETA:g} Å⁻².")
        if any(abs(shift) > LONGEST_CUTOFF for _, shift in self.radial):
            raise ValueError(f"Radial symmetry functions need Rs within {LONGEST_CUTOFF:g} Å.")
        if any(not 0 < zeta <= LARGEST_ZETA or abs(sign) > 1 for _, zeta, sign in self.angular):
            raise ValueError(
                f"Angular symmetry functions need zeta above 0, to {LARGEST_ZETA:g}, and lambda "
                "from -1 to 1."
            )
        for rows in (self.radial, self.angular):
            if len(set(rows)) < len(rows):
                raise ValueError("A symmetry function is given twice.")

    @classmethod
    def standard(
        cls,
        elements: tuple[str, ...] | list[str],
        radial_cutoff: float = 6.0,
        angular_cutoff: float = 4.5,
    ) -> SymmetryFunctions:
        """Eight G2 for each element and eighteen G4 for each pair, as in the paper."""
        return cls(
            elements=tuple(elements),
            radial=tuple((eta, 0.0) for eta in STANDARD_RADIAL_ETAS),
            angular=tuple(
                (eta, zeta, sign)
                for sign in (-1.0, 1.0)
                for zeta in STANDARD_ZETAS
                for eta in STANDARD_ANGULAR_ETAS
            ),
            radial_cutoff=radial_cutoff,
            angular_cutoff=angular_cutoff,
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Unordered element pairs in the order of their blocks."""
        return list(combinations_with_replacement(self.elements, 2))

    @property
    def n_functions(self) -> int:
        """Inputs of an atom: 132 for three elements of the standard set."""
        return len(self.elements) * len(self.radial) + len(self.pairs) * len(self.angular)

    @property
    def labels(self) -> list[str]:
        """One readable name for each function."""
        radial = [
            f"G2 {element} eta={eta:g} Rs={shift:g}"
            for element in self.elements
            for eta, shift in self.radial
        ]
        angular = [
            f"G4 {a}-{b} eta={eta:g} zeta={zeta:g} lambda={sign:g}"
            for a, b in self.pairs
            for eta, zeta, sign in self.angular
        ]
        return radial + angular

    @cached_property
    def basis(self) -> Basis:
        """Arrays for the kernels."""
        etas = sorted({eta for eta, _, _ in self.angular})
        integer = [zeta for _, zeta, _ in self.angular if _is_integer(zeta)]
        general = [
            (etas.index(eta), zeta, sign)
            for eta, zeta, sign in self.angular
            if not _is_integer(zeta)
        ]
        n = len(self.elements)
        block = np.zeros((n, n), dtype=np.int64)
        for index, (a, b) in enumerate(combinations_with_replacement(range(n), 2)):
            block[a, b] = block[b, a] = index
        shifts = np.array([shift for _, shift in self.radial])
        radial_eta = np.array([eta for eta, _ in self.radial])
        return Basis(
            radial_cutoff=float(self.radial_cutoff),
            angular_cutoff=float(self.angular_cutoff),
            radial_eta=radial_eta,
            radial_shift=shifts,
            angular_eta=np.array(etas, dtype=float),
            # The vectorised loops are written out for degree 4, the standard set.
            degree=max(4, int(max(integer, default=0))),
            general=np.array(general, dtype=float).reshape(-1, 3),
            pair_block=block,
        )

    @property
    def block_size(self) -> int:
        """Moments of one element pair."""
        basis = self.basis
        return len(basis.angular_eta) * (basis.degree + 1) + len(basis.general)

    @property
    def n_moments(self) -> int:
        """Numbers the kernels work with for one atom."""
        return len(self.elements) * len(self.radial) + len(self.pairs) * self.block_size

    @cached_property
    def transform(self) -> NDArray[np.float64]:
        """Matrix from moments to symmetry functions, shape (n_functions, n_moments)."""
        basis, size = self.basis, self.block_size
        block = np.zeros((len(self.angular), size))
        etas, general = list(basis.angular_eta), 0
        for row, (eta, zeta, sign) in enumerate(self.angular):
            if _is_integer(zeta):
                first = etas.index(eta) * (basis.degree + 1)
                for power in range(int(zeta) + 1):
                    factor = comb(int(zeta), power) * sign**power
                    block[row, first + power] = 2.0 ** (1 - zeta) * factor
            else:
                block[row, size - len(basis.general) + general] = 2.0 ** (1 - zeta)
                general += 1
        n_radial = len(self.elements) * len(self.radial)
        matrix = np.zeros((self.n_functions, self.n_moments))
        matrix[:n_radial, :n_radial] = np.eye(n_radial)
        matrix[n_radial:, n_radial:] = np.kron(np.eye(len(self.pairs)), block)
        return matrix

    def types(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index into ``elements`` for each atomic number; unknown elements are an error."""
        from ase.data import atomic_numbers, chemical_symbols

        table = np.full(len(chemical_symbols), -1, dtype=np.int64)
        for index, symbol in enumerate(self.elements):
            table[atomic_numbers[symbol]] = index
        types = table[np.asarray(numbers, dtype=np.int64)]
        if (types < 0).any():
            unknown = sorted(
                {chemical_symbols[z] for z in np.unique(np.asarray(numbers)[types < 0])}
            )
            raise ValueError(
                f"The potential knows {', '.join(self.elements)} but not {', '.join(unknown)}."
            )
        return types

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> SymmetryFunctions:
        """Undo ``as_dict``."""
        return cls(**{key: value for key, value in d.items() if not key.startswith("@")})


def _is_integer(zeta: float) -> bool:
    """Whether a zeta is a power the moments can express."""
    return float(zeta).is_integer() and 0 <= zeta <= 16
