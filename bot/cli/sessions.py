"""`keepthread sessions`: list, show, export, reset and forget conversations."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from bot.cli.output import print_table
from bot.errors import CommandError
from bot.text import readable_json, strip_controls

if TYPE_CHECKING:
    from bot.conversation import SessionKey, Turn
    from bot.memory.sessions import SessionInfo
    from bot.wiring import Store

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
name = click.argument("session")


@click.group()
def sessions() -> None:
    """Look at conversations, export, reset and forget them.

    SESSION is a key as `list` prints it, or the name of a console session.
    """


def _run_with_store(command: Callable[[Store], Awaitable[int]]) -> None:
    """Run `command` on the configured Redis, and exit with its status."""
    from bot.cli.runner import run
    from bot.plugins import load_settings
    from bot.wiring import open_store

    async def with_store() -> int:
        async with open_store(load_settings()) as store:
            return await command(store)

    sys.exit(run(with_store()))


@sessions.command("list")
@as_json
def list_(as_json: bool) -> None:
    """All conversations, the latest used first."""

    async def command(store: Store) -> int:
        found = await store.sessions.list()
        if as_json:
            click.echo(json.dumps([_as_json(info) for info in found], indent=2))
            return 0
        if not found:
            click.echo("No conversations yet.")
            return 0
        print_table(
            ("session", "turns", "begun", "last used (UTC)"),
            [(str(i.session), f"{i.turns:,}", _when(i.born_at), _when(i.used_at)) for i in found],
        )
        return 0

    _run_with_store(command)


@sessions.command()
@name
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, help="How many turns."
)
@as_json
def show(session: str, last: int, as_json: bool) -> None:
    """The newest turns of a conversation."""

    async def command(store: Store) -> int:
        info = await _find(store, session)
        turns: deque[Turn] = deque(maxlen=last)
        async for turn in store.sessions.turns(info.session):
            turns.append(turn)
        if as_json:
            data = {**_as_json(info), "shown": [turn.to_dict() for turn in turns]}
            click.echo(readable_json(data))
            return 0
        click.echo(f"{info.session}  ({_turns(info.turns)})")
        if info.summary:
            click.echo(strip_controls(f"\nEarlier, in short: {info.summary}"))
        for turn in turns:
            for item in turn.incoming:
                click.echo(strip_controls(f"\n{item.speaker.label}: {item.text}"))
            if turn.answer or turn.state != "complete":
                state = "" if turn.state == "complete" else f" ({turn.state})"
                click.echo(strip_controls(f"bot{state}: {turn.answer}"))
        return 0

    _run_with_store(command)


@sessions.command()
@name
@click.option("--output", "-o", type=click.File("w", encoding="utf-8"), default="-")
@click.option("--json", is_flag=True, expose_value=False, help="For programs, as it always is.")
def export(session: str, output: Any) -> None:
    """Everything kept of a conversation, as JSON."""

    async def command(store: Store) -> int:
        info = await _find(store, session)
        exported = readable_json(await store.sessions.export(info.session))
        umask = os.umask(0o077)  # the file is created by the first write, for its owner only
        try:
            output.write(exported + "\n")
        finally:
            os.umask(umask)
        return 0

    _run_with_store(command)


@sessions.command()
@name
@click.option("--keep", is_flag=True, help="Keep the old turns for export.")
@as_json
def reset(session: str, keep: bool, as_json: bool) -> None:
    """Begin the conversation anew; a running answer of the old one writes nothing more."""

    async def command(store: Store) -> int:
        info = await _find(store, session)
        count = await store.history.reset(info.session, keep=keep)
        _print_result(as_json, "reset", info.session, count)
        return 0

    _run_with_store(command)


@sessions.command()
@name
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
def forget(session: str, yes: bool, as_json: bool) -> None:
    """Erase a conversation, earlier talks included."""

    async def command(store: Store) -> int:
        info = await _find(store, session)
        if not yes:
            _confirm(f"Erase {_turns(info.turns)} of {info.session}?")
        count = await store.sessions.forget(info.session)
        _print_result(as_json, "forgotten", info.session, count)
        return 0

    _run_with_store(command)


async def _find(store: Store, text: str) -> SessionInfo:
    """The conversation with the key or console name `text`.

    Raises:
        CommandError: there is none.
    """
    from bot.conversation import SessionKey
    from bot.plugins import local_adapter

    try:
        session = SessionKey.parse(text)
    except ValueError:
        session = local_adapter().session_key(text)
    info = await store.sessions.get(session)
    if info is None or not (info.turns or info.earlier):  # a forgotten one leaves its generation
        raise CommandError(
            f"There is no conversation {text!r}; `keepthread sessions list` shows all."
        )
    return info


def _print_result(as_json: bool, what: str, session: SessionKey, turns: int) -> None:
    if as_json:
        click.echo(json.dumps({"session": str(session), what: True, "turns": turns}))
    else:
        click.echo(f"{session}: {what}, {_turns(turns)}")


def _confirm(question: str) -> None:
    """Ask. Ctrl-C means no: the event loop's own handler would not interrupt the prompt."""
    loop_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm(question, abort=True)
    finally:
        signal.signal(signal.SIGINT, loop_handler)


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count:,} turns"


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _as_json(info: SessionInfo) -> dict[str, Any]:
    return {
        "session": str(info.session),
        "conversation_id": info.conversation_id,
        "generation": info.generation,
        "turns": info.turns,
        "born_at": info.born_at.isoformat(),
        "used_at": info.used_at.isoformat(),
        "summary": info.summary,
        "earlier": list(info.earlier),
    }
