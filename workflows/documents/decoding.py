"""Make objects of output documents; only of the classes that jobs store, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monty.json import MontyDecoder

from nnp.storage.documents import UnknownClassError, require_known
from search.state.fitness import known_fitnesses
from workflows.documents.base import Document, DocumentVersionError

#: Beginnings of the names of our own modules.
PACKAGES = ("nnp.", "search.", "workflows.")
#: What documents are made of, by module: besides the documents themselves, and the fitnesses.
PARTS = {
    "datetime": ("datetime",),
    "nnp.calibration": ("Calibration",),
    "nnp.descriptors": ("SymmetryFunctions",),
    "nnp.frames": ("Frames",),
    "nnp.kernels.repulsion": ("Repulsion",),
    "nnp.potential": ("Potential",),
    "nnp.training.options": ("TrainingOptions",),
    "nnp.training.result": ("TrainingResult", "TrainingStep"),
    "numpy": ("array",),
    "pymatgen.core.composition": ("Composition",),
    "pymatgen.core.lattice": ("Lattice",),
    "pymatgen.core.periodic_table": ("DummySpecies", "Element", "Species"),
    "pymatgen.core.sites": ("PeriodicSite",),
    "pymatgen.core.structure": ("Structure",),
    "search.composition_space": ("CompositionSpace",),
    "search.options": ("EvolutionOptions", "NicheOptions"),
    "search.relax.fire": ("FireOptions",),
    "search.relax.limits": ("RelaxationLimits",),
    "search.relax.relaxer": ("Relaxer",),
    "search.relax.trust": ("Trust",),
    "search.state.changes": ("StateChanges",),
    "search.state.evolution": ("Evolution",),
    "workflows.composition": ("Target",),
    "workflows.documents.plane_waves": ("PlaneWaves",),
    "workflows.system": ("SystemTarget",),
    "workflows.engines.vasp.vasprun": ("Steps",),
}


def decode(document: Any) -> Any:
    """
    Make the objects that a document of the job store describes.

    Parameters
    ----------
    document : object
        As the store gives it.

    Raises
    ------
    DocumentVersionError
        If another version of the program has written it.
    UnknownClassError
        If it names a class that no job stores; nothing is imported then.
    """
    require_stored(document)
    return MontyDecoder().process_decoded(document)


def require_stored(document: Any) -> None:
    """
    Refuse a document that names a class which no job stores.

    Parameters
    ----------
    document : object
        Dictionaries, lists and plain values.

    Raises
    ------
    DocumentVersionError
        If the class is one that jobs store, but has been in another module.
    UnknownClassError
        With the name of the class.
    """
    stored = _stored()
    try:
        require_known(document, stored)
    except UnknownClassError as error:
        if _has_moved(error, stored):
            raise DocumentVersionError.earlier(error.name) from None
        raise


def _has_moved(error: UnknownClassError, stored: set[tuple[str, str]]) -> bool:
    """Whether a class of ours, by its name, is named with a module where it is not any more."""
    return (
        isinstance(error.module, str)
        and error.module.startswith(PACKAGES)
        and (error.module, error.name) not in stored
        and any(error.name == name for module, name in stored if module.startswith(PACKAGES))
    )


def _stored() -> set[tuple[str, str]]:
    """Modules and names of the classes of documents and of what is in them."""
    from workflows.documents import schemas  # loads them, too

    return {
        *((schemas.__name__, name) for name in schemas.__all__),
        *((kind.__module__, kind.__name__) for kind in _with_derived(Document)),
        *known_fitnesses(),
        *((module, name) for module, names in PARTS.items() for name in names),
    }


def _with_derived(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for derived in kind.__subclasses__():  # those of other packages too, once they are loaded
        yield from _with_derived(derived)
