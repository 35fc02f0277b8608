"""The text format of SIMPLE-NN and of LAMMPS ``pair_style nn``.

Peers' potentials run here and ours run in LAMMPS. For each element the file lists its symmetry
functions, their scaling (G - scale1) / scale2, and the layers of its network, of which the first
may be linear (the principal components). Energies are in eV, distances in Å.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential

_ACTIVATIONS = ("tanh", "sigmoid")

#: (kind, first neighbour, second neighbour or "", eta, Rs or zeta, lambda)
_Function = tuple[int, str, str, float, float, float]


@dataclass
class _Element:
    """What the file says about one element."""

    functions: list[_Function] = field(default_factory=list)
    cutoffs: dict[int, set[float]] = field(default_factory=dict)
    shift: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None
    layers: list[tuple[str, list[list[float]], list[float]]] = field(default_factory=list)


def is_simple_nn(raw: bytes) -> bool:
    """Whether a file starts like a potential of this format."""
    return raw.lstrip().startswith(b"ELEM_LIST")


def read_simple_nn(path: str | Path) -> Potential:
    """Read a potential.

    Elements may have different symmetry functions and layer widths; what one lacks gets zero
    weight. Radial functions must share one cutoff, angular ones too.

    Parameters
    ----------
    path
        File, usually named ``potential_saved``.
    """
    order, found = _parse(path)
    missing = [symbol for symbol in order if symbol not in found]
    if missing:
        raise ValueError(f"{path} lists {', '.join(missing)} but has no network for it.")
    functions = _union(path, order, found)
    position = {name: k for k, name in enumerate(_names(functions))}
    n, size = len(order), functions.n_functions
    shift, scale = np.zeros((n, size)), np.ones((n, size))
    projections, stacks, kinds = [], [], set()
    for e, symbol in enumerate(order):
        element = found[symbol]
        columns = [position[_sorted_pair(function, order)] for function in element.functions]
        if element.shift is None or element.scale is None:
            raise ValueError(f"{path} has no scale1 or scale2 for {symbol}.")
        shift[e, columns], scale[e, columns] = element.shift, element.scale
        linear, layers, activation = _split_layers(path, symbol, element)
        projection = np.zeros((size, linear.shape[1]))
        projection[columns] = linear
        projections.append(projection)
        stacks.append(layers)
        kinds.add(activation)
    if len(kinds) != 1 or len({len(layers) for layers in stacks}) != 1:
        raise ValueError(f"{path} mixes activations or depths between elements.")
    weights, biases = _pad(stacks)
    width = max(p.shape[1] for p in projections)
    return Potential(
        functions=functions,
        shift=shift,
        scale=scale,
        projection=np.array([np.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in projections]),
        weights=weights,
        biases=biases,
        reference_energies=np.zeros(n),
        activation=kinds.pop(),
        record={"source": Path(path).name, "format": "SIMPLE-NN"},
    )


def _parse(path: str | Path) -> tuple[tuple[str, ...], dict[str, _Element]]:
    """Elements in the order of the file, and what it says about each."""
    order: tuple[str, ...] = ()
    found: dict[str, _Element] = {}
    current = _Element()
    with Path(path).open(encoding="utf-8") as file:
        lines = (line.split() for line in file)
        for words in (words for words in lines if words):
            key = words[0]
            if key == "ELEM_LIST":
                order = tuple(words[1:])
            elif key == "POT":
                current = found.setdefault(words[1], _Element())
            elif key == "SYM":
                for _ in range(int(words[1])):
                    _add_function(path, current, next(lines))
            elif key == "scale1":
                current.shift = np.array(words[1:], dtype=float)
            elif key == "scale2":
                current.scale = np.array(words[1:], dtype=float)
            elif key == "LAYER":
                current.layers.append((words[2].lower(), [], []))
            elif key[0] in "wb" and key[1:].isdigit() and current.layers:
                numbers = [float(word) for word in words[1:]]
                if key[0] == "w":
                    current.layers[-1][1].append(numbers)
                else:
                    current.layers[-1][2].append(numbers[0])
    if not order:
        raise ValueError(f"{path} is not a SIMPLE-NN potential: it has no ELEM_LIST.")
    return order, found


def _add_function(path: str | Path, element: _Element, words: list[str]) -> None:
    kind, numbers = int(words[0]), [float(word) for word in words[1:5]]
    if kind not in (2, 4):
        raise ValueError(f"{path} has symmetry functions of type {kind}; only 2 and 4 are known.")
    cutoff, eta, second, third = numbers
    names = words[5:]
    element.cutoffs.setdefault(kind, set()).add(cutoff)
    if kind == 2:
        element.functions.append((2, names[0], "", eta, second, 0.0))
    else:
        element.functions.append((4, names[0], names[1], eta, second, third))


def _union(
    path: str | Path, order: tuple[str, ...], found: dict[str, _Element]
) -> SymmetryFunctions:
    """All radial and angular functions that occur anywhere, in order of appearance."""
    cutoffs: dict[int, float] = {}
    for kind, name in ((2, "radial"), (4, "angular")):
        values = set().union(*(found[symbol].cutoffs.get(kind, set()) for symbol in order))
        if len(values) > 1:
            raise ValueError(f"{path} has {name} functions with several cutoffs: {sorted(values)}.")
        cutoffs[kind] = values.pop() if values else 0.0
    every = [function for symbol in order for function in found[symbol].functions]
    return SymmetryFunctions(
        elements=order,
        radial=tuple(dict.fromkeys(f[3:5] for f in every if f[0] == 2)),
        angular=tuple(dict.fromkeys(f[3:6] for f in every if f[0] == 4)),
        radial_cutoff=cutoffs[2],
        angular_cutoff=cutoffs[4] or cutoffs[2],
    )


def _names(functions: SymmetryFunctions) -> Iterator[_Function]:
    """Every function of a set, in its order."""
    for element in functions.elements:
        for eta, shift in functions.radial:
            yield (2, element, "", eta, shift, 0.0)
    for first, second in functions.pairs:
        for eta, zeta, sign in functions.angular:
            yield (4, first, second, eta, zeta, sign)


def _sorted_pair(function: _Function, order: tuple[str, ...]) -> _Function:
    """Same function with its two neighbours in the order of the elements."""
    kind, first, second, *rest = function
    if kind == 4 and order.index(first) > order.index(second):
        first, second = second, first
    return (kind, first, second, *rest)  # type: ignore[return-value]


_Layers = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _split_layers(
    path: str | Path, symbol: str, element: _Element
) -> tuple[NDArray[np.float64], _Layers, str]:
    """Leading linear part (n_functions, n_inputs), the rest as (n_in, n_out), activation."""
    layers = [(name, np.array(w).T, np.array(b)) for name, w, b in element.layers]
    linear = np.eye(len(element.functions))
    offset = np.zeros(len(element.functions))
    while len(layers) > 1 and layers[0][0] == "linear":
        _, weights, bias = layers.pop(0)
        linear, offset = linear @ weights, offset @ weights + bias
    kinds = {name for name, *_ in layers[:-1]}
    if len(kinds) != 1 or not kinds <= set(_ACTIVATIONS) or layers[-1][0] != "linear":
        raise ValueError(
            f"{path} has layers {[name for name, *_ in element.layers]} for {symbol}; tanh or "
            "sigmoid between linear first and last layers are known."
        )
    first = layers[0]
    layers[0] = (first[0], first[1], first[2] + offset @ first[1])
    return linear, [(weights, bias) for _, weights, bias in layers], kinds.pop()


def _pad(
    stacks: list[_Layers],
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """One array for each layer of all elements; narrower networks get idle neurons."""
    weights, biases = [], []
    for k in range(len(stacks[0])):
        n_in = max(layers[k][0].shape[0] for layers in stacks)
        n_out = max(layers[k][0].shape[1] for layers in stacks)
        w, b = np.zeros((len(stacks), 1, n_in, n_out)), np.zeros((len(stacks), 1, n_out))
        for e, layers in enumerate(stacks):
            own, bias = layers[k]
            w[e, 0, : own.shape[0], : own.shape[1]] = own
            b[e, 0, : len(bias)] = bias
        weights.append(w)
        biases.append(b)
    return tuple(weights), tuple(biases)


def write_simple_nn(potential: Potential, path: str | Path) -> None:
    """Write a potential for LAMMPS.

    An ensemble becomes one wide network that gives the mean. The repulsive core has no place in
    the format; it is never felt within the trained distances.

    Parameters
    ----------
    potential
        With any number of members.
    path
        File to write.
    """
    functions = potential.functions
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(f"ELEM_LIST {' '.join(functions.elements)}\n\n")
        for e, symbol in enumerate(functions.elements):
            file.write(f"POT {symbol} {functions.radial_cutoff!r}\nSYM {functions.n_functions}\n")
            for kind, first, second, eta, middle, last in _names(functions):
                radius = functions.radial_cutoff if kind == 2 else functions.angular_cutoff
                names = first if kind == 2 else f"{first} {second}"
                file.write(f"{kind} {radius!r} {eta!r} {middle!r} {last!r} {names}\n")
            file.write(f"scale1 {_join(potential.shift[e])}\n")
            file.write(f"scale2 {_join(potential.scale[e])}\n")
            _write_network(file, potential, e)
            file.write("\n")


def _write_network(file: TextIO, potential: Potential, e: int) -> None:
    """Layers of one element; the linear one is square, as LAMMPS expects."""
    layers = _merged(potential, e)
    n = potential.functions.n_functions
    square = np.zeros((n, n))
    square[:, : potential.projection.shape[2]] = potential.projection[e]
    weights, bias = layers[0]
    layers[0] = (np.pad(weights, ((0, n - len(weights)), (0, 0))), bias)
    sizes = [n, *(w.shape[1] for w, _ in layers)]
    file.write(f"NET {len(layers)} {' '.join(map(str, sizes))}\n")
    names = ["linear PCA", *[potential.activation] * (len(layers) - 1), "linear"]
    for k, (weights, bias) in enumerate([(square, np.zeros(n)), *layers]):
        file.write(f"LAYER {k} {names[k]}\n")
        for neuron in range(weights.shape[1]):
            file.write(f"w{neuron} {_join(weights[:, neuron])}\n")
            file.write(f"b{neuron} {float(bias[neuron])!r}\n")


def _merged(potential: Potential, e: int) -> _Layers:
    """All members of one element side by side in one network."""
    members, depth = potential.n_members, len(potential.weights)
    layers: _Layers = []
    for k in range(depth):
        w, b = potential.weights[k][e], potential.biases[k][e]
        if k == depth - 1:
            bias = b.mean(axis=0) + potential.reference_energies[e]
            layers.append((np.concatenate(list(w)) / members, bias))
        elif k == 0:
            layers.append((np.concatenate(list(w), axis=1), b.ravel()))
        else:
            block = np.zeros((members * w.shape[1], members * w.shape[2]))
            for m in range(members):
                rows = slice(m * w.shape[1], (m + 1) * w.shape[1])
                block[rows, m * w.shape[2] : (m + 1) * w.shape[2]] = w[m]
            layers.append((block, b.ravel()))
    return layers


def _join(values: NDArray[np.float64]) -> str:
    return " ".join(repr(float(value)) for value in values)
