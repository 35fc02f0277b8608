"""Tables in fixed columns."""

from __future__ import annotations

from numpy.typing import NDArray


def rows(form: str, values: NDArray) -> str:
    """
    Print a table, a line for each row.

    Parameters
    ----------
    form : str
        Format of a line with ``%``, without its end; one formatting of all lines at once is
        several times faster than one after the other.
    values : NDArray
        Shape (n, columns).
    """
    return (form + "\n") * len(values) % tuple(values.ravel())
