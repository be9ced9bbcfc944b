"""Routing: conversations, addresses and intents of messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.inbound.events import MessagePosted
from adapters.slack.inbound.routing import (
    address_of,
    addresses_others,
    classify,
    find_command,
    session_of,
)
from bot.commands import BUILTIN
from bot.conversation import SessionKey
from tests.adapters.slack.inbound_harness import message_event


@pytest.mark.parametrize(
    ("name", "place", "thread", "kind", "posts_to"),
    [
        ("app_mention", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_thread", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_broadcast", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_im", "D1", "", "private", ""),
        ("message_im_thread", "D1", "1700000002.000300", "private", "1700000002.000300"),
        ("message_mpim", "G1", "1700000004.000400", "group", "1700000004.000400"),
        ("message_group", "C2", "1700000004.000500", "channel", "1700000004.000500"),
    ],
)
def test_each_place_has_its_conversation(
    name: str, place: str, thread: str, kind: str, posts_to: str
) -> None:
    message = message_event(name)
    address = address_of(message)
    assert address.session == SessionKey("slack", "T1", place, thread)
    assert address.place_kind == kind
    assert address.details["thread_ts"] == posts_to
    assert (address.recipient_id, address.recipient_account) == (
        ("", "") if kind == "private" else ("U1", "T1")
    )


def test_a_direct_message_that_got_replies_still_belongs_to_the_long_talk() -> None:
    message = message_event("message_im", thread_ts="1700000002.000300")
    assert session_of(message).thread == ""


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("<@U2> what do you think?", True),
        ("hey <@U2>, look", True),
        ("thanks <@U2>!", True),
        ("<!subteam^S1|@crew> please look", True),
        ("<!here> look at this", True),
        ("what do you say, <@U2>?", True),
        ("when is <@U2>'s birthday?", False),
        ("and in Haskell?", False),
        ("say hello to <@U2> for me", False),
        ("", False),
    ],
)
def test_messages_to_other_people_are_known_by_how_they_begin_or_end(
    text: str, elsewhere: bool
) -> None:
    assert addresses_others(text) is elsewhere


@pytest.mark.parametrize(
    ("text", "bare", "command"),
    [
        ("reset", True, "reset"),
        ("Reset.", True, "reset"),
        ("export json", True, "export json"),
        ("clear", True, "clear"),
        ("help me with this", True, ""),
        ("reset the router, how?", True, ""),
        ("reset", False, ""),
        ("!reset", False, "reset"),
        ("!export json", False, "export json"),
        ("!important", False, ""),
        ("!", False, ""),
        ("", True, ""),
    ],
)
def test_a_command_after_a_mention_must_be_exact(text: str, bare: bool, command: str) -> None:
    assert find_command(text, BUILTIN, bare=bare) == command


class ClassifyingCore:
    """The part of `bot.ports.Core` that `classify` calls."""

    def __init__(self, takes_part: bool = False) -> None:
        self._takes_part = takes_part

    async def takes_part(self, session: SessionKey) -> bool:
        return self._takes_part

    def commands(self) -> Any:
        return BUILTIN


@pytest.mark.parametrize(
    ("name", "changes", "takes_part", "kind"),
    [
        ("app_mention", {}, False, "message"),
        ("message_mention", {}, False, "message"),
        ("message_top_level", {}, True, None),
        ("message_thread", {}, True, "message"),
        ("message_thread", {}, False, None),
        ("message_thread", {"text": "<@U2> you?"}, True, "overheard"),
        ("message_thread", {"text": "<@U2> and <@UBOT> you?"}, True, "message"),
        ("message_thread", {"text": "!reset"}, True, "command"),
        ("message_thread", {"text": "!reset"}, False, None),
        ("message_thread", {"text": "<@UBOT> reset"}, False, "command"),
        ("message_thread", {"text": "hi", "channel": "CQUIET"}, True, "overheard"),
        ("message_thread", {"text": "<@UBOT> hi", "channel": "CQUIET"}, True, "message"),
        ("message_im", {}, False, "message"),
        ("message_im", {"text": "!status"}, False, "command"),
        ("message_mpim", {}, False, "message"),
        ("message_mpim", {"text": "no mention"}, True, None),
        ("message_voice_clip", {}, False, "message"),
        ("message_own", {}, True, None),
        ("message_other_app", {}, True, None),
        ("app_mention", {"text": "<@UBOT>"}, False, "command"),
        ("app_mention", {"text": "its name stands in a block"}, False, "message"),
        ("message_thread", {"text": "<@UBOT>"}, False, "message"),
        ("message_im", {"user": "USLACKBOT"}, True, None),
    ],
)
async def test_the_bot_speaks_where_it_is_meant(
    name: str, changes: dict[str, Any], takes_part: bool, kind: str | None
) -> None:
    core: Any = ClassifyingCore(takes_part)
    intent = await classify(message_event(name, **changes), "UBOT", core, ("CQUIET",))
    assert (intent.kind if intent else None) == kind


async def test_the_first_message_to_the_bot_inside_a_thread_is_known_as_such() -> None:
    first = message_event("message_thread", text="<@UBOT> what do you make of this?")
    strange: Any = ClassifyingCore()
    known: Any = ClassifyingCore(takes_part=True)
    intent, again = await classify(first, "UBOT", strange), await classify(first, "UBOT", known)
    top = await classify(message_event("app_mention"), "UBOT", strange)
    assert intent is not None
    assert again is not None
    assert top is not None
    assert (intent.is_first_in_thread, again.is_first_in_thread, top.is_first_in_thread) == (
        True,
        False,
        False,
    )
    assert intent.text == "what do you make of this?"


TIMES = st.sampled_from(["1.1", "1.2", ""])
MESSAGES = st.builds(
    MessagePosted,
    team=st.sampled_from(["T1", "T2"]),
    channel=st.sampled_from(["C1", "D1", "G1"]),
    kind=st.sampled_from(["private", "group", "channel"]),
    user=st.sampled_from(["U1", "U2"]),
    ts=st.sampled_from(["1.1", "1.2"]),
    thread_ts=TIMES,
    in_agent_thread=st.booleans(),
    external=st.booleans(),
)


def place_of(message: MessagePosted) -> tuple[str, ...]:
    """The place where people see a message, by Slack's words alone."""
    if message.kind == "private" and message.thread_ts in ("", message.ts):
        return message.team, message.channel, "the long talk"
    return message.team, message.channel, message.thread_ts or message.ts


@given(MESSAGES, MESSAGES)
def test_messages_share_a_session_exactly_if_they_share_a_place(
    one: MessagePosted, other: MessagePosted
) -> None:
    """T8: no two workspaces, channels or threads share a key, whatever ids they have."""
    is_same = place_of(one) == place_of(other)
    assert (session_of(one) == session_of(other)) is is_same
    assert (str(session_of(one)) == str(session_of(other))) is is_same
