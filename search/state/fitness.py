"""What makes one structure better than another; nothing else in the search says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from monty.json import MSONable

from nnp.storage.documents import UnknownClassError, require_known

if TYPE_CHECKING:
    from ase import Atoms

    from search.relax.relaxer import Relaxed

T = TypeVar("T")

#: Notions of what is good, ``module:Class``. What is stored names one of them or is not read, and
#: no other module is imported for it: a process that has just begun must know where they are.
FITNESSES = {"energy per atom": "search.state.fitness:Fitness"}


@dataclass(frozen=True)
class Fitness(MSONable):
    """
    Energy per atom (eV): the lower, the better.

    Another notion of what is good is a class derived from this one, and a row in `FITNESSES`. `of`
    may add what counts against a structure: pressure times volume, the energy of the hull at its
    composition, or an uncertainty. Where the fitness is another function of the energy than energy
    per atom, `energy_at` must undo it. The relaxer minimises whatever energy it is given: a search
    under pressure takes a `search.relax.pressure.PressurizedEnergy`, whose energies are enthalpies.

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
        Make the fitness that was saved with a search.

        Parameters
        ----------
        document : Fitness or dict
            As :meth:`as_dict` gives it; nothing is imported but what `FITNESSES` names.

        Raises
        ------
        UnknownClassError
            If `FITNESSES` has no row for its class.
        """
        if isinstance(document, Fitness):
            return document
        known = known_fitnesses()
        require_known(document, known)
        module, name = document.get("@module", ""), document.get("@class", "")
        if (module, name) not in known:
            raise UnknownClassError("a saved search does not say what its fitness is")
        found: Fitness = getattr(import_module(module), name).from_dict(document)
        return found

    def as_dict(self) -> dict[str, Any]:
        """
        Document of the fitness.

        Raises
        ------
        UnknownClassError
            If `FITNESSES` has no row for its class: no other process could read it.
        """
        kind = type(self)
        if (kind.__module__, kind.__name__) not in known_fitnesses():
            raise UnknownClassError(
                f"the fitness {kind.__name__} cannot be stored: give it a row in FITNESSES of "
                f"{__name__}, {kind.__module__}:{kind.__name__}"
            )
        document: dict[str, Any] = super().as_dict()
        return document

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


def known_fitnesses() -> set[tuple[str, str]]:
    """Modules and names of the classes in `FITNESSES`; none of them is imported."""
    paths = (path.partition(":") for path in FITNESSES.values())
    return {(module, name) for module, _, name in paths}


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
