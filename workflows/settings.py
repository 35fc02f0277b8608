"""
Read, print and override the numbers of a tree of dataclasses by their paths.

What a field is, its metadata say: ``unit`` and ``help`` are shown, ``hidden`` fields are set
elsewhere, the fields of an ``inline`` branch stand in the path without the name of the branch.
A number is finite and within the field's ``range``, lowest and highest value; so is each number of
a tuple or of a dictionary. What numbers must be to each other a dataclass says by a method
``validate`` that raises a ValueError: it is asked at the end, by :func:`require_valid`, since what
is changed one by one need not fit together in between.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

Tree = TypeVar("Tree")

#: Characters of a value or a name in a message.
LONGEST_QUOTE = 60


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
        As it is now.
    unit : str
        Empty if it has none.
    help : str
        What it is, in a few words.
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
    tree : dataclass
        Fields that are dataclasses are branches.
    prefix : str
        Path of the tree itself, with a full stop at its end.

    Returns
    -------
    list of Setting
        Those that are not hidden.
    """
    settings: list[Setting] = []
    for field in _fields(tree):
        value = getattr(tree, field.name)
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            settings += list_settings(value, prefix if _is_inline(field) else f"{path}.")
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
    tree : dataclass
        Stays as it is.
    path : str
        E.g. ``"quench.rate"``.
    value : Any
        Text as typed, or a value as read from YAML.

    Raises
    ------
    SettingError
        If there is no such field (the message names the nearest one), or the value does not fit.
    """
    head, _, rest = path.partition(".")
    branch = _branch_of(tree, head)
    if branch is None:
        raise UnknownSettingError(_unknown(tree, path))
    current = getattr(tree, branch.name)
    if _is_inline(branch):
        return _replace(tree, branch.name, override(current, path, value), path, value)
    changed: Any
    if rest and isinstance(current, dict):
        changed = _override_entry(current, rest, value, path)
        _require_range(changed[rest], branch.metadata, path)
    elif rest:
        if not dataclasses.is_dataclass(current):
            raise SettingError(f"{head!r} is a number and has no field {rest!r}")
        try:
            changed = override(current, rest, value)
        except UnknownSettingError:
            raise UnknownSettingError(_unknown(tree, path)) from None
        except SettingError as error:
            whole = str(error).replace(repr(rest), repr(path))
            raise SettingError(whole.replace(f"'{rest}.", f"'{path}.")) from None
    elif dataclasses.is_dataclass(current) or isinstance(current, dict):
        settings = [s.path for s in list_settings(tree) if s.path.startswith(f"{head}.")]
        listed = ", ".join(name.removeprefix(f"{head}.") for name in settings)
        example = f"; set one of them, such as '{settings[0]}'" if settings else ""
        raise SettingError(f"{path!r} is a group; its fields are {listed}{example}")
    else:
        changed = _convert(value, _type_of(tree, head), path)
        _require_range(changed, branch.metadata, path)
    return _replace(tree, head, changed, path, value)


def _replace(tree: Tree, name: str, changed: Any, path: str, value: Any) -> Tree:
    """Return a copy with another value of a field, unless the dataclass refuses it."""
    try:
        return dataclasses.replace(tree, **{name: changed})  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise SettingError(f"{path!r} cannot be {_short(value)}: {error}") from None


def _override_entry(entries: dict[str, Any], key: str, value: Any, path: str) -> dict[str, Any]:
    """Change one entry of a dictionary of numbers."""
    if key not in entries:
        raise SettingError(
            f"there is no setting {_short(path)}; the entries are {', '.join(entries)}"
        )
    return {**entries, key: _convert(value, type(entries[key]), path)}


def override_all(tree: Tree, values: dict[str, Any], prefix: str = "") -> Tree:
    """
    Apply a nested dictionary, as read from a YAML file, to a tree.

    Parameters
    ----------
    tree : dataclass
        Stays as it is.
    values : dict
        Nested by field, or with dotted paths as keys, or both.
    prefix : str
        Path of the dictionary, with a full stop at its end.

    Raises
    ------
    SettingError
        As :func:`override`.
    """
    seen: set[str] = set()
    for path, value in _flatten(values, prefix):
        if path in seen:
            raise SettingError(f"{path!r} is given twice")
        seen.add(path)
        tree = override(tree, path, value)
    return tree


def _flatten(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Spell out the paths of nested dictionaries."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value


def require_valid(tree: Any, prefix: str = "") -> None:
    """
    Make sure that all numbers of a tree are in their ranges, and fit together.

    Parameters
    ----------
    tree : dataclass
        All that was to be changed is.
    prefix : str
        Path of the tree itself, with a full stop at its end.

    Raises
    ------
    SettingError
        If a number is out of its range, or a branch's ``validate`` refuses it.
    """
    for field in _fields(tree):
        value = getattr(tree, field.name)
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            require_valid(value, prefix if _is_inline(field) else f"{path}.")
        elif isinstance(value, dict):
            for key, entry in value.items():
                _require_range(entry, field.metadata, f"{path}.{key}")
        else:
            _require_range(value, field.metadata, path)
    validate = getattr(tree, "validate", None)
    if validate is None:
        return
    try:
        validate()
    except ValueError as error:
        where = f"in {prefix.rstrip('.')!r}, " if prefix else ""
        raise SettingError(f"{where}{error}") from None


def _require_range(value: Any, metadata: Mapping[str, Any], path: str) -> None:
    """Refuse numbers that are not finite, or outside of what the field allows."""
    numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if _is_number(n)]
    if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
        raise SettingError(f"{path!r} must be a finite number, not {_short(value)}")
    if "range" not in metadata:
        return
    lowest, highest = metadata["range"]
    if any(not lowest <= n <= highest for n in numbers):
        unit = f" {metadata['unit']}" if metadata.get("unit") else ""
        raise SettingError(
            f"{path!r} must be from {_spell(lowest)} to {_spell(highest)}{unit}, not "
            f"{_short(value)}"
        )


def _spell(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.15g}"


def _short(value: Any) -> str:
    """Quote what was typed, which may be of any length."""
    try:
        text = repr(value)
    except ValueError:  # Python does not spell out whole numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fields(tree: Any) -> list[dataclasses.Field[Any]]:
    """Fields that are settings: not hidden, and not the name that jobflow wants of a Maker."""
    maker = any(base.__module__.startswith("jobflow.") for base in type(tree).__mro__)
    return [
        field
        for field in dataclasses.fields(tree)
        if not field.metadata.get("hidden") and not (maker and field.name == "name")
    ]


def _is_inline(field: dataclasses.Field[Any]) -> bool:
    """Whether a branch has no name of its own in a path."""
    return bool(field.metadata.get("inline"))


def _branch_of(tree: Any, name: str) -> dataclasses.Field[Any] | None:
    """Field of that name, or the inline branch that has one; none if there is neither."""
    for field in _fields(tree):
        if not _is_inline(field):
            if field.name == name:
                return field
        elif _branch_of(getattr(tree, field.name), name) is not None:
            return field
    return None


def _unknown(tree: Any, path: str) -> str:
    """Say that there is no such field, and which one is nearest."""
    known = [setting.path for setting in list_settings(tree)]
    near = difflib.get_close_matches(path[:LONGEST_QUOTE], known, n=1, cutoff=0.4)
    if not near:  # compare the last part alone: the branch may have been left out
        last = path.rpartition(".")[2][:LONGEST_QUOTE]
        tails = {name.rpartition(".")[2]: name for name in known}
        near = [tails[tail] for tail in difflib.get_close_matches(last, tails, n=1, cutoff=0.0)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no setting {_short(path)}{hint}"


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
        raise SettingError(f"{path!r} must be of type {kind}, not {_short(value)}") from None


def _convert_plain(value: Any, wanted: Any, origin: Any) -> Any:
    if wanted is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
    if isinstance(value, bool):  # which Python takes for a number
        raise TypeError(value)
    if wanted is int:
        return _convert_int(value)
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
    if wanted is str and not isinstance(value, str):
        raise TypeError(value)
    return value


def _convert_int(value: Any) -> int:
    """Read a whole number exactly; 1e3 is one too."""
    if isinstance(value, str):
        with suppress(ValueError):
            return int(value)
    if isinstance(value, int):
        return value
    number = float(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)
