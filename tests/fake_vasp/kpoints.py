"""KPOINTS, or the mesh that KSPACING asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.incar import Incar, InputError


@dataclass(frozen=True)
class Mesh:
    """
    k-points of a run.

    Attributes
    ----------
    style : str
        ``Gamma``, ``Monkhorst-Pack`` or ``Reciprocal`` (an explicit list).
    divisions : tuple of int
        Subdivisions along the reciprocal vectors; for a list, what its number of points is worth.
    shift : tuple of float
        Shift of the mesh in units of its spacing, shape (3,).
    points, weights : NDArray[np.float64]
        Reduced by time reversal only, shapes (k, 3) and (k,).
    """

    style: str
    divisions: tuple[int, int, int]
    shift: tuple[float, float, float]
    points: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def is_gamma_only(self) -> bool:
        """Whether Gamma is the only point."""
        return len(self.points) == 1 and not self.points.any()


def read_mesh(folder: Path, cell: NDArray, incar: Incar) -> Mesh:
    """
    Find the k-points of a run.

    Parameters
    ----------
    folder : Path
        Where KPOINTS is, if there is one.
    cell : NDArray
        Lattice vectors in rows, Å, for KSPACING.
    incar : Incar
        Gives KSPACING and KGAMMA, used without KPOINTS.
    """
    file = folder / "KPOINTS"
    if file.exists():
        try:
            return _parse([line.strip() for line in file.read_text().splitlines()], cell)
        except (IndexError, ValueError) as error:
            raise InputError(f"Error reading KPOINTS: {error}") from error
    spacing = incar.number("KSPACING", 0.5)
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    divisions = np.maximum(1, np.ceil(lengths / spacing - 1e-9)).astype(int)
    return _regular("Gamma" if incar.logical("KGAMMA", True) else "Monkhorst-Pack", divisions)


def _parse(lines: list[str], cell: NDArray) -> Mesh:
    count = int(lines[1].split()[0])
    style = lines[2][:1].upper()
    if count > 0:
        table = np.array(
            [[float(word) for word in line.split()[:4]] for line in lines[3 : 3 + count]]
        )
        points, weights = table[:, :3], table[:, 3]
        if style in ("C", "K"):
            points = points @ cell.T
        side = max(1, round(count ** (1 / 3)))
        return Mesh("Reciprocal", (side,) * 3, (0.0,) * 3, points, weights / weights.sum())
    if style not in ("G", "M"):
        raise ValueError("fake_vasp knows Gamma and Monkhorst-Pack meshes and lists of points")
    divisions = np.array([int(float(word)) for word in lines[3].split()[:3]])
    shift = (
        [float(word) for word in lines[4].split()[:3]] if len(lines) > 4 and lines[4] else [0.0] * 3
    )
    return _regular("Gamma" if style == "G" else "Monkhorst-Pack", divisions, np.array(shift))


def _regular(style: str, divisions: NDArray, shift: NDArray | None = None) -> Mesh:
    """Regular mesh, each pair of points k and -k kept once."""
    if (divisions < 1).any():
        raise ValueError("the subdivisions must be positive")
    shift = np.zeros(3) if shift is None else shift
    offset = shift + (0.5 * (divisions % 2 == 0) if style == "Monkhorst-Pack" else 0.0)
    grid = np.stack(np.meshgrid(*(np.arange(d) for d in divisions), indexing="ij"), axis=-1)
    points = (grid.reshape(-1, 3) + offset) / divisions
    points = np.round(points - np.round(points - 1e-6), 8) + 0.0
    weights: dict[tuple[float, ...], int] = {}
    for point in points:
        opposite = -point
        opposite = tuple(np.round(opposite - np.round(opposite - 1e-6), 8) + 0.0)
        key = opposite if opposite in weights else tuple(point)
        weights[key] = weights.get(key, 0) + 1
    values = np.array(list(weights.values()), dtype=float)
    n1, n2, n3 = (int(d) for d in divisions)
    s1, s2, s3 = (float(s) for s in shift)
    return Mesh(style, (n1, n2, n3), (s1, s2, s3), np.array(list(weights)), values / values.sum())


def ibzkpt(mesh: Mesh) -> str:
    """Content of IBZKPT."""
    total = int(np.prod(mesh.divisions))
    rows = "".join(
        f"{point[0]:20.14f}{point[1]:20.14f}{point[2]:20.14f}{round(weight * total):14d}\n"
        for point, weight in zip(mesh.points, mesh.weights, strict=True)
    )
    return f"Automatically generated mesh\n{len(mesh.points):8d}\nReciprocal lattice\n{rows}"
