"""A stage of a prediction, as jobs and reports know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from workflows.jobs.site import Resources

#: Queue of the jobs that call the reference engine, and of all the others.
REFERENCE_QUEUE = "dft"
POTENTIAL_QUEUE = "nnp"


@dataclass(frozen=True)
class Stage:
    """
    One stage: a row of :data:`workflows.stages.table.STAGES`.

    Classes are given by their import paths, ``package.module:Class``: whoever only asks for names
    and resources must not import all that stages need.

    Attributes
    ----------
    name : str
        In the metadata of jobs, in options and in paths of settings.
    title : str
        In sentences.
    maker : str
        Import path of the Maker.
    document : str or None
        Import path of the :class:`~workflows.documents.base.StageDocument` that sums the stage
        up; none if it has none.
    queues : tuple of str
        Queues that its jobs may go to.
    resources : dict of str to Resources
        What its jobs ask of a queue, where that is not what the queue's jobs ask by default.
    can_be_last : bool
        Whether a prediction can end with it.
    is_repeatable : bool
        Whether a campaign that is corrected may do it again; what makes or labels frames may not
        be, for it is what most of the time goes to.
    position : int
        In the order in which stages run, from 0; the table counts.
    """

    name: str
    title: str
    maker: str
    document: str | None = None
    queues: tuple[str, ...] = (REFERENCE_QUEUE, POTENTIAL_QUEUE)
    resources: dict[str, Resources] = field(default_factory=dict)
    can_be_last: bool = False
    is_repeatable: bool = True
    position: int = 0

    @property
    def document_name(self) -> str | None:
        """Name of the document's class, as outputs are found by."""
        return None if self.document is None else self.document.rpartition(":")[2]

    def maker_class(self) -> type[Any]:
        """Import the class of the Maker."""
        return _load(self.maker)

    def document_class(self) -> type[Any] | None:
        """Import the class of the document; none if the stage has none."""
        return None if self.document is None else _load(self.document)


def _load(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found
