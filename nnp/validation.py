"""Whether the numbers of a potential fit together, said in words that name the element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Beyond the numbers of any potential; sums with them are lost among the digits.
LARGEST_NUMBER = 1e12

Arrays = Sequence[NDArray[np.float64]]


def as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """
    Give an array of double precision.

    Parameters
    ----------
    name : str
        For the message.
    values : array_like
        What should be numbers.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers") from error


def check_elements(elements: Sequence[str]) -> None:
    """
    Require symbols of the periodic table.

    Parameters
    ----------
    elements : sequence of str
        Chemical symbols.

    Raises
    ------
    ValueError
        If one is none.
    """
    from ase.data import atomic_numbers

    unknown = [symbol for symbol in elements if not atomic_numbers.get(symbol)]
    if unknown:
        raise ValueError(f"there is no element {', '.join(map(repr, unknown))}")


def check_array(
    name: str, array: NDArray[np.float64], shape: tuple[int, ...], elements: Sequence[str]
) -> None:
    """
    Require a shape, and finite numbers that are not absurdly large.

    Parameters
    ----------
    name : str
        For the message.
    array : ndarray
        Numbers by element, shape (n_elements, ...).
    shape : tuple of int
        What it must be.
    elements : sequence of str
        Chemical symbols in the order of the array.

    Raises
    ------
    ValueError
        If the shape is another one, or a number is not finite.
    """
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    for symbol, values in zip(elements, array, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of {symbol} has numbers that are not finite")
        if np.abs(values).max(initial=0.0) > LARGEST_NUMBER:
            raise ValueError(f"{name} of {symbol} has numbers above {LARGEST_NUMBER:g}")


def check_scaling(
    scale: NDArray[np.float64], projection: NDArray[np.float64], elements: Sequence[str]
) -> None:
    """
    Require that symmetry functions can be divided by their scales.

    Parameters
    ----------
    scale : ndarray
        Shape (n_elements, n_functions).
    projection : ndarray
        Shape (n_elements, n_functions, n_inputs).
    elements : sequence of str
        Chemical symbols.

    Raises
    ------
    ValueError
        If a scale is zero, negative, or so small that the quotient is not finite.
    """
    for symbol, widths, axes in zip(elements, scale, projection, strict=True):
        if not (widths > 0.0).all():
            index = int(np.argmin(widths > 0.0))
            raise ValueError(
                f"the scale of symmetry function {index + 1} of {symbol} is {widths[index]:g}; "
                "scales must be positive"
            )
        with np.errstate(over="ignore"):
            if not np.isfinite(axes / widths[:, None]).all():
                raise ValueError(f"a scale of {symbol} is too small: {widths.min():g}")


def check_layers(weights: Arrays, biases: Arrays, n_inputs: int, elements: Sequence[str]) -> None:
    """
    Require layers that follow each other, down to one output.

    Parameters
    ----------
    weights, biases : sequence of ndarray
        As in :class:`nnp.potential.Potential`.
    n_inputs : int
        Numbers the first layer is fed.
    elements : sequence of str
        Chemical symbols.

    Raises
    ------
    ValueError
        If layers are missing or do not fit together, or a number is not finite.
    """
    if not weights or len(weights) != len(biases):
        raise ValueError(f"there are {len(weights)} layers of weights, but {len(biases)} of biases")
    if weights[0].ndim != 4 or not weights[0].shape[1]:
        raise ValueError(f"the weights of layer 1 have shape {weights[0].shape}")
    n_elements, n_members = len(elements), weights[0].shape[1]
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        n_outputs = 1 if k == len(weights) - 1 else b.shape[-1] if b.ndim else 0
        if not n_outputs:
            raise ValueError(f"layer {k + 1} has no neurons")
        check_array(
            f"the weights of layer {k + 1}", w, (n_elements, n_members, n_inputs, n_outputs),
            elements,
        )  # fmt: skip
        check_array(f"the biases of layer {k + 1}", b, (n_elements, n_members, n_outputs), elements)
        n_inputs = n_outputs


def check_pairs(name: str, table: Any, n_elements: int) -> None:
    """
    Require a symmetric table of finite numbers, none of them negative.

    Parameters
    ----------
    name : str
        For the message.
    table : array_like
        One number for each pair of elements, shape (n_elements, n_elements).
    n_elements : int
        Number of elements.

    Raises
    ------
    ValueError
        If it is none.
    """
    array = as_numbers(name, table)
    if array.shape != (n_elements, n_elements):
        raise ValueError(f"{name} have shape {array.shape}, expected {(n_elements, n_elements)}")
    if not (np.isfinite(array).all() and (array >= 0.0).all() and np.allclose(array, array.T)):
        raise ValueError(f"{name} must be finite, not negative, and the same for A-B and B-A")
