"""Read, print and override the numbers of a tree of dataclasses by their paths."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, TypeVar

Tree = TypeVar("Tree")

#: Fields that are set elsewhere: names of makers, the engine, and what the target says. Fields
#: of our own say so themselves, by ``metadata={"hidden": True}``.
HIDDEN = frozenset({"name", "engine", "formula_units", "shortest_distances", "threads"})


class SettingError(ValueError):
    """An override names no field, or its value does not fit the field."""


class UnknownSettingError(SettingError):
    """An override names no field."""


@dataclass(frozen=True)
class Setting:
    """
    One number of a protocol.

    Attributes
    ----------
    path : str
        E.g. ``"quench.rate"``.
    value : Any
    unit : str
        Empty if it has none.
    help : str
    """

    path: str
    value: Any
    unit: str
    help: str


def list_settings(tree: Any, prefix: str = "") -> list[Setting]:
    """
    List all numbers of a tree of dataclasses, in their order.

    Parameters
    ----------
    tree
        A dataclass instance; fields that are dataclasses are branches.
    prefix
        Path of the tree itself.
    """
    settings = []
    for field in _fields(tree):
        value = getattr(tree, field.name)
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            settings += list_settings(value, f"{path}.")
        elif isinstance(value, dict):
            unit, text = field.metadata.get("unit", ""), field.metadata.get("help", "")
            settings += [
                Setting(f"{path}.{key}", entry, unit, text) for key, entry in value.items()
            ]
        else:
            unit, text = field.metadata.get("unit", ""), field.metadata.get("help", "")
            settings.append(Setting(path, value, unit, text))
    return settings


def override(tree: Tree, path: str, value: Any) -> Tree:
    """
    Return a copy of a tree with one number changed.

    Parameters
    ----------
    tree
        A dataclass instance.
    path
        E.g. ``"quench.rate"``.
    value
        Text as typed, or a value as read from YAML.

    Raises
    ------
    SettingError
        If there is no such field (the message names the nearest one), or the value does not fit.
    """
    head, _, rest = path.partition(".")
    branch = {field.name: field for field in _fields(tree)}.get(head)
    if branch is None:
        raise UnknownSettingError(_unknown(tree, path))
    current = getattr(tree, head)
    changed: Any
    if rest and isinstance(current, dict):
        changed = _override_entry(current, rest, value, path)
    elif rest:
        if not dataclasses.is_dataclass(current):
            raise SettingError(f"{head!r} is a number and has no field {rest!r}")
        try:
            changed = override(current, rest, value)
        except UnknownSettingError:
            raise UnknownSettingError(_unknown(tree, path)) from None
        except SettingError as error:
            raise SettingError(str(error).replace(repr(rest), repr(path))) from None
    elif dataclasses.is_dataclass(current) or isinstance(current, dict):
        raise SettingError(
            f"{path!r} is a group; its fields are "
            + ", ".join(
                setting.path.removeprefix(f"{head}.")
                for setting in list_settings(tree)
                if setting.path.startswith(f"{head}.")
            )
        )
    else:
        changed = _convert(value, _type_of(tree, head), path)
        _require_range(changed, branch.metadata, path)
    try:
        return dataclasses.replace(tree, **{head: changed})  # type: ignore[type-var]
    except (TypeError, ValueError) as error:  # the dataclass refuses the value
        raise SettingError(f"{path!r} cannot be {value!r}: {error}") from None


def _override_entry(entries: dict[str, Any], key: str, value: Any, path: str) -> dict[str, Any]:
    """Change one entry of a dictionary of numbers."""
    if key not in entries:
        raise SettingError(f"there is no setting {path!r}; the entries are {', '.join(entries)}")
    return {**entries, key: _convert(value, type(entries[key]), path)}


def override_all(tree: Tree, values: dict[str, Any], prefix: str = "") -> Tree:
    """
    Apply a nested dictionary, as read from a YAML file, to a tree.

    Parameters
    ----------
    tree
        A dataclass instance.
    values
        Nested by field, or with dotted paths as keys, or both.
    prefix
        Path of the dictionary.

    Raises
    ------
    SettingError
        As :func:`override`.
    """
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            tree = override_all(tree, value, f"{path}.")
        else:
            tree = override(tree, path, value)
    return tree


def _require_range(value: Any, metadata: Any, path: str) -> None:
    """Refuse numbers that no setting can have, and zero where the field says so."""
    numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if _is_number(n)]
    if any(not math.isfinite(n) or n < 0 for n in numbers):
        raise SettingError(f"{path!r} must be a finite number that is not negative, not {value!r}")
    if metadata.get("positive") and any(n == 0 for n in numbers):
        raise SettingError(f"{path!r} must be above zero")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fields(tree: Any) -> list[dataclasses.Field[Any]]:
    return [
        field
        for field in dataclasses.fields(tree)
        if field.name not in HIDDEN and not field.metadata.get("hidden")
    ]


def _unknown(tree: Any, path: str) -> str:
    """Say that there is no such field, and which one is nearest."""
    known = [setting.path for setting in list_settings(tree)]
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.4)
    if not near:  # compare the last part alone: the branch may have been left out
        last = path.rpartition(".")[2]
        tails = {name.rpartition(".")[2]: name for name in known}
        near = [tails[tail] for tail in difflib.get_close_matches(last, tails, n=1, cutoff=0.4)]
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
    return f"there is no setting {path!r}{hint}"


def _type_of(tree: Any, name: str) -> Any:
    return typing.get_type_hints(type(tree))[name]


def _convert(value: Any, wanted: Any, path: str) -> Any:
    """Turn text or a YAML value into the type of a field."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(wanted)
        if type(None) in options and (value is None or str(value).lower() in ("none", "null")):
            return None
        wanted = next(option for option in options if option is not type(None))
        return _convert(value, wanted, path)
    if origin is typing.Literal:
        choices = typing.get_args(wanted)
        if value not in choices:
            raise SettingError(f"{path!r} must be one of {', '.join(map(str, choices))}")
        return value
    try:
        return _convert_plain(value, wanted, origin)
    except (KeyError, OverflowError, TypeError, ValueError):
        kind = getattr(wanted, "__name__", str(wanted))
        raise SettingError(f"{path!r} must be of type {kind}, not {value!r}") from None


def _convert_plain(value: Any, wanted: Any, origin: Any) -> Any:
    if wanted is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
    if wanted is int:
        if float(value) != int(float(value)):
            raise ValueError(value)
        return int(float(value))
    if wanted is float:
        return float(value)
    if origin in (tuple, list):
        items = value.split(",") if isinstance(value, str) else list(value)
        inner = typing.get_args(wanted)[0] if typing.get_args(wanted) else str
        converted = [_convert_plain(item, inner, None) for item in items]
        kinds = typing.get_args(wanted)
        if origin is tuple and Ellipsis not in kinds and len(converted) != len(kinds):
            raise ValueError(value)
        return origin(converted)
    return wanted(value) if wanted in (str,) else value
