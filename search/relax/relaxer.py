"""Relaxing many structures at once to their nearest minima, cells included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from monty.json import MSONable

from nnp.units import KBAR
from search.relax.energy import BatchEnergy, are_independent, require_stress, uncertainties_of
from search.relax.fire import FireOptions, FireState, Geometry, advance
from search.relax.lbfgs import LbfgsOptions, LbfgsState, advance_active
from search.relax.limits import RelaxationLimits
from search.relax.pressure import under_pressure
from search.relax.processes import MOST_PROCESSES, side_by_side
from search.relax.relaxed import CONVERGED, GIVEN_UP, LOOSE, OUT_OF_STEPS, Relaxed
from search.relax.symmetric import SymmetricEvaluator, symmetrized
from search.relax.trust import UNCONDITIONAL, Trust

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.geometry import DistanceLimits


@dataclass
class Relaxer(MSONable):
    """
    Minimise energy over cell and positions, a batch of structures at a time.

    Under the pressure of its limits it minimises the enthalpy.

    Examples
    --------
    >>> relaxed = Relaxer(RelaxationLimits(max_force=0.05)).relax(structures, energy)
    >>> [r.energy for r in relaxed if r.converged]
    """

    limits: RelaxationLimits = field(default_factory=RelaxationLimits, metadata={"inline": True})
    energy_window: float | None = field(
        default=1.0,
        metadata={
            "range": (0.001, 100.0),
            "unit": "eV/atom",
            "help": "a structure that at its rate will stay farther above the best is given up; "
            "none to relax all to the end",
        },
    )
    tight_window: float | None = field(
        default=0.03,
        metadata={
            "range": (0.0, 100.0),
            "unit": "eV/atom",
            "help": "structures this near the best, or lower, go on to the tight limits; none: "
            "no structure does",
        },
    )
    tight_force: float = field(
        default=0.01,
        metadata={
            "range": (1e-5, 10.0),
            "unit": "eV/Å",
            "help": "largest force under the tight limits",
        },
    )
    tight_stress: float = field(
        default=1.0,
        metadata={
            "range": (1e-4, 1000.0),
            "unit": "kbar",
            "help": "largest stress under the tight limits",
        },
    )
    keep_symmetry: bool = field(
        default=True,
        metadata={
            "unit": "",
            "help": "structures keep the symmetry they begin with, and only atoms that it does not "
            "make equivalent are evaluated",
        },
    )
    max_expansion: float = field(
        default=6.0,
        metadata={
            "range": (1.01, 1000.0),
            "unit": "",
            "help": "volume against the start, beyond: exploded",
        },
    )
    max_compression: float = field(
        default=0.2,
        metadata={
            "range": (0.001, 0.99),
            "unit": "",
            "help": "volume against the start, below: collapsed",
        },
    )
    check_interval: int = field(
        default=50,
        metadata={
            "range": (1, 100_000),
            "unit": "steps",
            "help": "how often bonds and progress are checked",
        },
    )
    batch_size: int = field(
        default=10,
        metadata={"range": (1, 10_000), "unit": "structures", "help": "relaxed side by side"},
    )
    fire: FireOptions = field(
        default_factory=FireOptions,
        metadata={"unit": "", "help": "steps of the minimiser where forces are large"},
    )
    lbfgs: LbfgsOptions = field(
        default_factory=LbfgsOptions,
        metadata={"unit": "", "help": "steps of the minimiser elsewhere"},
    )

    def relax(
        self,
        structures: Sequence[Atoms],
        energy: BatchEnergy,
        *,
        threads: int = 1,
        best: float | Sequence[float] | NDArray[np.float64] | None = None,
        distances: DistanceLimits | None = None,
        trust: Trust | None = None,
    ) -> list[Relaxed]:
        """
        Relax `structures` and report how each one ended, in the same order.

        Parameters
        ----------
        structures : sequence of ase.Atoms
            Periodic in three directions.
        energy : BatchEnergy
            Gives energies, forces and stresses.
        threads : int
            Processes that share the structures, or threads if the evaluators of `energy` are not
            independent. The outcome does not depend on how many processes there are.
        best : float, (n,) array or None
            Energy per atom (eV) of the best structure known, or for each structure the energy at
            which it would equal that; the windows count from there. None: there are no windows.
        distances : DistanceLimits or None
            Structures with shorter bonds are given up when next checked.
        trust : Trust or None
            What uncertain energies count for in the windows, and beyond which uncertainty a
            structure is given up that would be the best: it is on its way into a hole. It has
            `check_interval` steps to come back, and is reported as it was when it left what is
            known. None: energies are trusted as they are.
        """
        require_stress(energy)
        energy = under_pressure(energy, self.limits.pressure)
        trust = trust or UNCONDITIONAL
        levels = None if best is None else np.broadcast_to(np.asarray(best), len(structures))
        processes = min(threads, MOST_PROCESSES) if are_independent(energy) else 1
        # by turns, since those that were made alike come one after another
        number = -(-len(structures) // self.batch_size)
        parts = [slice(first, None, number) for first in range(number)]
        share = partial(_Share, self, energy, max(1, threads // processes))
        shares = [
            share(structures[part], None if levels is None else levels[part], distances, trust)
            for part in parts
        ]
        results: list[Relaxed | None] = [None] * len(structures)
        for part, relaxed in zip(parts, side_by_side(_relax, shares, processes), strict=True):
            results[part] = relaxed
        return [result for result in results if result is not None]


class _Share(NamedTuple):
    """Structures that are relaxed side by side in one process, and how."""

    options: Relaxer
    energy: BatchEnergy
    threads: int
    structures: Sequence[Atoms]
    best: NDArray[np.float64] | None
    distances: DistanceLimits | None
    trust: Trust


def _relax(share: _Share) -> list[Relaxed]:
    return _Batch(share).run()


class _Measured(NamedTuple):
    """What is known of a batch at a step: by structure, atomic energies by atom; first atoms."""

    energies: NDArray[np.float64]
    uncertainties: NDArray[np.float64]
    atomic: NDArray[np.float64]
    max_force: NDArray[np.float64]
    max_stress: NDArray[np.float64]
    starts: NDArray[np.int64]


class _Batch:
    """The structures still on their way; finished ones leave, so that no work goes into them."""

    def __init__(self, share: _Share) -> None:
        self.options = options = share.options
        self.limits = options.limits
        self.best = share.best
        self.distances = share.distances
        self.trust = share.trust
        structures = share.structures
        operations = None
        if options.keep_symmetry:
            structures, operations = symmetrized(structures)
        self.index = np.arange(len(structures))
        self.counts = np.array([len(atoms) for atoms in structures])
        self.numbers = np.concatenate([atoms.numbers for atoms in structures])
        self.cells = np.array([np.array(atoms.cell) for atoms in structures], dtype=float)
        self.positions = np.concatenate([atoms.positions for atoms in structures]).astype(float)
        self.evaluator = share.energy.evaluator(self.numbers, self.counts, threads=share.threads)
        if operations is not None and (operations.orders > 1).any():
            self.evaluator = SymmetricEvaluator(self.evaluator, operations)
        self.state = FireState.start(self.counts, options.fire.first_step)
        self.memory = LbfgsState.start(self.counts, options.lbfgs.memory)
        self.first_volumes = np.abs(np.linalg.det(self.cells))
        self.last_energies = np.full(len(structures), np.inf)
        self.results: list[Relaxed | None] = [None] * len(structures)
        #: Those beyond what is known, by number, as they left it.
        self.left: dict[int, Relaxed] = {}

    def run(self) -> list[Relaxed]:
        """Step until all have finished."""
        for step in range(1, self.limits.max_steps + 1):
            energies, forces, stresses, atomic = self.evaluator.compute(self.cells, self.positions)
            starts = np.cumsum(self.counts) - self.counts
            now = _Measured(
                energies=energies,
                uncertainties=uncertainties_of(self.evaluator, len(energies)),
                atomic=atomic,
                max_force=np.sqrt(np.maximum.reduceat((forces**2).sum(axis=1), starts)),
                max_stress=np.abs(stresses).max(axis=(1, 2)) * KBAR,
                starts=starts,
            )
            self._note_leaving(step, now)
            reasons = self._finished(step, now)
            if reasons:
                for i, status in reasons.items():
                    left = self.left.get(int(self.index[i]))
                    self.results[self.index[i]] = (
                        self._outcome(i, status, step, now)
                        if left is None
                        else replace(left, status=GIVEN_UP, steps=step)
                    )
                keep = np.ones(len(self.counts), dtype=bool)
                keep[list(reasons)] = False
                if not keep.any():
                    break
                keep_atoms = np.repeat(keep, self.counts)
                self._select(keep, keep_atoms)
                forces, stresses, energies = forces[keep_atoms], stresses[keep], energies[keep]
            batch = Geometry(self.counts, self.cells, self.positions, forces, stresses)
            advance_active(batch, energies, self.memory, self.options.lbfgs.numbers)
            advance(batch, self.memory.active, self.state, self.options.fire.steps)
        return [result for result in self.results if result is not None]

    def _outcome(self, i: int, status: str, step: int, now: _Measured) -> Relaxed:
        """A structure as it is."""
        part = slice(now.starts[i], now.starts[i] + self.counts[i])
        atomic, uncertainty = now.atomic[part], now.uncertainties[i]
        return Relaxed(
            atoms=self._atoms(i, part),
            energy=float(now.energies[i]),
            status=status,
            steps=step,
            max_force=float(now.max_force[i]),
            max_stress=float(now.max_stress[i]),
            atomic_energies=atomic.copy() if np.isfinite(atomic).all() else None,
            uncertainty=float(uncertainty) if np.isfinite(uncertainty) else None,
        )

    def _note_leaving(self, step: int, now: _Measured) -> None:
        """Keep those as they are that have just left what is known, and forget who came back."""
        unknown, above = self._standing(now.energies, now.uncertainties)
        out = unknown & (above < 0.0)
        for i in np.flatnonzero(np.isfinite(now.energies)).tolist():
            if not out[i]:
                self.left.pop(int(self.index[i]), None)
            elif int(self.index[i]) not in self.left:
                self.left[int(self.index[i])] = self._outcome(i, GIVEN_UP, step, now)

    def _finished(self, step: int, now: _Measured) -> dict[int, str]:
        """Which structures end here, and how."""
        options, limits = self.options, self.limits
        energies, max_force, max_stress = now.energies, now.max_force, now.max_stress
        statuses: dict[int, str] = {}
        volumes = np.abs(np.linalg.det(self.cells)) / self.first_volumes
        finite = np.isfinite(energies) & np.isfinite(max_force) & np.isfinite(max_stress)
        converged = (max_force < limits.max_force) & (max_stress < limits.max_stress)
        tight, done = converged.copy(), converged.copy()
        if options.tight_window is not None:
            tight &= (max_force < options.tight_force) & (max_stress < options.tight_stress)
        if options.tight_window is not None and self.best is not None:
            unknown, above = self._standing(energies, now.uncertainties)
            done &= tight | unknown | (above >= options.tight_window)
        check = step % options.check_interval == 0
        last = step == limits.max_steps
        for i in range(len(energies)):
            left = self.left.get(int(self.index[i]))
            if not finite[i]:
                statuses[i] = "aborted: energy, force or stress is not finite"
            elif volumes[i] > options.max_expansion:
                statuses[i] = "aborted: volume exploded"
            elif volumes[i] < options.max_compression:
                statuses[i] = "aborted: volume collapsed"
            elif (check or last or done[i]) and (bond := self._short_bond(i)):
                statuses[i] = f"aborted: short bond {bond}"
            elif left is not None and step - left.steps >= options.check_interval:
                statuses[i] = GIVEN_UP
            elif done[i] or (last and converged[i]):
                statuses[i] = CONVERGED if tight[i] else LOOSE
            elif last:
                statuses[i] = OUT_OF_STEPS
            elif check and self._hopeless(i, step, energies[i]):
                statuses[i] = "aborted: outside the energy window"
        if check:
            self.last_energies = energies.copy()
        return statuses

    def _standing(
        self, energies: NDArray[np.float64], uncertainties: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which structures (n,) are unknown, and how far all are above the best (n,), eV/atom."""
        worst = self.trust.worst(energies / self.counts, uncertainties)
        above = np.zeros(len(worst)) if self.best is None else worst - self.best
        return self.trust.is_unknown(uncertainties), above

    def _hopeless(self, i: int, step: int, energy: float) -> bool:
        """
        Whether the rate of descent cannot bring the structure into the energy window.

        Descent slows down as a rule, so the rate since the last check, kept up over all steps
        left, is a generous forecast.
        """
        options = self.options
        if options.energy_window is None or self.best is None:
            return False
        intervals_left = (self.limits.max_steps - step) / options.check_interval
        forecast = energy - max(self.last_energies[i] - energy, 0.0) * intervals_left
        ceiling = (self.best[i] + options.energy_window) * self.counts[i]
        return bool(forecast > ceiling)

    def _short_bond(self, i: int) -> str:
        """Name the worst bond below the limits in words, or an empty string."""
        if self.distances is None:
            return ""
        start = int(self.counts[:i].sum())
        part = slice(start, start + int(self.counts[i]))
        kinds = self.distances.kinds(self.numbers[part])
        if not self.distances.violated_arrays(self.cells[i], self.positions[part], kinds):
            return ""
        return self.distances.describe(self._atoms(i, part))

    def _atoms(self, i: int, part: slice) -> Atoms:
        from ase import Atoms

        atoms = Atoms(self.numbers[part], self.positions[part], cell=self.cells[i], pbc=True)
        if np.isfinite(self.positions[part]).all() and np.isfinite(self.cells[i]).all():
            atoms.wrap()
        return atoms

    def _select(self, keep: NDArray[np.bool_], keep_atoms: NDArray[np.bool_]) -> None:
        """Go on with the structures where `keep` (n,) and `keep_atoms` (n_total,) are true."""
        self.evaluator = self.evaluator.select(keep)
        self.state = self.state.select(keep, keep_atoms)
        self.memory = self.memory.select(keep, self.counts)
        self.index, self.counts = self.index[keep], self.counts[keep]
        self.numbers, self.positions = self.numbers[keep_atoms], self.positions[keep_atoms]
        self.cells, self.first_volumes = self.cells[keep], self.first_volumes[keep]
        self.last_energies = self.last_energies[keep]
        self.best = None if self.best is None else self.best[keep]
