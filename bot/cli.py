"""The command line: chat · serve · doctor · sessions · model, and what the adapters add."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

import click

from bot import __version__
from bot.errors import KeepthreadError
from bot.logs import configure_logging
from bot.plain_text import plain


class _Group(click.Group):
    """Loads sub-commands only when they are asked for, and shows our errors without a traceback."""

    own: ClassVar[dict[str, str]] = {
        "chat": "bot.cli_chat:chat",
        "doctor": "bot.cli_doctor:doctor",
        "inbox": "bot.cli_inbox:inbox",
        "model": "bot.cli_model:model_group",
        "serve": "bot.cli_serve:serve",
        "sessions": "bot.cli_sessions:sessions",
        "settings": "bot.cli:show_settings",
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
    return tuple(entry_points(group="keepthread.commands"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keepthread")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, to standard error.")
def main(verbose: bool) -> None:
    """Talk with a language model that remembers: here, in Slack, in Telegram."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has every letter
    configure_logging("info" if verbose else "error", "text")


@click.command("settings")
@click.option(
    "--write",
    "readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refresh this file's generated tables (of settings and commands) instead.",
)
def show_settings(readme: Path | None) -> None:
    """Print every setting as a Markdown table."""
    from bot.readme import parts, refreshed

    made = parts(main)
    if readme is None:
        click.echo(made["settings"])
    else:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(refreshed(text, made), encoding="utf-8")


def run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine to its exit status. A signal ends it with everything closed."""
    logging.captureWarnings(True)
    try:
        return asyncio.run(_until_told(coroutine))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _until_told(coroutine: Coroutine[Any, Any, int]) -> int:
    """SIGTERM, and a terminal that closes, cancel it as Ctrl-C does."""
    told: list[int] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in one

    def end(number: int) -> None:
        told.append(number)
        task.cancel()

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            with suppress(RuntimeError):  # Windows' loops have no signal handlers
                asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await coroutine
    except asyncio.CancelledError:
        if not told:
            raise
        _let_go_of_the_terminal()
        return 128 + told[0]


def _let_go_of_the_terminal() -> None:
    """Where the window was closed nothing can be written any more: Python would exit with 120 for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
