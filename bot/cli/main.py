"""Command-line entry point: finds the sub-commands of the core and of installed packages."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import click

from bot import __version__
from bot.errors import KeepthreadError
from bot.text import strip_controls


class _LazyGroup(click.Group):
    """Command group that imports a sub-command when it is needed, and prints our errors without a traceback.

    `--help` imports every sub-command: their modules import at the top only what is quick to import.
    """

    core_commands: ClassVar[dict[str, str]] = {
        "chat": "bot.cli.chat:chat",
        "doctor": "bot.cli.doctor:doctor",
        "inbox": "bot.cli.inbox:inbox",
        "model": "bot.cli.model:model_group",
        "serve": "bot.cli.serve:serve",
        "sessions": "bot.cli.sessions:sessions",
        "settings": "bot.cli.settings:show_settings",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.core_commands, *(point.name for point in _installed_commands())})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.core_commands:
            module, _, attribute = self.core_commands[name].partition(":")
            core_command: click.Command = getattr(import_module(module), attribute)
            return core_command
        for point in _installed_commands():
            if point.name == name:
                installed: click.Command = point.load()
                return installed
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeepthreadError as error:
            click.echo(strip_controls(f"keepthread: {error}"), err=True)
            if error.cure:
                click.echo(f"  {error.cure}", err=True)
            ctx.exit(1)


def _installed_commands() -> tuple[EntryPoint, ...]:
    """Sub-commands of adapters and other installed packages."""
    return tuple(entry_points(group="keepthread.cli_commands"))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keepthread")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to standard error.")
def main(verbose: bool) -> None:
    """Talk with a language model that remembers: here, in Slack, in Telegram."""
    from bot.logs import configure_logging

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has every letter
    configure_logging("info" if verbose else "error", "text")


if __name__ == "__main__":
    sys.exit(main())
