"""The command line: chat · serve · doctor · sessions · model, and what the adapters add."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import click

from bot import __version__
from bot.errors import KeepthreadError
from bot.logs import configure_logging
from bot.text import plain


class _Group(click.Group):
    """Loads sub-commands only when they are asked for, and shows our errors without a traceback."""

    own: ClassVar[dict[str, str]] = {
        "chat": "bot.cli.chat:chat",
        "doctor": "bot.cli.doctor:doctor",
        "inbox": "bot.cli.inbox:inbox",
        "model": "bot.cli.model:model_group",
        "serve": "bot.cli.serve:serve",
        "sessions": "bot.cli.sessions:sessions",
        "settings": "bot.cli.settings:show_settings",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.own, *(point.name for point in _added())})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            own: click.Command = getattr(import_module(module), attribute)
            return own
        for point in _added():
            if point.name == name:
                added: click.Command = point.load()
                return added
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeepthreadError as error:
            click.echo(plain(f"keepthread: {error}"), err=True)
            if error.cure:
                click.echo(f"  {error.cure}", err=True)
            ctx.exit(1)


def _added() -> tuple[EntryPoint, ...]:
    """Commands that adapters bring along."""
    return tuple(entry_points(group="keepthread.cli_commands"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keepthread")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to standard error.")
def main(verbose: bool) -> None:
    """Talk with a language model that remembers: here, in Slack, in Telegram."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has every letter
    configure_logging("info" if verbose else "error", "text")


if __name__ == "__main__":
    sys.exit(main())
