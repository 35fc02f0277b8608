"""What makes one structure better than another; nothing else in the search says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from monty.json import MSONable

from nnp.storage.documents import UnknownClassError, require_known
from search.relax.pressure import work_of
from search.relax.trust import Trust

if TYPE_CHECKING:
    from ase import Atoms

    from search.relax.relaxed import Relaxed
    from search.state.individual import Individual

T = TypeVar("T")

#: Notions of what is good, ``module:Class``. What is stored names one of them or is not read, and
#: no other module is imported for it: a process that has just begun must know where they are.
FITNESSES = {
    "energy per atom": "search.state.fitness:Fitness",
    "energy above the hull": "search.state.above_hull:AboveHull",
}


@dataclass(frozen=True)
class Fitness(MSONable):
    """
    Energy per atom (eV), and what its uncertainty counts: the lower, the better.

    At a pressure the energies of the search are enthalpies: the search relaxes under it, so that
    what it is told of is energy and pressure times volume together.

    Another notion of what is good is a class derived from this one, and a row in `FITNESSES`. `of`
    may add what counts against a structure: a line between two elements, for one.
    Where the fitness is another function of the energy than energy per atom, `energy_at` must undo
    it; but not the uncertainty, which the relaxer counts itself.

    Parameters
    ----------
    caution : float
        How many times the uncertainty of its energy counts against a structure that has one.
    max_uncertainty : float or None
        Uncertainty in eV/atom beyond which a structure is no parent and no result; none: no limit.
    pressure : float
        From outside, kbar.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class AboveLine(Fitness):
    ...     '''Distance (eV/atom) from the line between the two elements.'''
    ...     elements: dict[str, float]
    ...     def of(self, relaxed):
    ...         return super().of(relaxed) - self.line(relaxed.atoms)
    ...     def energy_at(self, fitness, atoms):
    ...         return fitness + self.line(atoms)
    ...     def line(self, atoms):
    ...         return sum(self.elements[symbol] for symbol in atoms.symbols) / len(atoms)
    """

    #: Whether it changes with what is found.
    follows: ClassVar[bool] = False

    # by their names only, so that derived classes may have fields of their own before them
    caution: float = field(default=0.0, kw_only=True)
    max_uncertainty: float | None = field(default=None, kw_only=True)
    pressure: float = field(default=0.0, kw_only=True)

    @property
    def trust(self) -> Trust:
        """What the relaxer has to know of it."""
        return Trust(self.caution, self.max_uncertainty)

    def trusting(self, trust: Trust) -> Self:
        """Return the same notion of what is good, with another trust in energies."""
        return replace(self, caution=trust.caution, max_uncertainty=trust.max_uncertainty)

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

    @property
    def quantity(self) -> str:
        """What the energies of the search are: ``"energy"``, or ``"enthalpy"`` at a pressure."""
        return "enthalpy" if self.pressure else "energy"

    def without_pressure(self, energy: float, volume: float) -> float:
        """
        Energy (eV/atom) without pressure times volume.

        Parameters
        ----------
        energy : float
            Of the search, eV/atom: an enthalpy where there is a pressure.
        volume : float
            Å³/atom.
        """
        return energy - work_of(self.pressure, volume)

    def of(self, relaxed: Relaxed) -> float:
        """Fitness of a relaxed structure, eV/atom."""
        n_atoms = len(relaxed.atoms)
        return self.of_energy(relaxed.energy / n_atoms, relaxed.uncertainty, relaxed.atoms)

    def of_energy(self, energy: float, uncertainty: float | None, atoms: Atoms) -> float:
        """
        Fitness (eV/atom) of a structure whose energy is known.

        Parameters
        ----------
        energy : float
            eV/atom.
        uncertainty : float or None
            Error to expect of it, eV/atom.
        atoms : ase.Atoms
            The structure.
        """
        del atoms  # the composition does not matter here
        return self.counted(energy, uncertainty)

    def counted(self, energy: float, uncertainty: float | None) -> float:
        """Energy (eV/atom) with what its uncertainty counts against a structure."""
        return energy + self.caution * (uncertainty or 0.0)

    def learned(self, members: Iterable[Individual]) -> Self:
        """
        Return the fitness that all structures found so far imply; itself if it stays as it is.

        Parameters
        ----------
        members : iterable of Individual
            With their structures, known well enough to count.
        """
        del members  # energies per atom are what they are
        return self

    def learned_from(self, relaxed: Sequence[Relaxed]) -> Self:
        """Return the fitness that relaxed structures imply where none was found before them."""
        del relaxed
        return self

    def figure(self, members: Sequence[Individual]) -> float:
        """
        Give the energy by which people follow a search, eV/atom.

        Parameters
        ----------
        members : sequence of Individual
            Found so far, best first; at least one.
        """
        return members[0].energy

    def standing(self, members: Sequence[Individual]) -> float:
        """
        How far a search has come: the lower, the better; whether it goes on to improve.

        Parameters
        ----------
        members : sequence of Individual
            Found so far, best first; at least one.
        """
        return members[0].fitness

    def improves(self, individual: Individual, is_first: bool, before: float) -> bool:
        """
        Whether a structure that has become known is better than all before it.

        Parameters
        ----------
        individual : Individual
            The structure.
        is_first : bool
            Whether no other one is before it now.
        before : float
            Fitness of the best one until then; NaN if there was none.
        """
        return is_first and not before <= individual.fitness

    def knows(self, relaxed: Relaxed) -> bool:
        """Whether a relaxed structure is certain enough to count, as far as anybody can say."""
        uncertainty, limit = relaxed.uncertainty, self.max_uncertainty
        return uncertainty is None or limit is None or uncertainty <= limit

    def energy_at(self, fitness: float, atoms: Atoms) -> float:
        """
        Energy (eV/atom) that `atoms` would need for a fitness if it were certain.

        The relaxer holds energies against it, with what their uncertainty counts added.

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
