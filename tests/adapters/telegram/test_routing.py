"""Session keys over all that the Bot API uses to say where a message is."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Chat, Message

from adapters.telegram.inbound.routing import (
    address_of,
    foreign_place,
    is_private_talk,
    session_of,
    speaker_of,
    topic_of,
)
from adapters.telegram.outbound.target import Target
from adapters.telegram.topics import Topic
from bot.conversation import SessionKey

BOT = 7000
SMALL = st.integers(1, 3)
"""Few ids, so that different kinds of place share them."""

PRIVATE_IDS, GROUP_IDS = st.integers(41, 42), st.integers(-1002, -1001)

READ_FOR_THE_PLACE = {
    "chat",
    "message_thread_id",
    "is_topic_message",
    "direct_messages_topic",
    "business_connection_id",
    "guest_query_id",
}
OF_CONTENTS = {
    "connected_website", "delete_chat_photo", "effect_id", "forum_topic_closed", "forum_topic_created",
    "forum_topic_edited", "forum_topic_reopened", "general_forum_topic_hidden", "general_forum_topic_unhidden",
    "group_chat_created", "supergroup_chat_created", "channel_chat_created", "media_group_id", "message_id",
    "migrate_from_chat_id", "migrate_to_chat_id", "new_chat_photo", "new_chat_title", "new_chat_members",
    "left_chat_member", "sender_chat", "chat_background_set", "chat_owner_changed", "chat_owner_left",
    "chat_shared", "video_chat_ended", "video_chat_participants_invited", "video_chat_scheduled",
    "video_chat_started", "reply_to_checklist_task_id", "reply_to_poll_option_id", "guest_bot_caller_chat",
    "guest_bot_caller_user", "sender_business_bot",
}  # fmt: skip
"""Fields whose names sound like a place, and which tell of the contents or the author."""

ABOUT_PLACES = re.compile(
    r"chat|topic|thread|connection|query|guest|business|_id$|connected|receiver"
)


def test_every_field_of_the_sdk_that_tells_a_place_is_read_or_known_to_tell_none() -> None:
    """T8: a new way to part a chat into private talks does not slip by with a new SDK."""
    fields = inspect.signature(Message.__init__).parameters
    about_places = {name for name in fields if ABOUT_PLACES.search(name)}
    assert about_places == READ_FOR_THE_PLACE | OF_CONTENTS
    chat_fields = set(inspect.signature(Chat.__init__).parameters) - {"self", "api_kwargs"}
    known = {"id", "type", "title", "username", "first_name", "last_name", "is_forum"}
    assert chat_fields == known | {"is_direct_messages"}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Raw messages with every combination of the fields that tell a place, also such as no server sends."""
    chat_type = draw(st.sampled_from(["private", "group", "supergroup", "channel"]))
    chat_id = draw(PRIVATE_IDS if chat_type == "private" else GROUP_IDS)
    chat: dict[str, Any] = {"id": chat_id, "type": chat_type}
    raw: dict[str, Any] = {"message_id": draw(SMALL), "date": 0, "text": "x", "chat": chat}
    person = draw(PRIVATE_IDS) if chat_type != "private" else chat_id
    raw["from"] = {"id": person, "is_bot": False, "first_name": "P"}
    if draw(st.booleans()):
        raw["message_thread_id"] = draw(SMALL)
    if draw(st.booleans()):
        raw["is_topic_message"] = True
    if chat_type == "supergroup" and draw(st.booleans()):
        chat["is_direct_messages"] = True
        if draw(st.integers(0, 4)):
            topic: dict[str, Any] = {"topic_id": draw(SMALL)}
            # The person whose topic it is follows from its id, as at Telegram.
            topic["user"] = {"id": 40 + topic["topic_id"], "is_bot": False, "first_name": "P"}
            raw["direct_messages_topic"] = topic
    elif chat_type == "supergroup" and draw(st.booleans()):
        chat["is_forum"] = True
    for field in ("business_connection_id", "guest_query_id", "ephemeral_message_id"):
        if not draw(st.integers(0, 6)):
            raw[field] = str(draw(SMALL))
    return raw


def place_of(raw: dict[str, Any]) -> tuple[Any, ...]:
    """The place of a message, by the words of the Bot API alone."""
    direct = raw.get("direct_messages_topic", {}).get("topic_id")
    if direct is not None:
        return (raw["chat"]["id"], "direct", direct)
    thread = raw.get("message_thread_id") if raw.get("is_topic_message") else None
    return (raw["chat"]["id"], "thread", thread)


def hidden_part(raw: dict[str, Any]) -> tuple[Any, ...]:
    """The fields that put a message where other members of its chat do not see it."""
    fields = ("business_connection_id", "guest_query_id", "ephemeral_message_id")
    return tuple(raw.get(field) for field in fields)


@given(messages(), messages())
def test_messages_share_a_session_exactly_if_they_share_a_place(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """T8: no two private talks share a key, whatever ids and fields they have."""
    places, sessions = [], []
    for raw in (one, other):
        message = Message.de_json(raw, None)
        if foreign_place(message):
            is_whole = any(hidden_part(raw)) or raw["chat"].get("is_direct_messages")
            assert is_whole
            return
        assert not any(hidden_part(raw))
        places.append(place_of(raw))
        sessions.append(session_of(message.chat.id, topic_of(message), BOT))
    assert (sessions[0] == sessions[1]) == (places[0] == places[1])
    assert (str(sessions[0]) == str(sessions[1])) == (places[0] == places[1])


@given(messages())
def test_an_answer_goes_to_the_place_of_its_message(raw: dict[str, Any]) -> None:
    """T8: the address alone names the same chat and topic, after a round trip through its text too."""
    message = Message.de_json(raw, None)
    speaker = speaker_of(message)
    if foreign_place(message) or speaker is None:
        return
    address = address_of(message, BOT, speaker)
    assert SessionKey.parse(str(address.session)) == address.session
    target = Target.of(address)
    chat_id, kind, topic = place_of(raw)
    names = ("message_thread_id", "direct_messages_topic_id")
    named = {name: target.parameters[name] for name in names if target.parameters.get(name)}
    assert target.chat_id == chat_id
    assert named == ({names[kind == "direct"]: topic} if topic else {})


@given(messages())
def test_a_private_talk_has_one_person(raw: dict[str, Any]) -> None:
    """T8: where several people write, they are named to the model, and clearing is for admins."""
    message = Message.de_json(raw, None)
    if foreign_place(message) or not is_private_talk(message):
        return
    person = raw.get("direct_messages_topic", {}).get("user", {}).get("id", raw["chat"]["id"])
    assert raw["from"]["id"] == person


@given(st.sampled_from(["thread", "direct"]), st.integers(-(2**63), 2**63))
def test_a_topic_survives_the_round_trip(kind: Any, number: int) -> None:
    topic = Topic(kind, number)
    assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize("thread", ["x", "direct-", "direct-x", "05", " 5", "direct-٥", "٥", "5/6"])
def test_a_thread_that_names_no_topic_is_refused(thread: str) -> None:
    with pytest.raises(ValueError, match=r"topic|literal"):
        Topic.parse(thread)
