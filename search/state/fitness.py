"""What makes one structure better than another; nothing else in the search says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from monty.json import MSONable

from nnp.storage.documents import UnknownClassError, require_known

if TYPE_CHECKING:
    from ase import Atoms

    from search.relax.relaxer import Relaxed

T = TypeVar("T")


@dataclass(frozen=True)
class Fitness(MSONable):
    """
    Energy per atom (eV): the lower, the better.

    Another notion of what is good is a class derived from this one. `of` may add what counts
    against a structure: pressure times volume, the energy of the hull at its composition, or an
    uncertainty. Where the fitness is another function of the energy than energy per atom,
    `energy_at` must undo it. The relaxer minimises whatever energy it is given: a search under
    pressure takes a `search.relax.pressure.PressurizedEnergy`, whose energies are enthalpies.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class AboveHull(Fitness):
    ...     '''Distance (eV/atom) from the line between the two elements.'''
    ...     elements: dict[str, float]
    ...     def of(self, relaxed):
    ...         return super().of(relaxed) - self.hull(relaxed.atoms)
    ...     def energy_at(self, fitness, atoms):
    ...         return fitness + self.hull(atoms)
    ...     def hull(self, atoms):
    ...         return sum(self.elements[symbol] for symbol in atoms.symbols) / len(atoms)
    """

    @staticmethod
    def read(document: Fitness | dict[str, Any]) -> Fitness:
        """
        Make the fitness that was saved with a search; its class must be loaded.

        Parameters
        ----------
        document : Fitness or dict
            As :meth:`as_dict` gives it; nothing that it names is imported.

        Raises
        ------
        UnknownClassError
            If it is of no class derived from this one.
        """
        if isinstance(document, Fitness):
            return document
        kinds = {(kind.__module__, kind.__name__): kind for kind in _with_derived(Fitness)}
        require_known(document, kinds.keys())
        kind = kinds.get((document.get("@module", ""), document.get("@class", "")))
        if kind is None:
            raise UnknownClassError("a saved search does not say what its fitness is")
        found: Fitness = kind.from_dict(document)  # type: ignore[assignment]
        return found

    def of(self, relaxed: Relaxed) -> float:
        """Fitness of a relaxed structure, eV/atom."""
        return relaxed.energy / len(relaxed.atoms)

    def energy_at(self, fitness: float, atoms: Atoms) -> float:
        """
        Energy (eV/atom) that `atoms` would need for a fitness, to be compared with others.

        Parameters
        ----------
        fitness : float
            eV/atom.
        atoms : ase.Atoms
            A structure of the composition in question.
        """
        del atoms  # the composition does not matter here
        return fitness


def _with_derived(kind: type[Fitness]) -> Iterator[type[Fitness]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from _with_derived(derived)


def better_first(items: Iterable[T], fitness: Callable[[T], float | None]) -> list[T]:
    """
    Sort from best to worst; what has no fitness comes last, equals keep their order.

    Parameters
    ----------
    items : iterable
        Structures, or whatever has a fitness.
    fitness : callable
        Fitness (eV/atom) of an item; None or NaN where it has none.
    """

    def key(item: T) -> float:
        value = fitness(item)
        return float("inf") if value is None or np.isnan(value) else value

    return sorted(items, key=key)
