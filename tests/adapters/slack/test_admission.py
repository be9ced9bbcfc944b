"""Admission: people are identified by Slack, and their messages are enqueued in the order they came."""

from __future__ import annotations

import asyncio

import pytest

from bot.conversation import SessionKey
from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.fakes.slack.methods import METHODS
from tests.payloads import slack
from tests.support.wait import wait_until

THREAD = SessionKey("slack", "T1", "C1", "1700000000.000100")


async def test_people_of_other_workspaces_read_that_they_are_not_listed(
    http: InboundHarness,
) -> None:
    await http.deliver("message_from_elsewhere")
    assert http.core.enqueued == []
    ((address, text),) = await wait_until(lambda: http.notices)
    assert "not on the list" in text
    assert address.details["ephemeral_user"] == "U9"


async def test_a_refusal_is_posted_once_though_slack_sends_a_mention_twice(
    http: InboundHarness,
) -> None:
    await http.deliver("message_from_elsewhere")
    await http.deliver("message_from_elsewhere", type="app_mention", event_id="twin")
    await http.deliver("message_from_elsewhere", ts="1700000099.1", event_id="later")
    assert len(http.notices) == 1


async def test_people_of_other_workspaces_talk_where_they_are_listed(settings: Settings) -> None:
    listed = settings.model_copy(update={"bot_allow": ("slack:T9/U9", "slack:T1")})
    async with open_inbound_harness(listed, transport="http") as inbound:
        await inbound.deliver("message_from_elsewhere")
        (incoming,) = inbound.core.enqueued
        assert (incoming.speaker.account, incoming.session.account) == ("T9", "T1")
        assert incoming.address.recipient_account == "T9"


async def test_identities_come_from_slack_and_not_from_the_event(
    http: InboundHarness,
) -> None:
    """CVE-2026-28480 elsewhere: a list matched what could be changed."""
    await http.deliver("message_from_elsewhere", user_team="T1", team="T1")
    assert http.core.enqueued == []


async def test_unknown_people_in_shared_channels_belong_to_no_workspace(
    http: InboundHarness,
) -> None:
    http.fail("users.info", "internal_error", times=5)
    body = slack("message_from_elsewhere")
    for key in ("user_team", "team", "source_team"):
        body["event"].pop(key)
    await http.events.deliver(body)
    assert http.core.enqueued == []


async def test_a_message_whose_speaker_has_no_name_is_enqueued_with_the_id(
    http: InboundHarness,
) -> None:
    http.fail("users.info", "ratelimited", times=5)
    await http.deliver("message_im")
    assert http.core.enqueued[0].speaker.label == "U1"


async def test_a_user_lookup_without_a_user_delays_no_message(
    http: InboundHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "users.info", (lambda *_: {}, "users:read", 100))
    await http.deliver("message_im")
    assert http.core.enqueued[0].speaker.label == "U1"


async def test_a_name_is_asked_for_once(http: InboundHarness) -> None:
    for ts in ("1.1", "1.2", "1.3"):
        await http.deliver("message_im", ts=ts, event_id=ts)
    assert len(http.calls("users.info")) == 1


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_messages_of_one_person_are_enqueued_in_the_order_they_came(
    settings: Settings, transport: str
) -> None:
    """The first message mentions a person whose lookup is slow; the second mentions nobody."""
    async with open_inbound_harness(settings, transport=transport) as inbound:
        await inbound.deliver("message_im", ts="1.1", event_id="before")
        inbound.server.fail("users.info", delay_s=0.3, after=True)
        first = asyncio.create_task(
            inbound.deliver("message_im", text="ask <@U2>", ts="1.2", event_id="first")
        )
        await wait_until(lambda: len(inbound.calls("users.info")) == 2)
        second = asyncio.create_task(
            inbound.deliver("message_im", text="please", ts="1.3", event_id="second")
        )
        elsewhere = await inbound.deliver("app_mention")
        await asyncio.gather(first, second)
        assert elsewhere.acknowledged
        assert [incoming.text for incoming in inbound.core.enqueued if incoming.session.place == "D1"] == [
            "hello there", "ask @Ben", "please",
        ]  # fmt: skip
        assert (
            inbound.core.enqueued[1].session.place == "C1"
        )  # a conversation of its own does not wait


async def test_messages_of_one_person_wait_for_the_name_together(
    settings: Settings,
) -> None:
    """One after another they would wait longer than Slack waits for an acknowledgement."""
    async with open_inbound_harness(settings, transport="http", names_wait_s=1.2) as http:
        http.server.fail("users.info", delay_s=5, after=True)
        deliveries = await asyncio.gather(
            *(http.deliver("message_im", ts=f"1.{n}", event_id=f"{n}") for n in range(20))
        )
        assert all(delivery.attempts == ["200"] for delivery in deliveries)
        assert len(http.core.enqueued) == 20


async def test_events_without_an_id_are_not_taken_for_one_another(http: InboundHarness) -> None:
    for name, ts in (("message_im", "1.1"), ("message_im", "1.2")):
        body = slack(name, ts=ts)
        body.pop("event_id")
        await http.events.deliver(body)
    for name in ("press_again", "shortcut_reset", "press_again"):
        body = slack(name)
        for key in ("trigger_id",):
            body.pop(key)
        for action in body.get("actions", ()):
            action.pop("action_ts", None)
        await http.events.deliver(body)
    assert len(http.core.enqueued) == 5


@pytest.mark.parametrize("name", ["reaction_added", "agent_session_stopped"])
async def test_unknown_people_neither_rate_nor_stop_in_shared_channels(
    http: InboundHarness, name: str
) -> None:
    http.post("C1", "UBOT", "an answer", ts="1700000000.000900", thread_ts=THREAD.thread)
    http.fail("users.info", "internal_error", times=5)
    body = slack(name)
    body["is_ext_shared_channel"] = True
    await http.events.deliver(body)
    assert (http.core.enqueued, http.core.stopped) == ([], [])


async def test_deletions_are_followed_whoever_is_on_the_list(settings: Settings) -> None:
    """The bot itself, whose answers can be deleted, is on no list."""
    listed = settings.model_copy(update={"bot_allow": ("slack:T1/U2",)})
    async with open_inbound_harness(listed, transport="http") as inbound:
        body = slack("message_deleted")
        await inbound.events.deliver(body)
        body["event"]["deleted_ts"] = body["event"]["previous_message"]["ts"] = "1700000003.1"
        body["event"]["previous_message"] |= {"user": "UBOT", "bot_id": "B1"}
        body["event_id"] = "Ev-other"
        await inbound.events.deliver(body)
        assert [incoming.kind for incoming in inbound.core.enqueued] == ["delete", "delete"]
        await inbound.deliver("message_im")
        assert len(inbound.core.enqueued) == 2
        assert len(inbound.notices) == 1
