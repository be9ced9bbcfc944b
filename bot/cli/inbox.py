"""`keepthread inbox`: how much waits to be answered, and the dead letters."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from bot.cli.output import print_table
from bot.errors import CommandError
from bot.text import readable_json

if TYPE_CHECKING:
    from bot.inbox.dead_letters import DeadLetter, DeadLetters
    from bot.inbox.stats import InboxStats


@click.group()
def inbox() -> None:
    """What waits to be answered, and dead letters: messages that were given up."""


@inbox.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_letters(as_json: bool) -> None:
    """How much waits, and all dead letters, the newest first."""

    async def print_letters(dead_letters: DeadLetters, stats: InboxStats) -> int:
        ready, waiting = await stats.depth()
        letters = await dead_letters.list()
        if as_json:
            data = {
                "ready": ready,
                "waiting": waiting,
                "dead": [_as_json(letter) for letter in letters],
            }
            click.echo(json.dumps(data, indent=2))
            return 0
        click.echo(f"{ready} conversations are ready or running, {waiting} wait for their time.")
        if letters:
            print_table(
                ("dead letter", "since (UTC)", "conversation", "tries", "why", "text"),
                [_row(letter) for letter in letters],
            )
        return 0

    _run_with_inbox(print_letters)


@inbox.command()
@click.argument("letter_id")
def show(letter_id: str) -> None:
    """All of a dead letter, as JSON."""

    async def print_letter(dead_letters: DeadLetters, _: InboxStats) -> int:
        click.echo(readable_json(_as_json(await _find(dead_letters, letter_id))))
        return 0

    _run_with_inbox(print_letter)


@inbox.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
def retry(letter_ids: tuple[str, ...], every: bool) -> None:
    """Put dead letters into the inbox again."""

    async def requeue(dead_letters: DeadLetters, _: InboxStats) -> int:
        letters = await _select(dead_letters, letter_ids, every)
        done = [await dead_letters.retry(letter) for letter in letters]
        click.echo(f"{sum(done)} put back; {len(done) - sum(done)} cannot be read.")
        return 0 if all(done) else 1

    _run_with_inbox(requeue)


@inbox.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
def drop(letter_ids: tuple[str, ...], every: bool) -> None:
    """Throw dead letters away."""

    async def delete(dead_letters: DeadLetters, _: InboxStats) -> int:
        letters = await _select(dead_letters, letter_ids, every)
        for letter in letters:
            await dead_letters.drop(letter)
        click.echo(f"{len(letters)} thrown away.")
        return 0

    _run_with_inbox(delete)


def _run_with_inbox(command: Callable[[DeadLetters, InboxStats], Awaitable[int]]) -> None:
    """Run `command` on the inbox of the configured Redis, and exit with its status."""
    from bot.cli.runner import run
    from bot.inbox.dead_letters import DeadLetters
    from bot.inbox.inbox import Inbox
    from bot.inbox.keys import InboxKeys
    from bot.inbox.stats import InboxStats
    from bot.plugins import load_settings
    from bot.wiring import open_store

    async def with_inbox() -> int:
        settings = load_settings()
        async with open_store(settings) as store:
            keys = InboxKeys(settings.bot_redis_prefix, settings.bot_shards)
            queue = Inbox(store.client, keys, is_cluster=store.is_cluster)
            return await command(DeadLetters(store.client, queue), InboxStats(store.client, keys))

    sys.exit(run(with_inbox()))


async def _select(dead_letters: DeadLetters, ids: tuple[str, ...], every: bool) -> list[DeadLetter]:
    if every:
        return await dead_letters.list()
    if not ids:
        raise click.UsageError("Name dead letters, or say --all.")
    return [await _find(dead_letters, letter_id) for letter_id in ids]


async def _find(dead_letters: DeadLetters, letter_id: str) -> DeadLetter:
    letter = await dead_letters.get(letter_id)
    if letter is None:
        raise CommandError(
            f"there is no dead letter {letter_id}; “keepthread inbox list” lists them"
        )
    return letter


def _row(letter: DeadLetter) -> tuple[str, ...]:
    died = f"{letter.died_at:%Y-%m-%d %H:%M}"
    text = " ".join(letter.incoming.text.split())[:60] if letter.incoming else ""
    return letter.id, died, letter.lane, str(letter.tries), letter.reason, text


def _as_json(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "session": letter.lane,
        "died_at": letter.died_at.isoformat(),
        "tries": letter.tries,
        "reason": letter.reason,
        "message": json.loads(letter.incoming.to_json()) if letter.incoming else None,
    }
