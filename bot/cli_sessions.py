"""`keepthread sessions`: look at conversations, export, reset and forget them."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bot.conversation import SessionKey
from bot.errors import CommandError
from bot.sessions import SessionInfo
from bot.wiring import Store, load_settings, open_store

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
name = click.argument("session")


@click.group()
def sessions() -> None:
    """Look at conversations, export, reset and forget them.

    SESSION is a key as `list` prints it, or the name of a console session.
    """


def _run(work: Callable[[Store], Awaitable[int]]) -> None:
    async def opened() -> int:
        async with open_store(load_settings()) as store:
            return await work(store)

    from bot.cli import run

    sys.exit(run(opened()))


@sessions.command("list")
@as_json
def list_(as_json: bool) -> None:
    """All conversations, the latest used first."""

    async def work(store: Store) -> int:
        found = await store.sessions.list()
        if as_json:
            click.echo(json.dumps([_plain(info) for info in found], indent=2))
            return 0
        if not found:
            click.echo("No conversations yet.")
            return 0
        table = Table(box=None, pad_edge=False)
        for title in ("session", "turns", "begun", "last used (UTC)"):
            table.add_column(title, overflow="fold")
        for info in found:
            table.add_row(
                str(info.session), f"{info.turns:,}", _when(info.born_at), _when(info.used_at)
            )
        Console().print(table)
        return 0

    _run(work)


@sessions.command()
@name
@click.option("--last", default=20, show_default=True, help="How many turns.")
@as_json
def show(session: str, last: int, as_json: bool) -> None:
    """The newest turns of a conversation."""

    async def work(store: Store) -> int:
        info = await _existing(store, session)
        turns = [turn async for turn in store.sessions.turns(info.session)][-last:]
        if as_json:
            data = {**_plain(info), "shown": [turn.to_dict() for turn in turns]}
            click.echo(json.dumps(data, indent=2, ensure_ascii=False))
            return 0
        console = Console(highlight=False)
        console.print(f"{info.session}  ({info.turns:,} turns)", markup=False)
        if info.summary:
            console.print(f"\nEarlier, in short: {info.summary}", markup=False)
        for turn in turns:
            for item in turn.incoming:
                console.print(f"\n{item.speaker.label}: {item.text}", markup=False)
            if turn.answer or turn.state != "complete":
                mark = "" if turn.state == "complete" else f" ({turn.state})"
                console.print(f"bot{mark}: {turn.answer}", markup=False)
        return 0

    _run(work)


@sessions.command()
@name
@click.option("--output", "-o", type=click.File("w", encoding="utf-8"), default="-")
def export(session: str, output: Any) -> None:
    """Everything kept of a conversation, as JSON."""

    async def work(store: Store) -> int:
        info = await _existing(store, session)
        json.dump(await store.sessions.export(info.session), output, indent=2, ensure_ascii=False)
        output.write("\n")
        return 0

    _run(work)


@sessions.command()
@name
@click.option("--keep", is_flag=True, help="Keep the old turns for export.")
@as_json
def reset(session: str, keep: bool, as_json: bool) -> None:
    """Begin the conversation anew; a running answer of the old one writes nothing more."""

    async def work(store: Store) -> int:
        info = await _existing(store, session)
        count = await store.history.reset(info.session, keep=keep)
        _tell(as_json, "reset", info.session, count)
        return 0

    _run(work)


@sessions.command()
@name
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
def forget(session: str, yes: bool, as_json: bool) -> None:
    """Erase a conversation, earlier talks included."""

    async def work(store: Store) -> int:
        info = await _existing(store, session)
        if not yes:
            click.confirm(f"Erase {info.turns:,} turns of {info.session}?", abort=True)
        count = await store.sessions.forget(info.session)
        _tell(as_json, "forgotten", info.session, count)
        return 0

    _run(work)


async def _existing(store: Store, text: str) -> SessionInfo:
    """The conversation that `text` names.

    Raises:
        CommandError: there is none.
    """
    try:
        session = SessionKey.parse(text)
    except ValueError:
        session = SessionKey("console", "local", text)
    info = await store.sessions.look(session)
    if info is None or not (info.turns or info.earlier):  # forgotten ones leave a mark for a while
        raise CommandError(
            f"There is no conversation {text!r}; `keepthread sessions list` shows all."
        )
    return info


def _tell(as_json: bool, what: str, session: SessionKey, turns: int) -> None:
    if as_json:
        click.echo(json.dumps({"session": str(session), what: True, "turns": turns}))
    else:
        click.echo(f"{session}: {what}, {turns:,} turns")


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _plain(info: SessionInfo) -> dict[str, Any]:
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
