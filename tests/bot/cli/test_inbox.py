"""`keepthread inbox`: counts, and dead letters listed, shown, requeued and dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.inbox.dead_letters import DeadLetter, DeadLetters
from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats
from bot.settings import Settings
from bot.wiring import open_store
from tests.support.cli_harness import Shell
from tests.support.inbox_harness import make_inbox
from tests.support.messages import make_message

Work = Callable[[Inbox, DeadLetters, Redis], Awaitable[Any]]
With = Callable[[Work], Any]


@pytest.fixture
def inbox(settings: Settings) -> With:
    """Function that runs work on the inbox of the test's Redis."""

    def do(work: Work) -> Any:
        async def opened() -> Any:
            async with open_store(settings) as store:
                made = make_inbox(store.client, settings)
                return await work(made, DeadLetters(store.client, made), store.client)

        return asyncio.run(opened())

    return do


def dead_letters(*texts: str) -> Work:
    """Work that makes a dead letter of each text, each in another conversation."""

    async def work(inbox: Inbox, letters: DeadLetters, _: Redis) -> list[DeadLetter]:
        for number, text in enumerate(texts):
            await inbox.enqueue(make_message(text, f"C{number}", event_id=f"e{number}"))
        taken, _ = await inbox.claim("w", 99, range(inbox.keys.shards))
        for turn in taken:
            await inbox.complete(turn, "dead", reason="ModelBroken: [/engine] on fire")
        return await letters.list()

    return work


async def depth(inbox: Inbox, _: DeadLetters, redis: Redis) -> tuple[int, int]:
    return await InboxStats(redis, inbox.keys).depth()


def test_an_empty_inbox_says_so(shell: Shell) -> None:
    words = "0 conversations are ready or running, 0 wait for their time.\n"
    assert shell.out("inbox", "list") == words
    nothing = {"ready": 0, "waiting": 0, "dead": []}
    assert json.loads(shell.out("inbox", "list", "--json")) == nothing


def test_dead_letters_are_listed_whatever_their_text(shell: Shell, inbox: With) -> None:
    text = "[/b] hello \x1b[31m\x9b" + "\nand more " * 20
    (letter,) = inbox(dead_letters(text))
    _, title, row = shell.out("inbox", "list").splitlines()
    assert title.startswith("dead letter")
    assert row.startswith(letter.id)
    assert "ModelBroken: [/engine] on fire" in row
    assert "[/b] hello [31m and more" in row
    (plain,) = json.loads(shell.out("inbox", "list", "--json"))["dead"]
    assert (plain["id"], plain["tries"]) == (letter.id, 1)
    words = shell.out("inbox", "show", letter.id)
    assert "\x9b" not in words
    shown = json.loads(words)
    assert shown["message"]["text"] == text
    assert shown["reason"] == "ModelBroken: [/engine] on fire"


def test_the_list_counts_ready_and_waiting_conversations(shell: Shell, inbox: With) -> None:
    async def enqueue_two(inbox: Inbox, *_: object) -> None:
        await inbox.enqueue(make_message("now"))
        await inbox.enqueue(make_message("later", "C2"), hold_s=60)

    inbox(enqueue_two)
    found = json.loads(shell.out("inbox", "list", "--json"))
    assert (found["ready"], found["waiting"]) == (1, 1)


def test_letters_are_requeued_one_by_one_or_all_together(shell: Shell, inbox: With) -> None:
    letters = inbox(dead_letters("a", "b", "c"))
    assert shell.out("inbox", "retry", letters[0].id) == "1 put back; 0 cannot be read.\n"
    assert inbox(depth) == (1, 0)
    assert shell.out("inbox", "retry", "--all") == "2 put back; 0 cannot be read.\n"
    assert inbox(depth) == (3, 0)
    assert json.loads(shell.out("inbox", "list", "--json"))["dead"] == []


def test_a_letter_is_requeued_into_a_full_conversation(shell: Shell, inbox: With) -> None:
    (letter,) = inbox(dead_letters("precious"))

    async def crowd(inbox: Inbox, *_: object) -> list[str]:
        return [(await inbox.enqueue(make_message(str(n), "C0")))[0] for n in range(101)]

    assert inbox(crowd)[-1] == "full"
    shell.out("inbox", "retry", letter.id)

    async def waiting(inbox: Inbox, *_: object) -> list[str]:
        return [
            message.text
            for _, message in await inbox.mailboxes.messages(make_message("x", "C0").session)
        ]

    assert inbox(waiting)[-1] == "precious"


def test_an_unreadable_letter_stays_and_is_reported(shell: Shell, inbox: With) -> None:
    (letter,) = inbox(dead_letters("x"))

    async def spoil(inbox: Inbox, letters: DeadLetters, redis: Redis) -> None:
        shard = letter.id.partition("/")[0]
        key = inbox.keys.of(int(shard), "dead")
        fields = {"s": letter.lane, "d": "no json", "why": "unreadable", "tries": "1"}
        await letters.drop(letter)
        await redis.xadd(key, fields)
        await redis.expire(key, 60)

    inbox(spoil)
    done = shell.run("inbox", "retry", "--all")
    assert (done.exit_code, done.stdout) == (1, "0 put back; 1 cannot be read.\n")
    (plain,) = json.loads(shell.out("inbox", "list", "--json"))["dead"]
    assert (plain["message"], plain["reason"]) == (None, "unreadable")
    assert "unreadable" in shell.out("inbox", "list")
    assert shell.out("inbox", "drop", "--all") == "1 thrown away.\n"


def test_letters_are_dropped_one_by_one(shell: Shell, inbox: With) -> None:
    letters = inbox(dead_letters("a", "b"))
    assert shell.out("inbox", "drop", letters[0].id) == "1 thrown away.\n"
    (left,) = json.loads(shell.out("inbox", "list", "--json"))["dead"]
    assert left["id"] == letters[1].id


@pytest.mark.parametrize("command", ["show", "retry", "drop"])
@pytest.mark.parametrize(
    "letter", ["nonsense", "3/1700000000000-0", "³/1-0", "0/99999999999999999999-0"]
)
def test_a_letter_that_does_not_exist_is_an_error_without_traceback(
    shell: Shell, command: str, letter: str
) -> None:
    done = shell.run("inbox", command, letter)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"there is no dead letter {letter}" in done.stderr
    assert "keepthread inbox list" in done.stderr


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_command_without_letters_changes_nothing(shell: Shell, inbox: With, command: str) -> None:
    inbox(dead_letters("a"))
    done = shell.run("inbox", command)
    assert done.exit_code == 2
    assert "say --all" in done.stderr
    assert len(json.loads(shell.out("inbox", "list", "--json"))["dead"]) == 1
