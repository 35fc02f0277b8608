"""Which structures of a search are worth a label: low, unknown to the potential, or strained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.analysis.selection import farthest_points, frame_features
from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from search.state.motifs import spread_over_motifs
from search.state.seen import SeenStructures
from workflows.conversion import to_atoms
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.search import SearchCandidate
from workflows.stages.at_pressures import (
    above_lowest,
    by_pressure,
    of_several_compositions,
)

#: Stages of the frames that are labelled, by their kind.
MINIMUM, UNKNOWN, STRAINED = "minimum", "unknown", "strain"
#: Strained copies that are made for each one that is labelled: there must be something to choose.
COPIES = 3
#: eV/atom that counts against a structure of a system for each other of its composition before it.
TURN = 0.02


@dataclass(frozen=True)
class LabelChoice(MSONable):
    """
    How the static labels of a round are shared out.

    Parameters
    ----------
    window : float
        Minima up to this far above the best one are worth a label.
    strained : float
        Share of the labels on strained copies of the best.
    n_strained : int
        How many of the best are strained.
    max_strain : float
        Largest strain, hydrostatic, uniaxial or shear.
    displacement : float
        Random displacement of the atoms of the strained copies, root mean square a coordinate.

    References
    ----------
    C. Hong et al., Phys. Rev. B 102, 224104 (2020), III.C: shear, uniaxial and hydrostatic strains
    of the candidates.
    """

    window: float = field(
        default=0.2,
        metadata={"range": (0.001, 10.0), "unit": "eV/atom", "help": "minima this far above count"},
    )
    strained: float = field(
        default=0.4,
        metadata={"range": (0.0, 1.0), "unit": "", "help": "share of the labels on strained ones"},
    )
    n_strained: int = field(
        default=6,
        metadata={"range": (1, 1000), "unit": "", "help": "structures that are strained"},
    )
    max_strain: float = field(
        default=0.06, metadata={"range": (0.0, 0.3), "unit": "", "help": "largest strain"}
    )
    displacement: float = field(
        default=0.05,
        metadata={"range": (0.0, 0.5), "unit": "Å", "help": "of the atoms of strained structures"},
    )

    def choose(
        self,
        minima: Sequence[SearchCandidate],
        unknown: Sequence[SearchCandidate],
        labelled: Frames,
        number: int,
        seed: int,
        strained: Sequence[SearchCandidate] | None = None,
    ) -> Frames:
        """
        Choose structures to be labelled, far from each other and from what has labels.

        Parameters
        ----------
        minima : sequence of SearchCandidate
            Structures that the search found, best first, without those that the engine relaxes.
        unknown : sequence of SearchCandidate
            Structures of which the potential is too uncertain.
        labelled : Frames
            What the potential was trained on.
        number : int
            Labels to spend.
        seed : int
            Of strains and displacements.
        strained : sequence of SearchCandidate or None
            Whose strained copies may be labelled, best first; none: the minima.

        Returns
        -------
        Frames
            Without labels; their stages are ``minimum``, ``unknown`` and ``strain``.
        """
        if not minima and not unknown:
            return Frames.from_atoms([])
        above = above_lowest(minima)
        near = [one for one, far in zip(minima, above, strict=True) if far <= self.window]
        best_first = list(near if strained is None else strained)[: self.n_strained]
        n_strained = round(self.strained * number) if best_first else 0
        copies = self.strain(best_first, COPIES * n_strained, seed)
        parts = [_frames(near, MINIMUM), _frames(unknown, UNKNOWN), copies]
        rest = number - n_strained
        n_unknown = min(len(unknown), rest // 2 if near else rest)
        shares = [min(rest - n_unknown, len(near)), n_unknown, n_strained]
        return _spread(parts, shares, labelled)

    def strain(self, candidates: Sequence[SearchCandidate], number: int, seed: int) -> Frames:
        """
        Strain structures: hydrostatic, uniaxial and shear in turn, with displaced atoms.

        Parameters
        ----------
        candidates : sequence of SearchCandidate
        number : int
            Copies in all.
        seed : int
        """
        if not candidates:
            return Frames.from_atoms([])
        generator = np.random.default_rng(seed)
        copies = []
        for k in range(number):
            atoms = to_atoms(candidates[k % len(candidates)].structure)
            strain = _strain(k // len(candidates) % 3, self.max_strain, generator)
            atoms.set_cell(np.array(atoms.cell) @ (np.eye(3) + strain), scale_atoms=True)
            atoms.positions += generator.normal(0.0, self.displacement, atoms.positions.shape)
            copies.append(atoms)
        return Frames.from_atoms(copies, stage=STRAINED)


def without_known(
    candidates: Sequence[SearchCandidate], relaxed: Sequence[RelaxedStructure]
) -> list[SearchCandidate]:
    """
    Leave out what the engine has relaxed already: as the search had found it, or its outcome.

    Where structures are of several pressures, what was relaxed at another one does not count.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Of a search.
    relaxed : sequence of RelaxedStructure
        By the reference engine.
    """
    if len(by_pressure([*candidates, *relaxed])) < 2:
        seen = _seen(relaxed)
        return [one for one in candidates if not seen.has(to_atoms(one.structure))]
    relaxed_at = by_pressure(relaxed)
    seen_at = {one.pressure: _seen(relaxed_at.get(one.pressure, [])) for one in candidates}
    return [one for one in candidates if not seen_at[one.pressure].has(to_atoms(one.structure))]


def _seen(relaxed: Sequence[RelaxedStructure]) -> SeenStructures:
    known = [one.structure for one in relaxed] + [one.found.structure for one in relaxed]
    return SeenStructures([to_atoms(structure) for structure in known])


def pick(
    candidates: Sequence[SearchCandidate], number: int, known: Sequence[RelaxedStructure] = ()
) -> list[SearchCandidate]:
    """
    Choose structures for the reference engine: the lowest, and the best of every other motif.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Best first.
    number : int
        How many.
    known : sequence of RelaxedStructure
        By the reference engine, at the pressure of the candidates.
    """
    if of_several_compositions(candidates):
        candidates = by_turns(candidates, known)
    # motifs take half a second a structure, and those far up are not in question
    low = candidates[: 3 * number]
    # in the order that the search gave them, which counts more than their energies
    structures = [to_atoms(candidate.structure) for candidate in low]
    chosen = spread_over_motifs(structures, range(len(low)), number)
    return [low[k] for k in chosen]


def by_turns(
    candidates: Sequence[SearchCandidate], known: Sequence[RelaxedStructure] = ()
) -> list[SearchCandidate]:
    """
    Order structures of a system so that the first ones are near the hull, of many compositions.

    What the engine knows is on the hull, too. An end that the potential puts too high, because no
    melt resembles its crystal, would make all compounds near it look good.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Of one pressure, those of each composition from best to worst.
    known : sequence of RelaxedStructure
        By the reference engine, at this pressure.

    Returns
    -------
    list of SearchCandidate
        By their distance from the hull; it counts against one that others of its composition
        precede it.
    """
    before: dict[str, int] = {}
    keys = []
    above_hull = above_lowest([*candidates, *known])[: len(candidates)]
    for one, above in zip(candidates, above_hull, strict=True):
        formula = one.structure.composition.reduced_formula
        keys.append(above + TURN * before.get(formula, 0))
        before[formula] = before.get(formula, 0) + 1
    return [candidates[k] for k in sorted(range(len(candidates)), key=keys.__getitem__)]


def _strain(kind: int, largest: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Hydrostatic (0), uniaxial (1) or shear (2) strain, shape (3, 3)."""
    amount = generator.uniform(-largest, largest)
    if kind == 0:
        return amount * np.eye(3)
    direction = generator.normal(size=3)
    direction /= np.linalg.norm(direction)
    if kind == 1:
        return amount * np.outer(direction, direction)
    other = np.cross(direction, generator.normal(size=3))
    other /= np.linalg.norm(other)
    return amount * (np.outer(direction, other) + np.outer(other, direction))


def _frames(candidates: Sequence[SearchCandidate], stage: str) -> Frames:
    return Frames.from_atoms([to_atoms(c.structure) for c in candidates], stage=stage)


def _spread(parts: list[Frames], shares: list[int], labelled: Frames) -> Frames:
    """Take so many of each part, each structure the farthest from all before it."""
    everything = Frames.concatenate([labelled, *parts])
    features = frame_features(SymmetryFunctions.standard(everything.elements), everything)
    done = np.arange(len(labelled))
    chosen, start = [], len(labelled)
    for part, share in zip(parts, shares, strict=True):
        rows = np.concatenate([done, np.arange(start, start + len(part))])
        order = farthest_points(features[rows], share, np.arange(len(done)))
        done = np.concatenate([done, rows[order]])
        chosen.append(everything[np.sort(rows[order])])
        start += len(part)
    return Frames.concatenate(chosen)
