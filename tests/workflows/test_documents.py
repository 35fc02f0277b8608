"""Versions of documents, and what they say for people."""

from __future__ import annotations

from typing import ClassVar

import pytest
from monty.json import MontyDecoder, jsanitize

from tests.workflows.samples import copper
from workflows.documents.base import DocumentVersionError, StageDocument
from workflows.documents.schemas import RelaxDocument, VolumeDocument


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


def test_documents_of_stages_sum_up_and_warn() -> None:
    assert volume().summary() == {"liquid_volume_A3_atom": 12.0, "liquid_pressure_kbar": [3.0, 1.0]}
    assert volume().warning
    assert NewerDocument().summary() == {}
    assert not isinstance(RelaxDocument(structure=copper(1), engine="emt"), StageDocument)
