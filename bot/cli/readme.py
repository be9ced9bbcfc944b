"""The parts of README.md that are made from the code: `keepthread settings --write README.md`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from bot.commands import COMMANDS
from bot.errors import CommandError
from bot.plugins import settings_classes
from bot.settings import SettingsBase


def parts(cli: click.Group) -> dict[str, str]:
    """What stands between `<!-- name -->` and `<!-- /name -->`, by name."""
    return {
        "settings": table(settings_classes()),
        "cli": _rows("command", _commands_of(cli, "keepthread")),
        "commands": _rows("say", _spoken()),
    }


def refreshed(text: str, made: dict[str, str]) -> str:
    """`text` with each of the parts as it should be.

    Raises:
        CommandError: a part has no place in `text`.
    """
    for name, part in made.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        _, mark, after = rest.partition(end)
        if not mark:
            raise CommandError(f"There is no place for it: <!-- {name} --> and, below, {end}")
        text = f"{before}{start}{part}\n{end}{after}"
    return text


def table(classes: Iterable[type[SettingsBase]]) -> str:
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


def _rows(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {title} | what it does |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {words} |" for name, words in rows)])


def _commands_of(group: click.Group, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += _commands_of(command, f"{path} {name}")
        elif command is not None and not command.hidden:
            found.append((f"`{path} {name}`", command.get_short_help_str(200)))
    return found


def _spoken() -> list[tuple[str, str]]:
    return [
        (
            ", ".join(f"`{name}`" for name in (spec.name, *spec.aliases)),
            spec.summary
            + (" (Where several people talk: admins.)" if spec.admin_in_shared else ""),
        )
        for spec in COMMANDS.specs
    ]
