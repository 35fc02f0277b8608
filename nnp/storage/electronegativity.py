"""Keep to ourselves that some elements have no electronegativity."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_warnings_of_noble_gases() -> Iterator[None]:
    """Let pymatgen sort by electronegativity without warning of elements that have none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No Pauling electronegativity")
        yield
