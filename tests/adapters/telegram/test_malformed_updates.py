"""Malformed updates: each is dropped, and costs none of those after it."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.telegram.inbound.callbacks import Callbacks
from adapters.telegram.inbound.dispatcher import Dispatcher
from adapters.telegram.inbound.routing import BotIdentity
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.polling import Polling
from bot.background import BackgroundTasks
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.ports import CommandSpec
from tests.adapters.telegram.harness import (
    ANNA,
    BEN,
    FORUM,
    GROUP,
    furnished,
)
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.key_value_store import InMemoryKeyValueStore

LAST = "the last word"


@dataclass(slots=True)
class RecordingCore:
    """The `Core` port. Everybody may talk; what is put in is kept as the inbox keeps it."""

    key_values: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    taken: list[Incoming] = field(default_factory=list)

    async def enqueue(self, incoming: Incoming, **_: Any) -> str:
        self.taken.append(Incoming.from_json(incoming.to_json()))
        return "queued"

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        return SessionKey.parse(str(session)) == session

    async def takes_part(self, session: SessionKey) -> bool:
        return SessionKey.parse(str(session)) == session

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return SessionKey.parse(str(address.session)) == address.session

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        assert SessionKey.parse(str(new)) == new

    def commands(self) -> tuple[CommandSpec, ...]:
        return (CommandSpec("reset", "Forget."),)


class NoTasks(BackgroundTasks):
    """Drops every task."""

    def add(self, name: str, work: Any) -> None:
        work.close()


class AllConfirmed(Exception):
    """Every update was confirmed."""


@dataclass(slots=True)
class ScriptedClient:
    """The part of the client that polling uses: it returns `updates` until they are confirmed, a hundred at a time."""

    updates: list[Any]
    token: str = f"{BOT_ID}:loopback"

    async def fetch_updates(
        self, offset: int | None, poll_s: int, allowed: Sequence[str], *, read_s: float
    ) -> list[Any]:
        self.updates = [update for update in self.updates if not is_confirmed(update, offset or 0)]
        if not self.updates:
            raise AllConfirmed
        return self.updates[:100]

    async def delete_webhook(self) -> bool:
        return True


def is_confirmed(update: Any, offset: int) -> bool:
    """Telegram numbers its updates; a value without a number goes with the next numbered one."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return offset > (number if type(number) is int else 0)


def parsed(updates: list[Any]) -> list[str]:
    """The texts that are taken in of `updates`, polled until all of them are confirmed."""

    async def poll() -> list[str]:
        client: Any = ScriptedClient(updates)
        core: Any = RecordingCore()
        background = NoTasks()
        sender = MessageSender(client, core.migrate)
        me = BotIdentity(BOT_ID, "keepthread_bot", reads_all=True)
        callbacks = Callbacks(
            core, me, sender, SentMessages(core.key_values, str(BOT_ID)), background
        )
        dispatcher = Dispatcher(core, me, sender, lambda _: None, background, callbacks)  # type: ignore[arg-type,return-value]
        polling = Polling(client, dispatcher.dispatch, Heartbeat(), wait_s=0)
        with pytest.raises(AllConfirmed), capture_logs():
            await polling.run()
        return [incoming.text for incoming in core.taken]

    return asyncio.run(poll())


def samples() -> Iterator[dict[str, Any]]:
    """An update of every kind that is handled."""
    telegram = furnished(TelegramServer())
    file = {"file_id": "f", "file_unique_id": "u", "file_size": 12}
    telegram.say(ANNA, ANNA, "/reset now")
    said = telegram.say(GROUP, BEN, "@keepthread_bot hello **you**")
    telegram.say(FORUM, BEN, "and I?", thread=5, reply_to=None, quote={"text": "q", "position": 0})
    telegram.edit(GROUP, said, "@keepthread_bot hello")
    telegram.press(GROUP, said, ANNA, "rate::up")
    telegram.press(GROUP, said, ANNA, "do:5:reset")
    telegram.press(GROUP, said, ANNA, "stop::")
    telegram.react(GROUP, said, ANNA, "👍")
    telegram.say(GROUP, BEN, "/forget@keepthread_bot", reply_to=said)
    telegram.say(ANNA, ANNA, voice={**file, "duration": 3}, media_group_id="a")
    telegram.say(ANNA, ANNA, document={**file, "file_name": "a.txt"}, caption="look")
    telegram.say(ANNA, ANNA, location={"latitude": 1.5, "longitude": 2})
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Zoë"}
    telegram.say(ANNA, ANNA, "x" * 4_000, forward_origin=origin)
    telegram.say(GROUP, GROUP, "I am the group", sender_chat={"id": GROUP, "type": "supergroup"})
    telegram.push({"message": telegram.message(GROUP, BEN, migrate_to_chat_id=-10055)})
    telegram.push({"stopped_message_generation": {"chat": {"id": ANNA}, "draft_id": 1}})
    member = {"user": telegram.me(), "status": "member"}
    left = {**member, "status": "left"}
    chat = telegram.chat(GROUP).raw()
    change = {"chat": chat, "from": telegram.people[ANNA], "date": 1}
    telegram.push({"my_chat_member": change | {"old_chat_member": member, "new_chat_member": left}})
    yield from telegram.updates


SAMPLES = tuple(samples())
LAST_UPDATE = next(sample for sample in SAMPLES if "hello" in json.dumps(sample))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud83d", "", "-1", "/", "@keepthread_bot", 2**63, -(2**63), 1e308]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "chat", "text", "type", "from", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)  # fmt: skip


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every part of `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inside:
        yield (*path, key)
        if isinstance(part, (dict, list)):
            yield from paths_in(part, (*path, key))


@st.composite
def malformed(draw: st.DrawFn) -> Any:
    """An update with parts missing, added or replaced."""
    update = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in paths_in(update) if path != ("update_id",)]
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        inside: Any = update
        for key in path[:-1]:
            inside = inside[key]
        what = draw(st.sampled_from(["another", "missing", "more"]))
        if what == "another":
            inside[path[-1]] = draw(json_values)
        elif what == "missing":
            del inside[path[-1]]
        elif isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = draw(json_values)
    return update


@settings(max_examples=150, deadline=None)
@given(st.lists(malformed(), min_size=1, max_size=6))
def test_a_malformed_update_stalls_nothing_and_costs_no_other(updates: list[Any]) -> None:
    numbered = [{**update, "update_id": number} for number, update in enumerate(updates)]
    assert parsed([*numbered, last(len(numbered))])[-1] == LAST


@settings(max_examples=60, deadline=None)
@given(st.lists(json_values | st.fixed_dictionaries({"update_id": json_values}), max_size=6))
@example([None])
@example([{"update_id": None}, {"update_id": True}, {"update_id": -5}])
def test_a_value_that_is_no_update_stalls_nothing(updates: list[Any]) -> None:
    without_number = [update for update in updates if not is_numbered(update)]
    assert parsed([*without_number, last(7)]) == [LAST]


def is_numbered(update: Any) -> bool:
    return isinstance(update, dict) and type(update.get("update_id")) is int


def last(number: int) -> dict[str, Any]:
    """A good update at the end."""
    update: dict[str, Any] = {**copy.deepcopy(LAST_UPDATE), "update_id": number}
    update["message"] |= {"text": f"@keepthread_bot {LAST}", "message_id": 999}
    return update


def test_every_sample_is_handled() -> None:
    texts = parsed(list(copy.deepcopy(SAMPLES)))
    assert {"reset now", "hello **you**", "up", "reset", "[location: 1.5, 2]"} <= set(texts)
