"""Compositions of frames: of a formula all have one, of a system many."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames


def counts_of(frames: Frames) -> NDArray[np.int64]:
    """Atoms (n_frames, n_elements) of each of the frames' elements, in the order of these."""
    from ase.data import atomic_numbers

    numbers = [atomic_numbers[symbol] for symbol in frames.elements]
    owners = np.repeat(np.arange(len(frames)), frames.counts)
    return np.array(
        [np.bincount(owners[frames.numbers == z], minlength=len(frames)) for z in numbers],
        dtype=np.int64,
    ).reshape(len(numbers), len(frames)).T  # fmt: skip


def compositions_of(frames: Frames) -> list[NDArray[np.int64]]:
    """Rows of the frames of each composition, in the order in which these first occur."""
    counts = counts_of(frames)
    units = np.gcd.reduce(counts, axis=1)[:, None] if len(counts) else counts
    rows: dict[tuple[int, ...], list[int]] = {}
    for k, row in enumerate((counts // units).tolist() if len(counts) else []):
        rows.setdefault(tuple(row), []).append(k)
    return [np.array(found, dtype=np.int64) for found in rows.values()]


def formula_of_frames(frames: Frames) -> str:
    """Reduced formula of frames; of several compositions the elements with dashes between them."""
    if len(compositions_of(frames)) > 1:
        return "-".join(frames.elements)
    formula: str = frames[0].to_atoms()[0].symbols.formula.reduce()[0].format("reduce")
    return formula


def are_of_one_composition(parts: Sequence[Frames]) -> bool:
    """
    Whether all frames have the same composition, whatever their cells.

    Parameters
    ----------
    parts : sequence of Frames
        Empty ones among them do not matter.
    """
    formulas = {formula_of_frames(part) for part in parts if len(part)}
    return len(formulas) < 2 and all(len(compositions_of(part)) < 2 for part in parts)


def beside_atoms(frames: Frames, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """
    Energies (n_frames,) beside those of their atoms, eV/atom: what compositions have in common.

    Parameters
    ----------
    frames : Frames
        With energies.
    chosen : ndarray of int
        Rows whose energies say those of atoms, by least squares.
    """
    counts = counts_of(frames).astype(float)
    atoms = np.linalg.lstsq(counts[chosen], frames.energies[chosen], rcond=None)[0]
    return np.asarray((frames.energies - counts @ atoms) / frames.counts)


def not_above(new: Sequence[Frames], known: Frames, most: float) -> list[Frames]:
    """
    Leave out frames whose energies are above the highest known one by more than so much.

    Energies of several compositions are compared beside those of their atoms.

    Parameters
    ----------
    new : sequence of Frames
        With energies.
    known : Frames
        With energies; where there are none, nothing is left out.
    most : float
        eV/atom.
    """
    if not len(known) or are_of_one_composition([known, *new]):
        ceiling = _highest(known) + most
        return [frames[_below(frames, ceiling)] for frames in new]
    beside = beside_atoms(Frames.concatenate([known, *new]), np.arange(len(known)))
    ceiling = float(np.nanmax(beside[: len(known)])) + most
    starts = np.cumsum([len(known), *map(len, new)])
    return [
        frames[np.flatnonzero(beside[start : start + len(frames)] <= ceiling)]
        for frames, start in zip(new, starts, strict=False)
    ]


def _highest(frames: Frames) -> float:
    """Highest energy, eV/atom."""
    return float(np.nanmax(frames.energies / frames.counts)) if len(frames) else math.inf


def _below(frames: Frames, ceiling: float) -> NDArray[np.int64]:
    """Rows of the frames whose energy is not above so many eV/atom."""
    return np.flatnonzero(frames.energies <= ceiling * frames.counts)
