"""
Find and change a document by an index, on every server.

FireWorks takes, locks and writes by MongoDB's ``findAndModify``. For that SecantusDB 0.7 goes
through the whole collection, even where ``_id`` is given. A query, and an update, it answers by
indexes. Here one follows the other. The update asks for the same again and is atomic, so that of
several who find a document one gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection

Document = dict[str, Any]
#: What a document is known by, and never loses. To compare a long list takes SecantusDB long.
KEYS = ("fw_id", "launch_id", "nodes")


class ConditionalCollection(Collection[Document]):
    """A collection whose documents are found, and then changed if they are still what was found."""

    def find_one_and_update(  # type: ignore[override]
        self, filter: Mapping[str, Any], update: Any, projection: Any = None, sort: Any = None,
        upsert: bool = False, return_document: bool = ReturnDocument.BEFORE, **others: Any,
    ) -> Any:  # fmt: skip
        """Change a document with operators; as it was before."""
        if return_document is not ReturnDocument.BEFORE or others:
            return super().find_one_and_update(
                filter, update, projection, sort, upsert, return_document, **others
            )
        while True:
            found = self._find(filter, projection, sort)
            if found is None:
                if upsert:
                    self.update_one(filter, update, upsert=True)
                return None
            if self.update_one(_again(found, filter), update).matched_count:
                return found.document

    def find_one_and_replace(  # type: ignore[override]
        self, filter: Mapping[str, Any], replacement: Any, projection: Any = None, sort: Any = None,
        upsert: bool = False, return_document: bool = ReturnDocument.BEFORE, **others: Any,
    ) -> Any:  # fmt: skip
        """Put another document in the place of one; that one."""
        if return_document is not ReturnDocument.BEFORE or others:
            return super().find_one_and_replace(
                filter, replacement, projection, sort, upsert, return_document, **others
            )
        while True:
            found = self._find(filter, projection, sort)
            if found is None:
                if upsert:
                    self.replace_one(filter, replacement, upsert=True)
                return None
            if self.replace_one(_again(found, filter), replacement).matched_count:
                return found.document

    def _find(self, filter: Mapping[str, Any], projection: Any, sort: Any) -> _Found | None:
        """Look for a document, with its key whatever is asked for of it."""
        hidden = isinstance(projection, Mapping) and projection.get("_id", 1) == 0
        if hidden:
            projection = {name: one for name, one in projection.items() if name != "_id"} or None
        document = self.find_one(filter, projection, sort=sort)
        if document is None:
            return None
        key = document.pop("_id") if hidden else document["_id"]
        return _Found(key, document)


def _again(found: _Found, filter: Mapping[str, Any]) -> Document:
    """Ask for a document that was found, if it still is what was asked for."""
    return {"_id": found.key, **{name: one for name, one in filter.items() if name not in KEYS}}


class _Found:
    """A document, and by what it is known."""

    def __init__(self, key: Any, document: Document) -> None:
        self.key, self.document = key, document
