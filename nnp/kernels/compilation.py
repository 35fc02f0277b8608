"""
How every kernel of this package is compiled.

All kernels release the interpreter lock and are cached on disk. ``error_model="numpy"`` is not a
matter of taste: a division that may raise keeps a loop from being vectorised. Kernels take their
precision from the arrays they are given, so the same source runs in double and single precision.

What only other kernels call is put into them, always. Where the compiler leaves it a function of
its own, each kernel has a copy, and the process uses the copy that it met first: compiling meets
others than reading the cache does. Sums may be reordered (``fastmath``), differently in each copy,
so that the last digits would depend on whether the cache was there. It also takes a sixth to a
quarter less time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "fastmath": True,
    "error_model": "numpy",
}
_INSIDE: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "forceinline": True,
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel (a plain Python function again with ``NUMBA_DISABLE_JIT=1``)."""
    return numba.njit(**_OPTIONS)(function)


def internal(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what only other kernels call: it has no entrance from Python and is put into them."""
    return numba.njit(**_OPTIONS, **_INSIDE)(function)
