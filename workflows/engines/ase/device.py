"""Where torch computes."""

from __future__ import annotations

import torch

#: Lets torch choose.
AUTO = "auto"


def choose_device(name: str = AUTO) -> str:
    """
    Choose the device of a model.

    Parameters
    ----------
    name : str
        As torch calls it; ``auto``: a GPU if torch sees one, else the processor.

    Examples
    --------
    >>> choose_device("cpu")
    'cpu'
    """
    if name != AUTO:
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
