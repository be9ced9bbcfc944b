"""Interactions: buttons, shortcuts and the slash command are authorized, and answered to their person."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation import SessionKey
from tests.adapters.slack.inbound_harness import InboundHarness
from tests.payloads import slack
from tests.support.wait import wait_until

THREAD = SessionKey("slack", "T1", "C1", "1700000000.000100")


async def test_stop_stops_the_conversation_it_was_drawn_in(inbound: InboundHarness) -> None:
    assert (await inbound.deliver("press_stop")).acknowledged
    assert [(session, who.id) for session, who in inbound.core.stopped] == [(THREAD, "U1")]
    assert inbound.core.enqueued == []


@pytest.mark.parametrize("name", ["press_again", "press_offer"])
async def test_answer_again_is_the_command_retry(inbound: InboundHarness, name: str) -> None:
    await inbound.deliver(name)
    (incoming,) = inbound.core.enqueued
    assert (incoming.kind, incoming.text, incoming.session) == ("command", "retry", THREAD)
    assert incoming.address.details["thread_ts"] == THREAD.thread
    assert incoming.address.recipient_id == "U1"


async def test_an_offer_declined_does_nothing(http: InboundHarness) -> None:
    body = slack("press_offer")
    body["actions"][0]["value"] = f"{THREAD} "
    await http.events.deliver(body)
    assert http.core.enqueued == []


async def test_feedback_leads_to_the_message_it_is_under(inbound: InboundHarness) -> None:
    await inbound.deliver("press_feedback")
    (incoming,) = inbound.core.enqueued
    assert (incoming.kind, incoming.text) == ("feedback", "up")
    assert incoming.message_id == "1700000000.000900"


async def test_a_press_that_comes_twice_counts_once(http: InboundHarness) -> None:
    await http.deliver("press_again")
    await http.deliver("press_again")
    assert len(http.core.enqueued) == 1


async def test_buttons_of_people_who_are_not_listed_are_refused(http: InboundHarness) -> None:
    """CVE-2026-35652 of another bot: callbacks ran before authorization."""
    for name in ("press_stop", "press_again", "press_feedback"):
        body = slack(name)
        body["user"] = {"id": "U9", "team_id": "T9"}
        await http.events.deliver(body)
    assert (http.core.enqueued, http.core.stopped) == ([], [])
    assert len(await wait_until(lambda: len(http.notices) == 3 and http.notices)) == 3
    assert {address.details["ephemeral_user"] for address, _ in http.notices} == {"U9"}


async def test_buttons_that_concern_everybody_are_for_admins(http: InboundHarness) -> None:
    body = slack("press_offer")
    body["actions"][0]["value"] = f"{THREAD} reset"
    await http.events.deliver(body)
    assert http.core.enqueued == []
    http.person("U2", "Ben", admin=True)
    body["user"]["id"] = "U2"
    await http.events.deliver(body)
    assert [incoming.text for incoming in http.core.enqueued] == ["reset"]


@pytest.mark.parametrize("value", ["", "nonsense", "slack/T1/C7/1.2 ", "telegram/1/2/ ", "a b c"])
async def test_a_button_that_does_not_belong_there_does_nothing(
    http: InboundHarness, value: str
) -> None:
    body = slack("press_stop")
    body["actions"][0]["value"] = value
    assert (await http.events.deliver(body)).attempts == ["200"]
    assert http.core.stopped == []


async def test_the_shortcut_resets_and_answers_its_person_alone(inbound: InboundHarness) -> None:
    await inbound.deliver("shortcut_reset")
    (incoming,) = inbound.core.enqueued
    assert (incoming.kind, incoming.text, incoming.session) == ("command", "reset", THREAD)
    details = incoming.address.details
    assert details["ephemeral_user"] == "U1"
    assert details["response_url"].startswith("https://hooks.slack.com/")


async def test_people_may_have_their_own_messages_forgotten(http: InboundHarness) -> None:
    await http.deliver("shortcut_forget_own")
    (incoming,) = http.core.enqueued
    assert (incoming.kind, incoming.message_id) == ("delete", "1700000000.000100")
    ((_, text),) = await wait_until(lambda: http.notices)
    assert "forget" in text


async def test_messages_of_others_are_forgotten_for_admins(http: InboundHarness) -> None:
    await http.deliver("shortcut_forget_other")
    assert http.core.enqueued == []
    ((_, text),) = await wait_until(lambda: http.notices)
    assert "may not" in text
    http.person("U3", "Cleo", admin=True)
    body = slack("shortcut_forget_other")
    body["user"]["id"] = "U3"
    await http.events.deliver(body)
    assert [incoming.message_id for incoming in http.core.enqueued] == ["1700000001.000250"]


async def test_the_slash_command_is_answered_to_its_person_alone(inbound: InboundHarness) -> None:
    await inbound.deliver("slash_im")
    (incoming,) = inbound.core.enqueued
    assert (incoming.kind, incoming.text) == ("command", "status")
    assert incoming.session == SessionKey("slack", "T1", "D1", "")
    assert incoming.address.details["ephemeral_user"] == "U1"


async def test_the_slash_command_without_text_is_help(http: InboundHarness) -> None:
    await http.deliver("slash_channel_help")
    assert http.core.enqueued[0].text == "help"


async def test_the_slash_command_in_a_channel_says_where_conversations_are(
    inbound: InboundHarness,
) -> None:
    delivery = await inbound.deliver("slash_channel_reset")
    assert delivery.answer is not None
    assert "!reset" in delivery.answer["text"]
    assert delivery.answer["response_type"] == "ephemeral"
    assert inbound.core.enqueued == []


async def test_interactions_are_not_acknowledged_while_redis_is_down(
    inbound: InboundHarness,
) -> None:
    inbound.core.down = True
    inbound.expect_no_ack(attempts=1)
    for name in ("press_stop", "press_again", "shortcut_reset", "slash_im"):
        assert not (await inbound.deliver(name)).acknowledged, name


async def test_app_home_resets_a_conversation_and_answers_in_direct_messages(
    http: InboundHarness,
) -> None:
    http.person("U1", "Ada", admin=True)
    body: dict[str, Any] = slack("press_home_reset")
    await http.events.deliver(body)
    (incoming,) = http.core.enqueued
    assert (incoming.text, incoming.session) == ("reset", THREAD)
    assert incoming.address.details["home"] == "1"
    assert incoming.address.recipient_id == "U1"
    await wait_until(lambda: http.calls("views.publish"))
