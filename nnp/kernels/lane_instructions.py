"""
Compiled twins of :mod:`nnp.kernels.lanes`, written in the vectors of LLVM.

A register holds sixteen numbers: four of each of four vectors.
"""

# numba calls these with argument lists of its own.
# ruff: noqa: ARG001

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

#: Vectors taken together, and numbers of each that lie side by side.
LANES = 4
#: Components xx, yy, zz, yz, xz, xy.
TENSOR = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_intrinsic: Any = intrinsic
_FLOAT, _INDEX, _INT = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_FOUR = ir.VectorType(_FLOAT, LANES)
_SIXTEEN = ir.VectorType(_FLOAT, LANES * LANES)
_FAST = ("fast",)


def _shuffled(builder: Any, value: Any, picks: list[int]) -> Any:
    """Numbers of a vector in another order."""
    mask = ir.Constant(ir.VectorType(_INT, len(picks)), picks)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)


def _four_times(builder: Any, value: Any) -> Any:
    """All four numbers, four times over."""
    return _shuffled(builder, value, [k for _ in range(LANES) for k in range(LANES)])


def _each_four_times(builder: Any, value: Any) -> Any:
    """Each of four numbers four times."""
    return _shuffled(builder, value, [k for k in range(LANES) for _ in range(LANES)])


def _sums_of_four(builder: Any, value: Any) -> Any:
    """Sums of the four numbers of each vector."""
    parts = [_shuffled(builder, value, [LANES * k + m for k in range(LANES)]) for m in range(LANES)]
    pairs = builder.fadd(parts[0], parts[1], _FAST), builder.fadd(parts[2], parts[3], _FAST)
    return builder.fadd(*pairs, _FAST)


class _Memory:
    """Loads and stores of vectors in the arrays of a call."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder, self.signature, self.args = context, builder, signature, args

    def address(self, array: int, index: Any, vector: Any) -> Any:
        """Where a vector is in the array with this number among the arguments."""
        kind, value = self.signature.args[array], self.args[array]
        data = make_array(kind)(self.context, self.builder, value).data
        return self.builder.bitcast(self.builder.gep(data, [index]), vector.as_pointer())

    def load(self, array: int, index: Any, vector: Any) -> Any:
        """Read a vector."""
        return self.builder.load(self.address(array, index, vector), align=4)

    def store(self, value: Any, array: int, index: Any) -> None:
        """Write a vector."""
        self.builder.store(value, self.address(array, index, value.type), align=4)


def _shift(builder: Any, index: Any, by: int, times: Any = None) -> Any:
    """``index + by * times``."""
    step = _INDEX(by) if times is None else builder.mul(_INDEX(by), times)
    return builder.add(index, step)


def _repeated(builder: Any, number: Any) -> Any:
    """Give one number four times."""
    one = builder.insert_element(ir.Constant(_FOUR, ir.Undefined), number, _INT(0))
    return _shuffled(builder, one, [0] * LANES)


def _dot_sums(memory: _Memory, args: Any, count: int) -> list[Any]:
    """Inner products of some rows with the vectors; arguments begin as those of :func:`pull`."""
    builder, (_, start, width) = memory.builder, args[:3]
    zero = ir.Constant(_SIXTEEN, [0.0] * (LANES * LANES))
    sums = [cgutils.alloca_once(builder, _SIXTEEN) for _ in range(count)]
    for total in sums:
        builder.store(zero, total)
    with cgutils.for_range(builder, builder.lshr(width, _INDEX(2))) as loop:
        vectors = memory.load(3, builder.mul(loop.index, _INDEX(16)), _SIXTEEN)
        here = _shift(builder, start, LANES, loop.index)
        for r, total in enumerate(sums):
            row = memory.load(0, _shift(builder, here, r, width), _FOUR)
            product = builder.fmul(_four_times(builder, row), vectors, _FAST)
            builder.store(builder.fadd(builder.load(total), product, _FAST), total)
    return [_sums_of_four(builder, builder.load(total)) for total in sums]


def _add_scaled(memory: _Memory, args: Any, factors: list[Any], lanes: int) -> None:
    """Add some rows, times four factors each, to the vectors in the argument ``lanes``."""
    builder, (_, start, width) = memory.builder, args[:3]
    scales = [_each_four_times(builder, factor) for factor in factors]
    with cgutils.for_range(builder, builder.lshr(width, _INDEX(2))) as loop:
        place = builder.mul(loop.index, _INDEX(16))
        total = memory.load(lanes, place, _SIXTEEN)
        here = _shift(builder, start, LANES, loop.index)
        for r, scale in enumerate(scales):
            row = memory.load(0, _shift(builder, here, r, width), _FOUR)
            product = builder.fmul(_four_times(builder, row), scale, _FAST)
            total = builder.fadd(total, product, _FAST)
        memory.store(total, lanes, place)


@_intrinsic
def pull(
    typing: Any,
    rows: Any,
    first: Any,
    n: Any,
    lanes: Any,
    vectors: Any,
    v: Any,
    out: Any,
    position: Any,
) -> Any:
    """Compiled twin of :func:`pull`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        found = _dot_sums(memory, args, 1)[0]
        for c in range(3):
            x = memory.load(4, _shift(builder, args[5], c), _FLOAT)
            product = builder.fmul(_repeated(builder, x), found, _FAST)
            memory.store(product, 6, _shift(builder, args[7], LANES * c))
        return context.get_dummy_value()

    u = types.uint64
    return types.none(rows, u, u, lanes, vectors, u, out, u), generate


@_intrinsic
def push(
    typing: Any,
    rows: Any,
    n: Any,
    vectors: Any,
    begin: Any,
    end: Any,
    steps: Any,
    position: Any,
    lanes: Any,
    place: Any,
) -> Any:
    """Compiled twin of :func:`push`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        _, width, _, start, stop, _, o, _, target = args
        sums = cgutils.alloca_once(builder, _SIXTEEN)
        with cgutils.for_range(builder, builder.lshr(width, _INDEX(2))) as group:
            builder.store(ir.Constant(_SIXTEEN, [0.0] * (LANES * LANES)), sums)
            column = builder.mul(group.index, _INDEX(LANES))
            with cgutils.for_range(builder, builder.sub(stop, start)) as loop:
                p = builder.add(start, loop.index)
                v = builder.mul(p, _INDEX(3))
                here = builder.add(o, builder.mul(loop.index, _INDEX(12)))
                along = ir.Constant(_FOUR, [0.0] * LANES)
                for c in range(3):
                    x = _repeated(builder, memory.load(2, _shift(builder, v, c), _FLOAT))
                    step = memory.load(5, _shift(builder, here, LANES * c), _FOUR)
                    along = builder.fadd(along, builder.fmul(x, step, _FAST), _FAST)
                row = memory.load(0, builder.add(column, builder.mul(p, width)), _FOUR)
                product = builder.fmul(
                    _four_times(builder, row), _each_four_times(builder, along), _FAST
                )
                builder.store(builder.fadd(builder.load(sums), product, _FAST), sums)
            place_of_group = builder.mul(group.index, _INDEX(16))
            memory.store(builder.load(sums), 7, builder.add(target, place_of_group))
        return context.get_dummy_value()

    u, i = types.uint64, types.int64
    return types.none(rows, u, vectors, i, i, steps, u, lanes, u), generate


@_intrinsic
def three_dots(
    typing: Any, rows: Any, first: Any, n: Any, lanes: Any, out: Any, position: Any
) -> Any:
    """Compiled twin of :func:`add_three_dots`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        for r, found in enumerate(_dot_sums(memory, args, 3)):
            place = _shift(builder, args[5], LANES * r)
            before = memory.load(4, place, _FOUR)
            memory.store(builder.fadd(before, found, _FAST), 4, place)
        return context.get_dummy_value()

    u = types.uint64
    return types.none(rows, u, u, lanes, out, u), generate


@_intrinsic
def three_rows(
    typing: Any, rows: Any, first: Any, n: Any, factors: Any, position: Any, lanes: Any
) -> Any:
    """Compiled twin of :func:`add_three_rows`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        places = [_shift(builder, args[4], LANES * r) for r in range(3)]
        _add_scaled(memory, args, [memory.load(3, place, _FOUR) for place in places], 5)
        return context.get_dummy_value()

    u = types.uint64
    return types.none(rows, u, u, factors, u, lanes), generate


@_intrinsic
def move(typing: Any, source: Any, i: Any, target: Any, o: Any) -> Any:
    """Compiled twin of :func:`move`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        memory.store(memory.load(0, args[1], _FOUR), 2, args[3])
        return context.get_dummy_value()

    u = types.uint64
    return types.none(source, u, target, u), generate


@_intrinsic
def spread(
    typing: Any,
    pairs: Any,
    vectors: Any,
    atoms: Any,
    begin: Any,
    end: Any,
    rows: Any,
    shift: Any,
    forces: Any,
    sums: Any,
) -> Any:
    """Compiled twin of :func:`spread`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _Memory(context, builder, signature, args)
        _, _, _, start, stop, _, first, _, _ = args
        zero = ir.Constant(_FOUR, [0.0] * LANES)
        totals = [cgutils.alloca_once(builder, _FOUR) for _ in range(9)]
        for total in totals:
            builder.store(zero, total)

        def add(value: Any, total: Any) -> None:
            builder.store(builder.fadd(builder.load(total), value, _FAST), total)

        with cgutils.for_range(builder, builder.sub(stop, start)) as loop:
            p = builder.add(start, loop.index)
            atom = builder.sext(memory.load(2, p, _INT), _INDEX)
            row = memory.load(5, builder.add(first, atom), _INDEX)
            here, place = builder.mul(loop.index, _INDEX(12)), builder.mul(row, _INDEX(12))
            found = []
            for c in range(3):
                found.append(memory.load(0, _shift(builder, here, LANES * c), _FOUR))
                o = _shift(builder, place, LANES * c)
                memory.store(builder.fsub(memory.load(7, o, _FOUR), found[c], _FAST), 7, o)
                add(found[c], totals[c])
            v = builder.mul(p, _INDEX(3))
            vector = [
                _repeated(builder, memory.load(1, _shift(builder, v, c), _FLOAT)) for c in range(3)
            ]
            for m, (c, d) in enumerate(TENSOR):
                add(builder.fmul(vector[c], found[d], _FAST), totals[3 + m])
        for m, total in enumerate(totals):
            memory.store(builder.load(total), 8, _INDEX(LANES * m))
        return context.get_dummy_value()

    i = types.int64
    return types.none(pairs, vectors, atoms, i, i, rows, i, forces, sums), generate
