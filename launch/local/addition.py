"""A further workflow of a campaign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobflow import Flow

#: Finds the workflow of a campaign itself, whatever was added to it.
OWN_WORKFLOW = {"metadata.addition": {"$exists": False}}


@dataclass(frozen=True)
class Addition:
    """
    A workflow that is added to a campaign which has one.

    Attributes
    ----------
    key : str
        Tells it from others; what is there already is resumed.
    build : callable
        Makes its flow.
    """

    key: str
    build: Callable[[], Flow]
