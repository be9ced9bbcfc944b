"""Redis keys written by an earlier version, read and gone on with by this one.

`tests/payloads/stored/664156f.json` holds every key that commit 664156f wrote while people talked with it on
loopback Slack and Telegram servers and in a terminal. It is loaded as it is, with its key names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import Incoming, SessionKey, Speaker, Turn
from bot.inbox.dead_letters import DeadLetters
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.memory.history import RedisHistory
from bot.memory.recent import RecentConversations
from bot.memory.sessions import Sessions
from bot.ports import TurnWrite
from bot.prompt.builder import PromptBuilder
from bot.prompt.transcript import tokens_of
from bot.settings import Settings
from bot.storage.key_value import RedisKeyValueStore

STORED = Path(__file__).parents[1] / "payloads/stored/664156f.json"
PREFIX = "kt"
TTL = timedelta(hours=1)

THREAD = SessionKey("slack", "T1", "C1", "1795824372.317470")
OLD_THREAD = SessionKey("slack", "T1", "C1", "1795824373.290917")
DIRECT = SessionKey("slack", "T1", "D1")
DEAD = SessionKey("slack", "T1", "C1", "1795824374.094161")
RUNNING = SessionKey("slack", "T1", "C1", "1795824374.106982")
WAITING = SessionKey("slack", "T1", "C1", "1795824374.111677")
TOPIC = SessionKey("telegram", "7000", "-1002", "5")
PRIVATE = SessionKey("telegram", "7000", "41")
GROUP, SUPERGROUP = (
    SessionKey("telegram", "7000", "-1001"),
    SessionKey("telegram", "7000", "-100777"),
)
HELD = SessionKey("telegram", "7", "41")
TERMINAL = SessionKey("console", "local", "work/ü")
STOPPED = SessionKey("console", "local", "stopped")

TALKS = {
    THREAD: [
        ("my name is Ada 😀 — straße", "You said: Ada: my name is Ada 😀 — straße"),
        ("and I like tea", "You said: Ben: and I like tea"),
        ("@Ada shall we have lunch?", ""),
    ],
    DIRECT: [("what is my name?", "I do not know your name.")],
    TOPIC: [
        ("my name is Tom", "You said: Ben: my name is Tom"),
        ("What is my name?", "Your name is Tom."),
    ],
    PRIVATE: [("hello there", "You said: hello there")],
    SUPERGROUP: [("hi all", "You said: Anna: hi all")],
    TERMINAL: [
        ("my name is Cleo", "You said: my name is Cleo"),
        ("what is my name?", "Your name is Cleo."),
    ],
    STOPPED: [("tell me all", "Once upon"), ("and then?", "")],
}


@dataclass(frozen=True, slots=True)
class Stored:
    """Today's readers of the stored keys."""

    history: RedisHistory
    sessions: Sessions
    inbox: Inbox
    dead_letters: DeadLetters

    async def talk(self, session: SessionKey) -> list[tuple[str, str]]:
        """What was said and answered, from the first turn on."""
        turns = [turn async for turn in self.sessions.turns(session)]
        return [("\n".join(item.text for item in turn.incoming), turn.answer) for turn in turns]


@pytest.fixture
async def stored(redis: Redis, settings: Settings) -> AsyncIterator[Stored]:
    for name, (kind, value) in json.loads(STORED.read_text()).items():
        await _load(redis, name, kind, value)
        await redis.expire(name, TTL)
    history = RedisHistory(redis, PREFIX, TTL)
    inbox = Inbox(redis, InboxKeys(PREFIX, settings.bot_shards))
    return Stored(history, Sessions(redis, history), inbox, DeadLetters(redis, inbox))


async def _load(redis: Redis, name: str, kind: str, value: Any) -> None:
    match kind:
        case "string":
            await redis.set(name, value)
        case "hash":
            await redis.hset(name, mapping=value)
        case "zset":
            await redis.zadd(name, value)
        case "stream":
            for entry, fields in value["entries"]:
                await redis.xadd(name, fields, id=entry)
            for group in value["groups"]:
                await redis.xgroup_create(name, group["name"], group["last"], mkstream=True)
                for entry, worker, deliveries in group["pending"]:
                    await redis.xclaim(
                        name, group["name"], worker, 0, [entry],
                        idle=3_600_000, retrycount=deliveries, force=True, justid=True,
                    )  # fmt: skip
        case _:
            raise AssertionError(f"{name} is a {kind}")


async def test_every_conversation_is_listed_and_read(stored: Stored) -> None:
    listed = {info.session: info.turns for info in await stored.sessions.list()}
    assert listed == {session: len(talk) for session, talk in TALKS.items()} | {OLD_THREAD: 1}
    for session, talk in TALKS.items():
        assert await stored.talk(session) == talk


async def test_speakers_addresses_states_and_usage_are_read(stored: Stored) -> None:
    first, second, overheard = [turn async for turn in stored.sessions.turns(THREAD)]
    assert first.incoming[0].speaker == Speaker("U1", "Ada", "T1")
    assert first.address.place_kind == "channel"
    assert first.address.reply_to_id == "1795824372.317470"
    assert first.usage is not None
    assert first.usage.input_tokens == 93
    assert second.incoming[0].speaker.name == "Ben"
    assert overheard.state == "overheard"
    stopped, failed = [turn async for turn in stored.sessions.turns(STOPPED)]
    assert (stopped.state, failed.state, failed.note) == ("stopped", "failed", "ModelBusy")


async def test_a_summary_takes_the_place_of_the_turns_it_covers(stored: Stored) -> None:
    past = await stored.history.read(THREAD)
    assert (past.summary, past.summarised_to) == ("Ada said her name; Ben likes tea.", 1)
    assert [item.seq for item in past.window] == [1, 2]
    prompt = PromptBuilder("Be kind.", 4_000).build(past, Turn("new", (_question(past.window[1]),)))
    said = "\n".join(message.text for message in prompt.messages)
    assert "Ada said her name" in said
    assert "Ben: and I like tea" in said
    assert "straße" not in said


async def test_the_seed_of_an_old_thread_and_a_later_edit_are_read(stored: Stored) -> None:
    (item,) = (await stored.history.read(OLD_THREAD)).window
    (question,) = item.turn.incoming
    assert question.text == "what was the plan?"
    assert [(seeded.speaker.name, seeded.text) for seeded in question.seed] == [
        ("Ben", "the plan is to sail"),
        ("Ben", "on Sunday"),
    ]
    edited = await stored.history.edit_message(OLD_THREAD, "1795824373.291755", "on Monday")
    assert edited is not None
    assert edited.id == item.turn.id
    (item,) = (await stored.history.read(OLD_THREAD)).window
    assert item.turn.incoming[0].seed[1].text == "on Monday"


async def test_an_earlier_conversation_is_read_and_an_undone_turn_is_not(stored: Stored) -> None:
    past = await stored.history.read(DIRECT)
    assert past.generation == 1
    info = await stored.sessions.get(DIRECT)
    assert info is not None
    (earlier,) = info.earlier
    (turn,) = await stored.sessions.archived_turns(DIRECT, earlier)
    assert turn.incoming[0].text == "remember: the meeting is on Tuesday"
    assert past.next_seq == 2
    assert len(past.window) == 1


async def test_a_group_that_moved_is_read_at_its_old_address(stored: Stored) -> None:
    past = await stored.history.read(GROUP)
    assert [item.turn.answer for item in past.window] == ["You said: Anna: hi all"]


@pytest.mark.parametrize("session", [*TALKS, GROUP], ids=str)
async def test_a_conversation_goes_on(stored: Stored, session: SessionKey) -> None:
    past = await stored.history.read(session)
    question = _question(past.window[-1])
    turn = Turn(
        "new", (question,), conversation_id=past.conversation_id, generation=past.generation
    )
    done = turn.ended("complete", "Yes.", answer_ids=("m-new",))
    await stored.history.append(TurnWrite(done, tokens_of(done), fence=2_000_000_000_000_000))
    after = await stored.history.read(session, turn_id="new")
    assert after.next_seq == past.next_seq + 1
    assert after.known == done
    assert after.conversation_id == past.conversation_id


async def test_an_answered_turn_is_known_when_it_is_delivered_again(stored: Stored) -> None:
    (first, *_) = [turn async for turn in stored.sessions.turns(TOPIC)]
    past = await stored.history.read(TOPIC, turn_id=first.id)
    assert past.known == first
    assert first.answer_ids == ("12",)
    assert await stored.history.find(TOPIC, "12") == first


async def test_waiting_messages_become_one_turn_in_their_order(stored: Stored) -> None:
    turns, _ = await stored.inbox.claim("new", 10, range(stored.inbox.keys.shards))
    (turn,) = turns
    assert turn.session == WAITING
    texts = [incoming.text for incoming in turn.incoming]
    assert texts == ["a message that is waiting", "and another one"]
    assert turn.tries == 1
    assert await stored.inbox.complete(turn, "done")
    assert not await stored.inbox.mailboxes.messages(WAITING)


async def test_the_turn_of_a_dead_worker_is_claimed_again(stored: Stored) -> None:
    shards = range(stored.inbox.keys.shards)
    (turn,) = await stored.inbox.claim_abandoned("new", 10, shards, min_idle_ms=1_000)
    assert turn.session == RUNNING
    assert [incoming.text for incoming in turn.incoming] == ["a message that is running"]
    assert (turn.tries, turn.fails, turn.crashes) == (2, 0, 1)


async def test_a_held_message_is_still_held(stored: Stored, redis: Redis) -> None:
    ((_, incoming),) = await stored.inbox.mailboxes.messages(HELD)
    assert incoming.text == "again, please"
    assert incoming.quoted == "earlier"
    assert incoming.attachments[0].reference == "file-1"
    shard = stored.inbox.keys.shard(HELD)
    assert await redis.zrange(stored.inbox.keys.of(shard, "retry"), 0, -1) == [str(HELD).encode()]


async def test_a_dead_letter_is_listed_and_can_be_retried(stored: Stored) -> None:
    (letter,) = await stored.dead_letters.list()
    assert letter.incoming is not None
    assert letter.incoming.text == "a message that is dead"
    assert (letter.reason, letter.tries) == ("ModelKeyRefused: 401", 1)
    assert await stored.dead_letters.retry(letter)
    ((_, incoming),) = await stored.inbox.mailboxes.messages(DEAD)
    assert incoming == letter.incoming


async def test_a_delivery_repeated_after_the_update_is_a_duplicate(stored: Stored) -> None:
    for session in (THREAD, TOPIC, PRIVATE):
        (first, *_) = [turn async for turn in stored.sessions.turns(session)]
        admission, _ = await stored.inbox.enqueue(first.incoming[0])
        assert admission == "duplicate"


async def test_key_value_facts_are_read(stored: Stored, redis: Redis) -> None:
    key_values = RedisKeyValueStore(redis, PREFIX)
    assert await key_values.get("slack/example") == "a fact — ü"
    assert await key_values.get("topic:telegram/7000/-1002:12") == "5"


async def test_recent_conversations_of_a_person_are_listed(stored: Stored, redis: Redis) -> None:
    recent = RecentConversations(redis, PREFIX, 3_600, stored.sessions)
    listed = await recent.conversations_of("slack", Speaker("U1", account="T1"))
    assert {summary.session for summary in listed} == {THREAD, OLD_THREAD, DIRECT}
    listed = await recent.conversations_of("telegram", Speaker("41"))
    assert {summary.session for summary in listed} == {PRIVATE}


def _question(item: Any) -> Incoming:
    incoming: Incoming = item.turn.incoming[0]
    return incoming
