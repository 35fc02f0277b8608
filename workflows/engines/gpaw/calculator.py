"""GPAW as an ASE calculator whose energy is the one that its forces belong to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, CalculatorError, all_changes

from workflows.engines.base import ExplodedError
from workflows.engines.plane_waves import starting_moment

if TYPE_CHECKING:
    from ase import Atoms

    from workflows.documents.plane_waves import PlaneWaves
    from workflows.engines.gpaw.settings import GpawSettings

logger = logging.getLogger(__name__)

#: GPAW's own log, in the folder of the job.
LOG_FILE = "gpaw.txt"

#: What is tried in turn where the electrons do not converge, each from scratch.
REMEDIES: tuple[dict[str, Any], ...] = (
    {},
    {"mixer": {"name": "pulay", "beta": 0.02, "nmaxold": 5, "weight": 100.0}, "nbands": "150%"},
)


class UnconvergedError(ExplodedError, CalculatorError):
    """The electrons did not converge; with atoms in reasonable places they do."""


@dataclass(frozen=True)
class Sampling:
    """
    How the states of one cell are described.

    Attributes
    ----------
    plane_waves : PlaneWaves
        Cutoff and k-points.
    point_group : bool
        Leave out k-points that the point group makes equal; time reversal is always used.
    """

    plane_waves: PlaneWaves
    point_group: bool


class GpawCalculator(Calculator):
    """
    GPAW with plane waves: free energy, forces, and stress where it is asked for.

    ``energy`` is the free energy of the smeared electrons, of which the forces and the stress are
    derivatives. GPAW's own ``energy`` is its extrapolation to no smearing, whose derivatives
    nobody has: a potential trained on it with forces would be told two different surfaces.

    Density and wave functions go over from one configuration to the next of the same atoms, also
    to another cell if ``follow`` says so; everything else begins from scratch.

    Parameters
    ----------
    settings : GpawSettings
        Of the engine.
    sampling : callable
        Cutoff and k-points for given atoms.
    follow : bool
        Keep the k-points that the first cell got while the cell changes, as a relaxation must;
        :meth:`refit_basis` then looks whether they still fit. Else each cell gets its own.
    folder : Path or None
        Of the log; none: the current one.
    """

    implemented_properties = [  # noqa: RUF012 (ASE declares it for instances)
        "energy",
        "free_energy",
        "forces",
        "stress",
    ]

    def __init__(
        self,
        settings: GpawSettings,
        sampling: Callable[[Atoms], Sampling],
        follow: bool = False,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.sampling = sampling
        self.follow = follow
        self.log = (folder or Path.cwd()) / LOG_FILE if settings.log else None
        self.used: Sampling | None = None  # of the calculation under way
        self._inner: Any = None  # gpaw may be absent

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """
        Compute energy (eV), forces (eV/Å) and, if wanted, stress (eV/Å³, Voigt, ASE's sign).

        Raises
        ------
        UnconvergedError
            If the electrons do not converge by any remedy.
        """
        super().calculate(atoms, properties or ["energy"], system_changes)
        assert self.atoms is not None
        current = self.atoms.copy()
        changed = set(system_changes)
        if changed - {"positions"} and not (self.follow and changed <= {"positions", "cell"}):
            self._inner = None
        stress = "stress" in (properties or ())
        if not changed and self.results:
            self.results.update(self._evaluate(current, stress))
            return
        self.results = self._evaluate(current, stress)

    def refit_basis(self, atoms: Atoms) -> bool:
        """
        Begin anew if the cell has outgrown its k-points; whether it has.

        Parameters
        ----------
        atoms : Atoms
            Relaxed.
        """
        if self.used == self.sampling(atoms):
            return False
        self._inner = None
        self.reset()
        return True

    def _evaluate(self, atoms: Atoms, stress: bool) -> dict[str, Any]:
        """Evaluate, from what there is or else from scratch, with ever more careful mixing."""
        failure: Exception | None = None
        remedies = REMEDIES if self._inner is None else ({}, *REMEDIES)
        for remedy in remedies:
            try:
                if self._inner is None:
                    self._inner = self._begin(atoms, remedy)
                return _results(self._inner, atoms, stress)
            except (ImportError, MemoryError, OSError, TypeError):
                self._inner = None  # no mixer helps, and the atoms are not to blame
                raise
            except Exception as error:  # GPAW raises what it likes, also bare assertions
                logger.warning("GPAW failed (%s: %s)", type(error).__name__, error)
                self._inner, failure = None, error
        raise UnconvergedError(
            f"GPAW did not converge by any of its mixers ({type(failure).__name__}: {failure}); "
            "atoms may be too close, or gpaw.max_electronic_steps too low"
        ) from failure

    def _begin(self, atoms: Atoms, remedy: dict[str, Any]) -> Any:
        """Make a calculation from scratch, with k-points for this cell."""
        from gpaw import GPAW

        self.used = self.sampling(atoms)
        settings = self.settings
        # moments that the atoms came with would make GPAW polarise the spins
        moments = [starting_moment(s) if settings.magnetic else 0.0 for s in atoms.symbols]
        atoms.set_initial_magnetic_moments(moments)
        steps = settings.max_electronic_steps
        return GPAW(
            mode={"name": "pw", "ecut": self.used.plane_waves.cutoff},
            kpts={"size": self.used.plane_waves.mesh, "gamma": True},
            xc=settings.xc,
            spinpol=settings.magnetic,
            # Methfessel and Paxton's of order zero is Gaussian
            occupations={"name": "methfessel-paxton", "order": 0, "width": settings.smearing},
            symmetry={"point_group": self.used.point_group},
            convergence={
                "energy": settings.energy_tolerance,
                "density": settings.density_tolerance,
            },
            maxiter=2 * steps if remedy else steps,
            txt=None if self.log is None else self.log.open("a"),
            legacy_gpaw=False,  # the old implementation starts from scratch in every new cell
            **remedy,
        )


def _results(inner: Any, atoms: Atoms, stress: bool) -> dict[str, Any]:
    energy = float(inner.get_property("free_energy", atoms))
    results: dict[str, Any] = {
        "energy": energy,
        "free_energy": energy,
        "forces": np.array(inner.get_property("forces", atoms)),
    }
    if stress:
        results["stress"] = np.array(inner.get_property("stress", atoms))
    if not all(np.isfinite(values).all() for values in results.values()):
        raise FloatingPointError("energy, forces or stress are not finite")
    return results
