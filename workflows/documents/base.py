"""What all output documents have in common: a version, blobs, and words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from monty.json import MontyDecoder, MSONable
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator


class DocumentVersionError(RuntimeError):
    """A document was written by another version of the program, which laid it out otherwise."""

    @classmethod
    def earlier(cls, name: str) -> DocumentVersionError:
        """
        Make the error for a document that is older than the versions.

        Parameters
        ----------
        name : str
            Of its class.
        """
        return cls(
            f"a {name} was found that was written by an earlier version of devitrify: read it with "
            "the devitrify that wrote it, or run the campaign anew"
        )


def _as_dict(value: MSONable | None) -> dict[str, Any] | None:
    return None if value is None else value.as_dict()


#: pydantic spells out dataclasses as nested lists unless told how to serialise them.
Blob = PlainSerializer(_as_dict, return_type=dict[str, Any] | None)


class Document(BaseModel):
    """
    Base of all output documents; knows MSONable fields.

    A class whose fields change their names or meanings raises its ``VERSION``: every document
    stores the version it was written with, and one of another version is refused.
    """

    VERSION: ClassVar[int] = 1

    model_config = ConfigDict(arbitrary_types_allowed=True)

    version: int = Field(1, description="of the layout of this document")

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """
        Make it of a stored document; Monty calls this.

        Parameters
        ----------
        stored : dict
            Without the names of class and module.

        Raises
        ------
        DocumentVersionError
            If another version of the program has written it. Only a new document gets its version
            here: a stored one that has none is older than the versions.
        """
        cls.require_version(stored)
        return cls(**MontyDecoder().process_decoded(stored))

    @classmethod
    def require_version(cls, stored: Mapping[str, Any]) -> None:
        """
        Refuse a stored document of another version; for those who read its fields themselves.

        Parameters
        ----------
        stored : mapping
            Its fields, or only its ``version``.

        Raises
        ------
        DocumentVersionError
            If another version of the program has written it, or one older than the versions.
        """
        found = stored.get("version")
        if found is None:
            raise DocumentVersionError.earlier(cls.__name__)
        if found != cls.VERSION:
            raise DocumentVersionError(
                f"a {cls.__name__} of version {found} was found and this is version "
                f"{cls.VERSION}: read it with the devitrify that wrote it, or run the campaign anew"
            )

    @model_validator(mode="before")
    @classmethod
    def _of_this_version(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        made = {"version": cls.VERSION, **values}
        cls.require_version(made)
        return made


class StageDocument(Document):
    """Base of the documents that sum up a stage, of which reports tell."""

    warning: str | None = Field(None, description="what to know before the result is trusted")

    def summary(self) -> dict[str, Any]:
        """Sum up in a few numbers, as JSON types; the end of a name is its unit."""
        return {}
