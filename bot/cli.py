"""The command line: chat · serve · doctor · sessions · model, and what the adapters add."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from bot import __version__
from bot.errors import KeepthreadError
from bot.logs import configure_logging


class _Group(click.Group):
    """Loads sub-commands only when they are asked for, and shows our errors without a traceback."""

    own = ("chat", "doctor", "model", "sessions", "settings")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.own, *(point.name for point in _added())})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == "chat":
            from bot.cli_chat import chat

            return chat
        if name == "doctor":
            from bot.cli_doctor import doctor

            return doctor
        if name == "sessions":
            from bot.cli_sessions import sessions

            return sessions
        if name == "model":
            from bot.cli_model import model_group

            return model_group
        if name == "settings":
            return show_settings
        for point in _added():
            if point.name == name:
                command: click.Command = point.load()
                return command
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeepthreadError as error:
            click.echo(f"keepthread: {error}", err=True)
            if error.cure:
                click.echo(f"  {error.cure}", err=True)
            ctx.exit(1)


def _added() -> tuple[EntryPoint, ...]:
    """Commands that adapters bring along."""
    return tuple(entry_points(group="keepthread.commands"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keepthread")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to standard error.")
def main(verbose: bool) -> None:
    """Talk with a language model that remembers: here, in Slack, in Telegram."""
    configure_logging("info" if verbose else "error", "text")


@click.command("settings")
def show_settings() -> None:
    """Print every setting as a Markdown table."""
    from bot.settings import table
    from bot.wiring import settings_classes

    click.echo(table(settings_classes()))


def run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine to its exit status."""
    logging.captureWarnings(True)
    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
