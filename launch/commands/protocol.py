"""``devitrify protocol``: the numbers of a protocol, to read or to edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import command_of
from workflows.chains.protocol_numbers import DEFAULT_PROTOCOL, PROTOCOLS

if TYPE_CHECKING:
    from workflows.settings import Setting


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """What ``devitrify protocol`` is told."""

    name: Annotated[str, typer.Argument(help=f"{', '.join(PROTOCOLS)}.")] = DEFAULT_PROTOCOL
    as_yaml: Annotated[bool, typer.Option("--yaml", help="As a file for --config.")] = False


@command_of(ProtocolOptions)
def protocol(options: ProtocolOptions) -> None:
    """Print every number of a protocol, with its unit."""
    from workflows.chains.protocols import find_protocol
    from workflows.settings import list_settings

    settings = list_settings(find_protocol(options.name))
    width = max(len(setting.path) for setting in settings)
    for setting in settings:
        typer.echo(_as_yaml(setting) if options.as_yaml else _as_text(setting, width))


def _as_yaml(setting: Setting) -> str:
    import json

    return f"{setting.path}: {json.dumps(setting.value, ensure_ascii=False)}"


def _as_text(setting: Setting, width: int) -> str:
    value = "none" if setting.value is None else setting.value
    quantity = f"{value} {setting.unit}".strip()
    return f"{setting.path:<{width}}  {quantity:<24}  {setting.help}".rstrip()
