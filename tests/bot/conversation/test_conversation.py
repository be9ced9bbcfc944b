"""Values of conversations are read as they were written, whatever people and platforms put into them."""

from __future__ import annotations

import dataclasses
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from bot.conversation import (
    Address,
    Attachment,
    Incoming,
    Overheard,
    SessionKey,
    Speaker,
    Turn,
    Usage,
)
from bot.memory.keys import HistoryKeys
from bot.text import clean_text

texts = st.text(st.characters(exclude_categories=()), max_size=20)
"""Any text that Python can hold, lone surrogates included."""

keys = st.builds(SessionKey, texts, texts, texts, texts)
speakers = st.builds(Speaker, texts, texts, texts)
attachments = st.builds(
    Attachment,
    st.sampled_from(["image", "audio", "document", "other"]),
    texts,
    texts,
    texts,
    st.none() | st.integers(0, 2**63),
    texts,
)
addresses = st.builds(
    Address,
    keys,
    st.sampled_from(["private", "group", "channel"]),
    texts,
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=3),
)
times = st.datetimes(timezones=st.just(UTC))
incomings = st.builds(
    Incoming,
    addresses,
    speakers,
    texts,
    texts,
    texts,
    times,
    st.sampled_from(["message", "command", "overheard", "edit", "delete", "feedback"]),
    texts,
    st.lists(attachments, max_size=2).map(tuple),
    st.lists(st.builds(Overheard, speakers, texts, texts), max_size=2).map(tuple),
)
counts = st.integers(0, 2**53)
turns = st.builds(
    Turn,
    texts,
    st.lists(incomings, min_size=1, max_size=2).map(tuple),
    texts,
    st.sampled_from(["asked", "complete", "stopped", "failed", "overheard"]),
    texts,
    counts,
    texts,
    texts,
    st.none() | st.builds(Usage, counts, counts, counts),
    texts,
    st.sampled_from(["", "refused", "repeated", "delivered"]),
    st.lists(texts, max_size=2).map(tuple),
    st.none() | times,
)


@given(keys)
def test_a_session_key_is_read_as_it_was_written(key: SessionKey) -> None:
    assert SessionKey.parse(str(key)) == key
    assert str(key).isascii()


@given(keys, keys)
def test_two_sessions_never_have_the_same_name(one: SessionKey, other: SessionKey) -> None:
    assert (one == other) == (str(one) == str(other))


@given(texts)
def test_a_text_is_no_session_key_or_is_written_back_the_same(text: str) -> None:
    try:
        key = SessionKey.parse(text)
    except ValueError:
        return
    assert str(key) == text


@pytest.mark.parametrize("text", ["", "a/b/c", "a/b/c/d/e", "a/b/c/%7e", "a/b/c/%ff", "a/b/c/é"])
def test_other_spellings_of_a_session_key_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the promise; the words differ
        SessionKey.parse(text)


near = st.text("{}:/%ab", max_size=4)
confusable = st.builds(SessionKey, near, near, near, near)
parts = st.sampled_from(["state", "turns", "index", "old:1"])


@given(confusable, confusable, parts, parts)
def test_two_different_sessions_never_share_a_redis_key(
    one: SessionKey, other: SessionKey, part: str, other_part: str
) -> None:
    names = HistoryKeys("kt")
    same = names.of(one, part) == names.of(other, other_part)
    assert same == ((one, part) == (other, other_part))


@given(keys, parts)
def test_all_keys_of_a_session_live_on_one_cluster_node(key: SessionKey, part: str) -> None:
    name = HistoryKeys("kt").of(key, part)
    tag = name[name.index("{") + 1 : name.index("}")]
    assert tag == str(key)
    assert key_slot(name.encode()) == key_slot(str(key).encode())


@given(incomings)
def test_an_incoming_is_read_as_it_was_written(incoming: Incoming) -> None:
    assert Incoming.from_json(incoming.to_json()) == incoming


@given(turns)
def test_a_turn_is_read_as_it_was_written(turn: Turn) -> None:
    assert Turn.from_json(turn.to_json()) == turn
    assert turn.to_dict()["id"] == turn.id


@given(texts)
def test_cleaned_text_can_be_sent_anywhere_and_keeps_all_that_can(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode()
    assert clean_text(cleaned) == cleaned
    if text.isprintable() and text.isascii():
        assert cleaned == text


def test_halves_of_an_emoji_that_came_in_two_pieces_are_joined() -> None:
    turn = Turn("1", (Incoming(Address(SessionKey("a", "b", "c")), Speaker("u"), "hi"),))
    assert turn.ended("complete", "\ud83d" + "\ude00").answer == "😀"


def test_values_cannot_be_changed() -> None:
    key = SessionKey("a", "b", "c")
    for value in (key, Speaker("u"), Address(key), Incoming(Address(key), Speaker("u"), "t")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.__setattr__(dataclasses.fields(value)[0].name, "x")


def test_a_place_is_shared_unless_it_is_private() -> None:
    key = SessionKey("a", "b", "c")
    assert not Address(key, "private").shared
    assert Address(key, "group").shared
    assert Address(key, "channel").shared
