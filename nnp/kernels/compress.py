"""
Keep those of eight neighbouring numbers that satisfy a condition, without a branch.

Which triplets are within the cutoff is as hard to predict as a coin: a branch for each costs more
than all that is computed of it. Processors with AVX-512 have an instruction for this, which no loop
in Python compiles to; LLVM has an operation for it everywhere else too. Each function below is
plain Python, with a compiled twin.
"""

# numba calls what is registered with it with argument lists of its own.
# ruff: noqa: ARG001, ARG005

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

#: Numbers taken together.
CHUNK = 8
_intrinsic: Any = intrinsic
_BYTE = ir.IntType(CHUNK)
_FLAGS = ir.VectorType(ir.IntType(1), CHUNK)


def lanes_below(values: NDArray, first: Any, limit: Any) -> Any:
    """Give one bit for each of eight numbers from ``first``: whether it is below the limit."""
    return np.uint64(sum(1 << i for i in range(CHUNK) if values[int(first) + i] < limit))


def compress_values(
    values: NDArray, first: Any, lanes: Any, target: NDArray, position: Any
) -> None:
    """Write the numbers whose bit is set one after the other; what follows is undefined."""
    kept = [i for i in range(CHUNK) if int(lanes) >> i & 1]
    for n, i in enumerate(kept):
        target[int(position) + n] = values[int(first) + i]


def compress_indices(first: Any, lanes: Any, target: NDArray, position: Any) -> None:
    """Write the indices, counted from ``first``, whose bit is set."""
    kept = [i for i in range(CHUNK) if int(lanes) >> i & 1]
    for n, i in enumerate(kept):
        target[int(position) + n] = int(first) + i


def count_lanes(lanes: Any) -> Any:
    """How many bits are set."""
    return np.uint64(int(lanes).bit_count())


def _pointer(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """Address of eight numbers of an array, and their type."""
    data = make_array(array)(context, builder, value).data
    vector = ir.VectorType(context.get_data_type(array.dtype), CHUNK)
    address = builder.gep(data, [index])
    return builder.bitcast(address, vector.as_pointer()), vector


def _compressed(builder: Any, value: Any, vector: Any, lanes: Any) -> Any:
    """LLVM's operation."""
    flags = builder.bitcast(builder.trunc(lanes, _BYTE), _FLAGS)
    kind = {"double": "f64", "float": "f32", "i32": "i32"}[str(vector.element)]
    name = f"llvm.experimental.vector.compress.v{CHUNK}{kind}"
    signature = ir.FunctionType(vector, [vector, _FLAGS, vector])
    operation = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(operation, [value, flags, ir.Constant(vector, ir.Undefined)])


@_intrinsic
def _lanes_below(typing: Any, values: Any, first: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, vector = _pointer(context, builder, signature.args[0], args[0], args[1])
        numbers = builder.load(address, align=vector.element.get_abi_size(context.target_data))
        limits = ir.Constant(vector, ir.Undefined)
        for i in range(CHUNK):
            limits = builder.insert_element(limits, args[2], ir.IntType(32)(i))
        flags = builder.fcmp_ordered("<", numbers, limits)
        return builder.zext(builder.bitcast(flags, _BYTE), ir.IntType(64))

    return types.uint64(values, types.uint64, values.dtype), generate


@_intrinsic
def _compress_values(
    typing: Any, values: Any, first: Any, lanes: Any, target: Any, position: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, vector = _pointer(context, builder, signature.args[0], args[0], args[1])
        align = vector.element.get_abi_size(context.target_data)
        kept = _compressed(builder, builder.load(address, align=align), vector, args[2])
        address, _ = _pointer(context, builder, signature.args[3], args[3], args[4])
        builder.store(kept, address, align=align)
        return context.get_dummy_value()

    return types.none(values, types.uint64, types.uint64, target, types.uint64), generate


@_intrinsic
def _compress_indices(typing: Any, first: Any, lanes: Any, target: Any, position: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, vector = _pointer(context, builder, signature.args[2], args[2], args[3])
        start = builder.trunc(args[0], vector.element)
        numbers = ir.Constant(vector, ir.Undefined)
        for i in range(CHUNK):
            numbers = builder.insert_element(numbers, start, ir.IntType(32)(i))
        numbers = builder.add(numbers, ir.Constant(vector, list(range(CHUNK))))
        builder.store(_compressed(builder, numbers, vector, args[1]), address, align=4)
        return context.get_dummy_value()

    return types.none(types.uint64, types.uint64, target, types.uint64), generate


@_intrinsic
def _count_lanes(typing: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


# The twins' arguments must have the same names, without annotations.
overload(lanes_below)(
    lambda values, first, limit: lambda values, first, limit: _lanes_below(values, first, limit)
)
overload(compress_values)(
    lambda values, first, lanes, target, position: (
        lambda values, first, lanes, target, position: _compress_values(
            values, first, lanes, target, position
        )
    )
)
overload(compress_indices)(
    lambda first, lanes, target, position: (
        lambda first, lanes, target, position: _compress_indices(first, lanes, target, position)
    )
)
overload(count_lanes)(lambda lanes: lambda lanes: _count_lanes(lanes))
