"""The potential: symmetry functions, scaling, principal components, networks, repulsion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable
from numpy.typing import ArrayLike, NDArray

from nnp.calibration import Calibration
from nnp.descriptors import SymmetryFunctions
from nnp.evaluator import Evaluator, Predictions
from nnp.kernels.repulsion import Repulsion
from nnp.kernels.workspace import Model
from nnp.networks import Networks, kernel_model
from nnp.periodicity import periodic_cell
from nnp.storage.arrays import decode_array, encode_array
from nnp.storage.documents import decoded, read_document, write_document
from nnp.validation import as_numbers, check_array, check_elements, check_layers, check_scaling

if TYPE_CHECKING:
    from ase import Atoms

#: What may follow each layer but the last.
ACTIVATIONS = ("tanh", "sigmoid")
_ARRAYS = ("shift", "scale", "projection", "reference_energies")


class PotentialFileError(ValueError):
    """A file is no potential, or damaged, or its numbers make no sense."""


def damaged(path: str | Path, problem: str) -> PotentialFileError:
    """
    Say in one sentence what is wrong with a file and what to do.

    Parameters
    ----------
    path : str or Path
        The file.
    problem : str
        What is wrong with it.

    Returns
    -------
    PotentialFileError
        To be raised.
    """
    return PotentialFileError(
        f"{path} is not a potential that can be used: {problem.rstrip('.')}; copy it again from "
        "where it came from, or train again."
    )


@dataclass(eq=False)
class Potential(MSONable):
    """
    A high-dimensional neural network potential (or an ensemble of them).

    The energy of an atom is a dense network of its element applied to
    ``((G - shift) / scale) @ projection``, plus the element's reference energy, plus half of its
    pair repulsion.

    Parameters
    ----------
    functions : SymmetryFunctions
        Symmetry functions G.
    shift, scale : ndarray
        Of each function and centre element, shape (n_elements, n_functions).
    projection : ndarray
        Principal components (whitened), shape (n_elements, n_functions, n_inputs).
    weights : tuple of ndarray
        Of each layer, shape (n_elements, n_members, n_in, n_out); the last has one output, in eV.
    biases : tuple of ndarray
        Of each layer, shape (n_elements, n_members, n_out).
    reference_energies : ndarray
        Added to each atom's energy by element, in eV, shape (n_elements,).
    activation : str
        ``tanh`` or ``sigmoid``, after every layer but the last.
    repulsion : Repulsion or None
        Core below the shortest trained distances.
    calibration : Calibration
        Turns the spread of the ensemble into the error expected from held-out frames.
    force_calibration : Calibration
        The same for components of forces, see :func:`nnp.evaluation.force_spreads`.
    record : dict
        How it was made: errors, shortest distances, ranges of G, versions.
    """

    functions: SymmetryFunctions
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64]
    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]
    reference_energies: NDArray[np.float64]
    activation: str = "tanh"
    repulsion: Repulsion | None = None
    calibration: Calibration = field(default_factory=Calibration)
    force_calibration: Calibration = field(default_factory=Calibration)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def independent_evaluators(self) -> bool:
        """Evaluators share nothing that changes: they may work side by side."""
        return True

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            setattr(self, name, as_numbers(name, getattr(self, name)))
        self.weights = tuple(as_numbers("weights", array) for array in self.weights)
        self.biases = tuple(as_numbers("biases", array) for array in self.biases)
        self._models: dict[str, Model] = {}
        self.validate()

    def validate(self) -> None:
        """
        Check that all parts fit together and all numbers are finite.

        Raises
        ------
        ValueError
            Naming what is wrong, and the element.
        """
        elements, n_functions = self.elements, self.functions.n_functions
        n = len(elements)
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"the activation must be tanh or sigmoid, not {self.activation!r}")
        check_elements(elements)
        check_array("shift", self.shift, (n, n_functions), elements)
        check_array("scale", self.scale, (n, n_functions), elements)
        n_inputs = self.projection.shape[-1] if self.projection.ndim else 0
        check_array("projection", self.projection, (n, n_functions, n_inputs), elements)
        check_scaling(self.scale, self.projection, elements)
        check_layers(self.weights, self.biases, n_inputs, elements)
        check_array("reference_energies", self.reference_energies, (n,), elements)
        if self.repulsion is not None and self.repulsion.elements != elements:
            raise ValueError(
                f"the repulsion is for {', '.join(self.repulsion.elements)}, the networks are for "
                f"{', '.join(elements)}"
            )
        recorded = self.record.get("elements")
        if recorded is not None and tuple(recorded) != elements:
            raise ValueError(
                f"it was trained on {', '.join(map(str, recorded))}, in this order, and is for "
                f"{', '.join(elements)}"
            )
        if self.repulsion is not None and np.max(self.repulsion.ends) > self.cutoff:
            raise ValueError(f"the repulsion goes beyond the cutoff, {self.cutoff:g} Å")

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols the potential knows."""
        return self.functions.elements

    @property
    def n_members(self) -> int:
        """Networks in the ensemble."""
        return self.weights[0].shape[1]

    def member(self, k: int) -> Potential:
        """Give one network of the ensemble as a potential of its own, from zero."""
        return replace(
            self,
            weights=tuple(w[:, k : k + 1] for w in self.weights),
            biases=tuple(b[:, k : k + 1] for b in self.biases),
            calibration=Calibration(),
            force_calibration=Calibration(),
        )

    @property
    def knows_stress(self) -> bool:
        """Whether stresses were among what it was trained on; if nothing is recorded, yes."""
        return bool(self.record.get("n_stresses", 1))

    @property
    def cutoff(self) -> float:
        """Range of the potential in Å."""
        return self.functions.radial_cutoff

    def model(self, precision: str = "float64") -> Model:
        """Give it as the kernels want it."""
        if precision not in self._models:
            self._models[precision] = kernel_model(
                self.functions, self.networks(), self.repulsion, np.dtype(precision)
            )
        return self._models[precision]

    def networks(self) -> Networks:
        """Fold what is linear; sigmoids become hyperbolic tangents of half the argument."""
        transform = self.functions.transform
        origin = np.asarray(np.linalg.lstsq(transform, self.shift.T, rcond=None)[0].T)
        weights = [array.copy() for array in self.weights]
        biases = [array.copy() for array in self.biases]
        if self.activation == "sigmoid":
            for k in range(len(weights) - 1):
                weights[k] *= 0.5
                biases[k] *= 0.5
                biases[k + 1] = biases[k + 1] + 0.5 * weights[k + 1].sum(axis=2)
                weights[k + 1] *= 0.5
        inputs = self.projection / self.scale[:, :, None]
        weights[0] = np.einsum("efi,emio->emfo", inputs, weights[0])
        rest = origin @ transform.T - self.shift
        biases[0] = biases[0] + np.einsum("ef,emfo->emo", rest, weights[0])
        weights[0] = np.einsum("fk,emfo->emko", transform, weights[0])
        biases[-1] = biases[-1] + self.reference_energies[:, None, None]
        return Networks(origin, weights, biases)

    def expected_errors(self, spreads: NDArray[np.float64]) -> NDArray[np.float64]:
        """Errors in eV/atom to expect at such spreads of the ensemble; zero for one network."""
        return self.calibration.apply(spreads) if self.n_members > 1 else np.zeros_like(spreads)

    def evaluator(
        self,
        numbers: ArrayLike,
        counts: ArrayLike,
        threads: int = 1,
        precision: str = "float64",
    ) -> Evaluator:
        """
        Give the persistent evaluation of a fixed batch, for relaxation and dynamics.

        Parameters
        ----------
        numbers : array_like
            Atomic numbers of all structures one after the other, shape (n_total,).
        counts : array_like
            Atoms in each structure, shape (n,).
        threads : int
            Threads over the batch.
        precision : str
            ``float64``, or ``float32`` for about three quarters of the time.
        """
        types = self.functions.types(np.asarray(numbers, dtype=np.int64))
        return Evaluator(
            self.model(precision), types, np.asarray(counts), threads, self.calibration
        )

    def compute(
        self, structures: Sequence[Atoms], threads: int = 1, precision: str = "float64"
    ) -> Predictions:
        """
        Evaluate structures of any sizes once.

        Directions without periodicity are given enough vacuum.
        """
        counts = [len(atoms) for atoms in structures]
        cells = [periodic_cell(atoms, self.cutoff) for atoms in structures]
        numbers = [atoms.numbers for atoms in structures]
        positions = [atoms.positions for atoms in structures]
        return self.compute_arrays(
            np.concatenate(numbers) if numbers else np.zeros(0, dtype=int),
            np.array(counts, dtype=int),
            np.array(cells).reshape(-1, 3, 3),
            np.concatenate(positions) if positions else np.zeros((0, 3)),
            threads,
            precision,
        )

    def compute_arrays(
        self,
        numbers: NDArray[np.int64],
        counts: NDArray[np.int64],
        cells: NDArray[np.float64],
        positions: NDArray[np.float64],
        threads: int = 1,
        precision: str = "float64",
    ) -> Predictions:
        """
        Evaluate periodic structures given as flat arrays once.

        Parameters
        ----------
        numbers, counts, cells, positions : ndarray
            As in :class:`nnp.frames.Frames`.
        threads : int
            As in :meth:`evaluator`.
        precision : str
            As in :meth:`evaluator`.
        """
        if not len(counts):
            none = np.zeros(0)
            return Predictions(none, [], np.zeros((0, 3, 3)), [], none, [], none)
        evaluator = self.evaluator(numbers, counts, threads, precision)
        energies, forces, stresses, atomic = evaluator.compute(cells, positions)
        limits = np.cumsum(counts)[:-1]
        members = evaluator.member_energies()
        totals = np.add.reduceat(members, np.r_[0, limits], axis=0)
        spreads = totals.std(axis=1) / counts
        return Predictions(
            energies,
            np.split(forces, limits),
            stresses,
            np.split(atomic, limits),
            self.expected_errors(spreads),
            np.split(self.calibration.scale * members.std(axis=1), limits),
            spreads,
        )

    def save(self, path: str | Path) -> None:  # type: ignore[override]
        """
        Write one compressed file with a checksum, replacing what is there in one step.

        Parameters
        ----------
        path : str or Path
            Usually ends in ``.nnp``.

        Raises
        ------
        OSError
            If it cannot be written; what was at `path` is still there then.
        """
        self.validate()
        write_document(Path(path), self.as_dict())

    @classmethod
    def load(cls, path: str | Path) -> Potential:  # type: ignore[override]
        """
        Read what :meth:`save` wrote; :func:`nnp.formats.files.load_potential` reads any format.

        Parameters
        ----------
        path : str or Path
            File of a potential.

        Returns
        -------
        Potential

        Raises
        ------
        OSError
            If there is no such file.
        PotentialFileError
            If it is of another format, damaged, or its parts do not fit together.
        """
        try:
            return cls.from_dict(read_document(Path(path)))
        except KeyError as error:
            raise damaged(path, f"it has no {error}") from error
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise damaged(path, str(error)) from error

    def as_dict(self) -> dict[str, Any]:
        """Document with compressed arrays."""
        document: dict[str, Any] = {"@module": type(self).__module__, "@class": "Potential"}
        document.update({name: encode_array(getattr(self, name)) for name in _ARRAYS})
        document["functions"] = self.functions.as_dict()
        document["weights"] = [encode_array(array) for array in self.weights]
        document["biases"] = [encode_array(array) for array in self.biases]
        document["activation"] = self.activation
        document["repulsion"] = None if self.repulsion is None else self.repulsion.as_dict()
        document["calibration"] = self.calibration.as_dict()
        document["force_calibration"] = self.force_calibration.as_dict()
        document["record"] = self.record
        return document

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Potential:
        """Undo :meth:`as_dict`."""
        repulsion = d["repulsion"]
        return cls(
            functions=decoded(SymmetryFunctions, d["functions"]),
            weights=tuple(decode_array(array) for array in d["weights"]),
            biases=tuple(decode_array(array) for array in d["biases"]),
            activation=d["activation"],
            repulsion=None if repulsion is None else decoded(Repulsion, repulsion),
            calibration=decoded(Calibration, d["calibration"]),
            # earlier versions did not calibrate forces
            force_calibration=decoded(Calibration, d.get("force_calibration", Calibration())),
            record=d["record"],
            **{name: decode_array(d[name]) for name in _ARRAYS},
        )
