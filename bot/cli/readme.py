"""Generated tables of README.md, written by `keepthread settings --write README.md`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from bot.commands import BUILTIN
from bot.errors import CommandError
from bot.plugins import settings_classes
from bot.settings import SettingsBase


def generated_tables(cli: click.Group) -> dict[str, str]:
    """The tables that belong between `<!-- name -->` and `<!-- /name -->`, by name."""
    return {
        "settings": settings_table(settings_classes()),
        "cli": _two_columns("command", _cli_rows(cli, "keepthread")),
        "commands": _two_columns("say", _chat_command_rows()),
    }


def replace_tables(text: str, tables: dict[str, str]) -> str:
    """`text` with its generated tables replaced by `tables`.

    Raises:
        CommandError: `text` has no place for one of them.
    """
    for name, table in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise CommandError(f"There is no place for it: <!-- {name} --> and, below, {end}")
        text = f"{before}{start}{table}\n{end}{after}"
    return text


def settings_table(classes: Iterable[type[SettingsBase]]) -> str:
    """The settings as a Markdown table."""
    rows = ["| name | default | what it does |", "|---|---|---|"]
    for cls in classes:
        for name, info in cls.model_fields.items():
            rows.append(f"| `{name.upper()}` | {_default(name, info)} | {info.description} |")
    return "\n".join(rows)


def _default(name: str, info: Any) -> str:
    if name == "bot_system_prompt":
        return "see `bot/settings/core.py`"
    if info.default_factory is not None or info.default in (None, ()):
        return ""
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    return f"`{info.default:g}`" if isinstance(info.default, float) else f"`{info.default}`"


def _two_columns(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {title} | what it does |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {summary} |" for name, summary in rows)])


def _cli_rows(group: click.Group, path: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            rows += _cli_rows(command, f"{path} {name}")
        elif command is not None and not command.hidden:
            rows.append((f"`{path} {name}`", command.get_short_help_str(200)))
    return rows


def _chat_command_rows() -> list[tuple[str, str]]:
    return [
        (
            ", ".join(f"`{name}`" for name in spec.names),
            spec.summary
            + (" (Where several people talk: admins.)" if spec.admin_in_shared else ""),
        )
        for spec in BUILTIN
    ]
