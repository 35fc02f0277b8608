"""
The text format of SIMPLE-NN and of LAMMPS ``pair_style nn``.

Peers' potentials run here and ours run in LAMMPS. For each element the file lists its symmetry
functions, their scaling (G - scale1) / scale2, and the layers of its network, of which the first
may be linear (the principal components). Energies are in eV, distances in Å.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.potential import ACTIVATIONS, Potential, PotentialFileError, damaged
from nnp.storage.files import open_text_atomically


class _Function(NamedTuple):
    """One symmetry function; `middle` is Rs or zeta, `last` lambda, as the columns of the file."""

    kind: int
    first: str
    second: str
    eta: float
    middle: float
    last: float


class _UnsupportedError(ValueError):
    """The file is whole, but says something that this package cannot do."""


@dataclass
class _Layer:
    """One layer; `weights` has a row for each neuron."""

    kind: str
    weights: list[list[float]] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)


@dataclass
class _Element:
    """What the file says about one element; `cutoff` is that of the line POT."""

    cutoff: float = 0.0
    functions: list[_Function] = field(default_factory=list)
    cutoffs: dict[int, set[float]] = field(default_factory=dict)
    shift: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    layers: list[_Layer] = field(default_factory=list)


def is_simple_nn(raw: bytes) -> bool:
    """Whether a file starts like a potential of this format."""
    return raw.lstrip().startswith(b"ELEM_LIST")


def read_simple_nn(path: str | Path) -> Potential:
    """
    Read a potential.

    Elements may have different symmetry functions and layer widths; what one lacks gets zero
    weight. Radial functions must share one cutoff, angular ones too.

    Parameters
    ----------
    path : str or Path
        File, usually named ``potential_saved``.

    Returns
    -------
    Potential
        With the functions of all elements.

    Raises
    ------
    OSError
        If it is not there.
    PotentialFileError
        If it is cut or does not fit together, or says what this package cannot do.
    """
    try:
        order, found = _parse(Path(path).read_text(encoding="utf-8"))
        for symbol in order:
            _check(symbol, found[symbol], order)
        return _assemble(Path(path).name, order, found)
    except _UnsupportedError as error:
        raise PotentialFileError(f"{path} cannot be used here: {error}.") from error
    except ValueError as error:
        raise damaged(path, str(error)) from error


def _assemble(name: str, order: tuple[str, ...], found: dict[str, _Element]) -> Potential:
    """Potential with the functions of all elements, from elements that are complete."""
    functions = _union(order, found)
    position = {function: k for k, function in enumerate(_functions_of(functions))}
    n, size = len(order), functions.n_functions
    shift, scale = np.zeros((n, size)), np.ones((n, size))
    projections, stacks, kinds = [], [], set()
    for e, symbol in enumerate(order):
        element = found[symbol]
        columns = [position[_sorted_pair(function, order)] for function in element.functions]
        if len(set(columns)) < len(columns):
            raise _UnsupportedError(f"{symbol} has the same symmetry function twice")
        shift[e, columns], scale[e, columns] = element.shift, element.scale
        linear, layers, activation = _split_layers(symbol, element)
        projection = np.zeros((size, linear.shape[1]))
        projection[columns] = linear
        projections.append(projection)
        stacks.append(layers)
        kinds.add(activation)
    if len(kinds) != 1 or len({len(layers) for layers in stacks}) != 1:
        raise _UnsupportedError("it mixes activations or depths between elements")
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
        record={"source": name, "format": "SIMPLE-NN"},
    )


def _parse(text: str) -> tuple[tuple[str, ...], dict[str, _Element]]:
    """Elements in the order of the file, and what it says about each."""
    order: tuple[str, ...] = ()
    found: dict[str, _Element] = {}
    numbered = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not numbered or numbered[0][1][0] != "ELEM_LIST":
        raise ValueError("it has no ELEM_LIST, so it is no SIMPLE-NN potential")
    if not text.endswith("\n"):
        raise ValueError("it has been cut: its last line has no end")
    element, functions_left = _Element(), 0
    for number, words in numbered:
        try:
            if words[0] == "ELEM_LIST":
                order = tuple(words[1:])
            elif words[0] == "POT":
                if words[1] in found or words[1] not in order:
                    raise ValueError(f"{words[1]} is there twice, or not in ELEM_LIST")
                element = found[words[1]] = _Element(cutoff=float(words[2]))
            elif not found:
                raise ValueError("expected POT")
            elif functions_left:
                _add_function(element, words)
                functions_left -= 1
            elif words[0] == "SYM":
                functions_left = int(words[1])
            else:
                _add_network(element, words)
        except _UnsupportedError:
            raise
        except IndexError as error:
            raise ValueError(f"line {number} is incomplete or out of place") from error
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    missing = [symbol for symbol in order if symbol not in found]
    if missing or not order:
        raise ValueError(f"it lists {', '.join(missing) or 'nothing'} but has no network for it")
    return order, found


def _add_function(element: _Element, words: list[str]) -> None:
    """Line of one symmetry function."""
    kind, (cutoff, eta, middle, last) = int(words[0]), map(float, words[1:5])
    if kind not in (2, 4):
        raise _UnsupportedError(f"symmetry functions of type {kind}; only 2 and 4 are known")
    element.cutoffs.setdefault(kind, set()).add(cutoff)
    if kind == 2:
        element.functions.append(_Function(2, words[5], "", eta, middle, 0.0))
    else:
        element.functions.append(_Function(4, words[5], words[6], eta, middle, last))


def _add_network(element: _Element, words: list[str]) -> None:
    """Line of scaling or network."""
    key = words[0]
    if key == "scale1":
        element.shift = [float(word) for word in words[1:]]
    elif key == "scale2":
        element.scale = [float(word) for word in words[1:]]
    elif key == "NET":
        element.sizes = [int(word) for word in words[2:]]
        if len(element.sizes) != int(words[1]) + 1:
            raise ValueError(f"{words[1]} layers, but {len(element.sizes)} widths")
    elif key == "LAYER":
        if int(words[1]) != len(element.layers):
            raise ValueError(f"layer {words[1]} where {len(element.layers)} is expected")
        element.layers.append(_Layer(words[2].lower()))
    elif key[0] in "wb" and key[1:].isdigit():
        layer, numbers = element.layers[-1], [float(word) for word in words[1:]]
        if int(key[1:]) != len(layer.weights if key[0] == "w" else layer.biases):
            raise ValueError(f"{key} is out of order")
        if key[0] == "w":
            layer.weights.append(numbers)
        elif len(numbers) == 1:
            layer.biases += numbers
        else:
            raise ValueError(f"{key} has {len(numbers)} numbers")
    else:
        raise ValueError(f"there is no keyword {key}")


def _check(symbol: str, element: _Element, order: tuple[str, ...]) -> None:
    """Refuse an element whose parts are missing or do not fit together."""
    n = len(element.functions)
    if not n:
        raise ValueError(f"{symbol} has no symmetry functions")
    reach = max(max(values) for values in element.cutoffs.values())
    if not element.cutoff >= reach:
        raise ValueError(
            f"POT of {symbol} has a cutoff of {element.cutoff:g}, its functions {reach:g}"
        )
    unknown = {name for f in element.functions for name in (f.first, f.second or f.first)}
    if unknown - set(order):
        raise ValueError(f"{symbol} has symmetry functions of {', '.join(unknown - set(order))}")
    for name, values in (("scale1", element.shift), ("scale2", element.scale)):
        if len(values) != n:
            raise ValueError(f"{name} of {symbol} has {len(values)} numbers, expected {n}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of {symbol} has numbers that are not finite")
    if min(element.scale) <= 0.0:
        raise ValueError(f"scale2 of {symbol} has a zero or a negative number")
    widths = [n]
    for k, layer in enumerate(element.layers):
        if len(layer.weights) != len(layer.biases) or not layer.weights:
            raise ValueError(f"layer {k} of {symbol} is incomplete")
        if {len(row) for row in layer.weights} != {widths[-1]}:
            raise ValueError(f"the weights in layer {k} of {symbol} are not {widths[-1]} each")
        widths.append(len(layer.weights))
    # The principal components come before what NET counts.
    components = len(element.layers) - len(element.sizes) + 1
    if components not in (0, 1) or element.sizes[1:] != widths[1 + components :]:
        raise ValueError(f"the layers of {symbol} are not those that NET announces")
    if element.sizes[0] != n or element.sizes[-1] != 1:
        raise ValueError(f"NET of {symbol} must lead from {n} symmetry functions to one energy")


def _union(order: tuple[str, ...], found: dict[str, _Element]) -> SymmetryFunctions:
    """All radial and angular functions that occur anywhere, in order of appearance."""
    cutoffs: dict[int, float] = {}
    for kind, name in ((2, "radial"), (4, "angular")):
        values = set().union(*(found[symbol].cutoffs.get(kind, set()) for symbol in order))
        if len(values) > 1:
            raise _UnsupportedError(f"{name} functions with several cutoffs: {sorted(values)}")
        cutoffs[kind] = values.pop() if values else 0.0
    every = [function for symbol in order for function in found[symbol].functions]
    return SymmetryFunctions(
        elements=order,
        radial=tuple(dict.fromkeys((f.eta, f.middle) for f in every if f.kind == 2)),
        angular=tuple(dict.fromkeys((f.eta, f.middle, f.last) for f in every if f.kind == 4)),
        radial_cutoff=cutoffs[2],
        angular_cutoff=cutoffs[4] or cutoffs[2],
    )


def _functions_of(functions: SymmetryFunctions) -> Iterator[_Function]:
    """Every function of a set, in its order."""
    for element in functions.elements:
        for eta, shift in functions.radial:
            yield _Function(2, element, "", eta, shift, 0.0)
    for first, second in functions.pairs:
        for eta, zeta, sign in functions.angular:
            yield _Function(4, first, second, eta, zeta, sign)


def _sorted_pair(function: _Function, order: tuple[str, ...]) -> _Function:
    """Same function with its two neighbours in the order of the elements."""
    if function.kind == 4 and order.index(function.first) > order.index(function.second):
        return function._replace(first=function.second, second=function.first)
    return function


_Layers = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _split_layers(symbol: str, element: _Element) -> tuple[NDArray[np.float64], _Layers, str]:
    """Leading linear part (n_functions, n_inputs), the rest as (n_in, n_out), activation."""
    layers = [
        (layer.kind, np.array(layer.weights).T, np.array(layer.biases)) for layer in element.layers
    ]
    linear = np.eye(len(element.functions))
    offset = np.zeros(len(element.functions))
    while len(layers) > 1 and layers[0][0] == "linear":
        _, weights, bias = layers.pop(0)
        linear, offset = linear @ weights, offset @ weights + bias
    kinds = {name for name, *_ in layers[:-1]}
    if len(kinds) != 1 or not kinds <= set(ACTIVATIONS) or layers[-1][0] != "linear":
        raise _UnsupportedError(
            f"the layers of {symbol} are {', '.join(layer.kind for layer in element.layers)}; tanh "
            "or sigmoid between linear first and last layers are known"
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
    """
    Write a potential for LAMMPS.

    An ensemble becomes one wide network that gives the mean. The repulsive core has no place in
    the format; it is never felt within the trained distances.

    Parameters
    ----------
    potential : Potential
        With any number of members.
    path : str or Path
        File to write.
    """
    functions = potential.functions
    with open_text_atomically(Path(path)) as file:
        file.write(f"ELEM_LIST {' '.join(functions.elements)}\n\n")
        for e, symbol in enumerate(functions.elements):
            file.write(f"POT {symbol} {functions.radial_cutoff!r}\nSYM {functions.n_functions}\n")
            for kind, first, second, eta, middle, last in _functions_of(functions):
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
