"""`keepthread inbox`: what waits, and what was given up."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable

import click

from bot.cli.output import print_table
from bot.cli.runner import run
from bot.errors import CommandError
from bot.inbox.dead_letters import DeadLetter, DeadLetters
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.inbox.stats import InboxStats
from bot.plugins import load_settings
from bot.text import plain_json
from bot.wiring import open_store


@click.group()
def inbox() -> None:
    """What waits to be answered, and dead letters: messages that were given up."""


@inbox.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_letters(as_json: bool) -> None:
    """How much waits, and all dead letters, the newest first."""

    async def command(dead_letters: DeadLetters, stats: InboxStats) -> int:
        ready, waiting = await stats.depth()
        letters = await dead_letters.list()
        if as_json:
            data = {
                "ready": ready,
                "waiting": waiting,
                "dead": [_plain(letter) for letter in letters],
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

    sys.exit(run(_with_inbox(command)))


@inbox.command()
@click.argument("letter_id")
def show(letter_id: str) -> None:
    """All of a dead letter, as JSON."""

    async def command(dead_letters: DeadLetters, _: InboxStats) -> int:
        click.echo(plain_json(_plain(await _get(dead_letters, letter_id))))
        return 0

    sys.exit(run(_with_inbox(command)))


@inbox.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
def retry(letter_ids: tuple[str, ...], every: bool) -> None:
    """Put dead letters into the inbox again."""

    async def command(dead_letters: DeadLetters, _: InboxStats) -> int:
        letters = await _chosen(dead_letters, letter_ids, every)
        done = [await dead_letters.retry(letter) for letter in letters]
        click.echo(f"{sum(done)} put back; {len(done) - sum(done)} cannot be read.")
        return 0 if all(done) else 1

    sys.exit(run(_with_inbox(command)))


@inbox.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
def drop(letter_ids: tuple[str, ...], every: bool) -> None:
    """Throw dead letters away."""

    async def command(dead_letters: DeadLetters, _: InboxStats) -> int:
        letters = await _chosen(dead_letters, letter_ids, every)
        for letter in letters:
            await dead_letters.drop(letter)
        click.echo(f"{len(letters)} thrown away.")
        return 0

    sys.exit(run(_with_inbox(command)))


async def _with_inbox(command: Callable[[DeadLetters, InboxStats], Awaitable[int]]) -> int:
    settings = load_settings()
    async with open_store(settings) as store:
        keys = InboxKeys(settings.bot_redis_prefix, settings.bot_shards)
        inbox = Inbox(store.client, keys, is_cluster=store.is_cluster)
        return await command(DeadLetters(store.client, inbox), InboxStats(store.client, keys))


async def _chosen(dead_letters: DeadLetters, ids: tuple[str, ...], every: bool) -> list[DeadLetter]:
    if every:
        return await dead_letters.list()
    if not ids:
        raise click.UsageError("Name dead letters, or say --all.")
    return [await _get(dead_letters, letter_id) for letter_id in ids]


async def _get(dead_letters: DeadLetters, letter_id: str) -> DeadLetter:
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


def _plain(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "session": letter.lane,
        "died_at": letter.died_at.isoformat(),
        "tries": letter.tries,
        "reason": letter.reason,
        "message": json.loads(letter.incoming.to_json()) if letter.incoming else None,
    }
