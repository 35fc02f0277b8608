"""Versions of documents, and what they say for people."""

from __future__ import annotations

from typing import ClassVar

import pytest
from monty.json import MontyDecoder, jsanitize

from nnp.storage.documents import UnknownClassError
from tests.workflows.samples import copper
from workflows.documents.base import DocumentVersionError, StageDocument
from workflows.documents.decoding import decode
from workflows.documents.dynamics import VolumeDocument
from workflows.documents.relaxation import RelaxDocument


class NewerDocument(StageDocument):
    """A document whose layout has changed."""

    VERSION: ClassVar[int] = 2


def volume() -> VolumeDocument:
    """A volume that is not quite settled."""
    return VolumeDocument(
        volume=12.0, pressure=3.0, pressure_error=1.0, structure=copper(1), points=[], segments=[],
        warning="the pressure stayed at 3 kbar",
    )  # fmt: skip


def test_documents_store_their_version() -> None:
    stored = jsanitize(volume(), strict=True)
    assert stored["version"] == 1
    assert MontyDecoder().process_decoded(stored).volume == 12.0
    assert NewerDocument().version == 2
    assert jsanitize(NewerDocument(), strict=True)["version"] == 2


def test_another_version_is_refused_with_a_sentence() -> None:
    stored = {**jsanitize(volume(), strict=True), "version": 7}
    with pytest.raises(DocumentVersionError, match=r"VolumeDocument of version 7.*anew"):
        MontyDecoder().process_decoded(stored)
    with pytest.raises(DocumentVersionError, match="of version 1"):
        NewerDocument(version=1)


def test_a_document_without_a_version_is_of_an_earlier_one() -> None:
    stored = jsanitize(volume(), strict=True)
    del stored["version"]
    with pytest.raises(DocumentVersionError, match=r"VolumeDocument.*an earlier version.*anew"):
        decode(stored)


def test_a_document_is_read_by_the_module_that_campaigns_of_this_version_name() -> None:
    stored = jsanitize(volume(), strict=True)
    assert stored["@module"] == "workflows.documents.dynamics"
    found = decode({**stored, "@module": "workflows.documents.schemas"})
    assert isinstance(found, VolumeDocument)
    assert found.volume == 12.0


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_document_of_a_module_that_was_is_of_an_earlier_version(wrapped: bool) -> None:
    stored = {**jsanitize(volume(), strict=True), "@module": "workflows.schemas"}
    with pytest.raises(DocumentVersionError, match=r"VolumeDocument.*an earlier version.*anew"):
        decode([stored] if wrapped else stored)


def test_a_class_that_never_was_in_a_document_is_of_no_version() -> None:
    for named in (
        {"@module": "workflows.schemas", "@class": "Popen"},
        {"@module": "subprocess", "@class": "VolumeDocument"},
        {"@module": ["workflows.schemas"], "@class": ["VolumeDocument"]},
        {"@module": "workflows.documents.schemas", "@callable": "VolumeDocument"},
    ):
        with pytest.raises(UnknownClassError, match="which no job stores"):
            decode(named)


def test_documents_of_stages_sum_up_and_warn() -> None:
    assert volume().summary() == {"liquid_volume_A3_atom": 12.0, "liquid_pressure_kbar": [3.0, 1.0]}
    assert volume().warning
    assert NewerDocument().summary() == {}
    assert not isinstance(RelaxDocument(structure=copper(1), engine="emt"), StageDocument)
