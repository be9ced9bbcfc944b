"""Targets of messages, and the details of an address that they are made from."""

from __future__ import annotations

import pytest

from adapters.telegram.outbound.target import Target, TelegramDetails
from adapters.telegram.topics import Topic
from bot.conversation import Address, SessionKey

FORUM_TOPIC = SessionKey("telegram", "7", "-1002", "5")


@pytest.mark.parametrize("details", [TelegramDetails(), TelegramDetails("4")])
def test_details_survive_the_round_trip(details: TelegramDetails) -> None:
    assert TelegramDetails.read(details.write()) == details


def test_details_keep_the_stored_name() -> None:
    assert TelegramDetails("4").write() == {"chain": "4"}
    assert TelegramDetails().write() == {}


def test_a_target_replies_only_in_groups() -> None:
    group = Address(FORUM_TOPIC, "group", reply_to_id="3")
    private = Address(FORUM_TOPIC, "private", reply_to_id="3")
    assert Target.of(group) == Target(-1002, topic=Topic("thread", 5), reply_to=3, question=3)
    assert Target.of(private) == Target(-1002, topic=Topic("thread", 5), question=3)


def test_further_messages_reply_only_within_a_reply_chain() -> None:
    chain = Address(FORUM_TOPIC, "group", reply_to_id="3", details=TelegramDetails("4").write())
    assert Target.of(chain).after_first.reply_to == 3
    assert Target(-1002, reply_to=3).after_first.reply_to is None


def test_a_target_without_its_thread_replies_to_the_question() -> None:
    """T2: also in private chats, where answers in a topic are no replies."""
    private = Target.of(Address(FORUM_TOPIC, "private", reply_to_id="3"))
    assert private.parameters["message_thread_id"] == 5
    parameters = private.without_thread.parameters
    assert parameters["message_thread_id"] is None
    assert parameters["reply_parameters"].message_id == 3
    assert private.after_first.without_thread.reply_to is None


def test_a_target_in_direct_messages_keeps_its_topic() -> None:
    """T2: without it the answer would reach nobody, or somebody else."""
    target = Target(-1002, topic=Topic("direct", 5), question=3)
    assert target.without_thread == target
