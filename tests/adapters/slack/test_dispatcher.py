"""Dispatcher: each event reaches the core once and whole, before it is acknowledged, over both transports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.conversation import SessionKey
from tests.adapters.slack.inbound_harness import InboundHarness
from tests.payloads import slack, slack_names
from tests.support.wait import wait_until

THREAD = SessionKey("slack", "T1", "C1", "1700000000.000100")


async def test_a_mention_reaches_the_core_with_all_that_answering_it_takes(
    inbound: InboundHarness,
) -> None:
    assert (await inbound.deliver("app_mention")).acknowledged
    (incoming,) = inbound.core.enqueued
    assert incoming.session == THREAD
    assert (incoming.text, incoming.kind) == ("what is a monad?", "message")
    assert (incoming.speaker.id, incoming.speaker.name) == ("U1", "Ada")
    assert incoming.speaker.account == "T1"
    assert (incoming.message_id, incoming.event_id) == ("1700000000.000100", "slack:Ev0001")
    assert incoming.sent_at == datetime(2023, 11, 14, 22, 13, 20, 100, UTC)
    address = incoming.address
    assert (address.recipient_id, address.recipient_account) == ("U1", "T1")
    assert address.reply_to_id == "1700000000.000100"
    assert dict(address.details) == {"thread_ts": "1700000000.000100"}


@pytest.mark.parametrize(
    "order", [("app_mention", "message_mention"), ("message_mention", "app_mention")]
)
async def test_the_two_events_of_a_mention_are_enqueued_once(
    inbound: InboundHarness, order: tuple[str, str]
) -> None:
    for name in order:
        assert (await inbound.deliver(name)).attempts in (["200"], ["ack"])
    assert len(inbound.core.enqueued) == 1


async def test_a_dropped_message_cannot_eat_its_mention(http: InboundHarness) -> None:
    """The message event of an unfollowed thread is dropped; the mention event of the same message is not."""
    await http.deliver("message_thread")
    assert http.core.enqueued == []
    await http.deliver("message_thread", text="<@UBOT> and in Haskell?")
    assert len(http.core.enqueued) == 1


async def test_a_replayed_event_is_enqueued_once(inbound: InboundHarness) -> None:
    for _ in range(3):
        assert (await inbound.deliver("message_im")).acknowledged
    assert len(inbound.core.enqueued) == 1


async def test_events_are_not_acknowledged_while_redis_is_down_and_slack_sends_them_again(
    inbound: InboundHarness,
) -> None:
    inbound.core.down = True
    inbound.expect_no_ack(attempts=2)
    delivery = await inbound.deliver("message_im")
    assert not delivery.acknowledged
    assert delivery.attempts in (["503", "503"], ["no ack", "no ack"])
    inbound.core.down, inbound.events.ack_timeout_s = False, 20
    assert (await inbound.deliver("message_im")).acknowledged
    assert len(inbound.core.enqueued) == 1


async def test_a_redelivered_event_is_recognised_and_a_first_delivery_is_not(
    inbound: InboundHarness,
) -> None:
    with capture_logs() as logs:
        await inbound.deliver("message_im")
        inbound.core.down = True
        inbound.expect_no_ack(attempts=3)
        await inbound.deliver("app_mention")
        again = await wait_until(
            lambda: (
                (found := [entry for entry in logs if "event sent again" in entry["event"]])[1:]
                and found
            )
        )
    assert [(entry["attempt"], entry["event_id"]) for entry in again] == [
        (1, "Ev0001"),
        (2, "Ev0001"),
    ]
    assert all(entry["reason"] for entry in again)


async def test_everything_slack_sends_is_acknowledged_at_once(inbound: InboundHarness) -> None:
    for name in slack_names():
        if name == "url_verification" and not inbound.events.request_url:
            continue  # Slack asks so only over HTTP
        delivery = await inbound.deliver(name)
        assert delivery.attempts in (["200"], ["ack"]), name
    unknown = slack("message_im", type="something_new_of_2031")
    assert (await inbound.events.deliver(unknown)).attempts in (["200"], ["ack"])


async def test_messages_of_bots_and_joins_start_nothing(http: InboundHarness) -> None:
    http.core.known.add(THREAD)
    for name in ("message_bot", "message_other_app", "message_own", "message_join"):
        await http.deliver(name)
    await http.deliver("message_top_level")
    assert http.core.enqueued == []


async def test_a_thread_is_followed_without_mentions(inbound: InboundHarness) -> None:
    inbound.core.known.add(THREAD)
    await inbound.deliver("message_thread")
    (incoming,) = inbound.core.enqueued
    assert (incoming.session, incoming.kind) == (THREAD, "message")
    assert "seed" not in incoming.address.details


async def test_messages_to_other_people_are_only_overheard(http: InboundHarness) -> None:
    http.core.known.add(THREAD)
    await http.deliver("message_thread", text="<@U2> can you look?")
    (incoming,) = http.core.enqueued
    assert (incoming.kind, incoming.text) == ("overheard", "@Ben can you look?")


async def test_a_first_mention_inside_a_thread_asks_for_its_history(
    http: InboundHarness,
) -> None:
    await http.deliver("message_thread", text="<@UBOT> what do you think?")
    assert http.core.enqueued[0].address.details["seed"] == "1"


async def test_a_mention_and_an_exact_command_is_a_command(http: InboundHarness) -> None:
    await http.deliver("app_mention", text="<@UBOT> reset")
    assert (http.core.enqueued[0].kind, http.core.enqueued[0].text) == ("command", "reset")


async def test_forwarded_messages_files_and_names_are_enqueued(http: InboundHarness) -> None:
    await http.deliver("message_forwarded")
    await http.deliver("message_file_share", text="<@UBOT> read this to <@U2>")
    forwarded, shared = http.core.enqueued
    assert forwarded.quoted == "Bob: Ship it on **Friday**"
    assert shared.text == "read this to @Ben"
    assert [attachment.name for attachment in shared.attachments] == ["notes.txt"]


async def test_an_edit_changes_memory_and_unfurling_a_link_does_not(http: InboundHarness) -> None:
    await http.deliver("message_unfurled")
    assert http.core.enqueued == []
    await http.deliver("message_changed")
    (edit,) = http.core.enqueued
    assert (edit.kind, edit.session, edit.message_id) == ("edit", THREAD, "1700000000.000100")
    assert edit.text == "what is a functor?"


async def test_an_edit_to_a_command_runs_nothing(http: InboundHarness) -> None:
    body = slack("message_changed")
    body["event"]["message"]["text"] = "<@UBOT> reset"
    await http.events.deliver(body)
    assert [incoming.kind for incoming in http.core.enqueued] == ["edit"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("message_deleted", "1700000001.000200"), ("message_tombstone", "1700000000.000100")],
)
async def test_a_deleted_message_is_forgotten(
    http: InboundHarness, name: str, message: str
) -> None:
    await http.deliver(name)
    (delete,) = http.core.enqueued
    assert (delete.kind, delete.session, delete.message_id) == ("delete", THREAD, message)


async def test_the_same_time_stamp_in_two_channels_is_two_messages(http: InboundHarness) -> None:
    """Another bot used the bare time stamp as the key, and lost one of them."""
    await http.deliver("app_mention")
    await http.deliver("app_mention", channel="C7", event_id="other")
    assert [incoming.session.place for incoming in http.core.enqueued] == ["C1", "C7"]


async def test_a_mention_in_a_followed_thread_is_enqueued_once(http: InboundHarness) -> None:
    http.core.known.add(THREAD)
    words = {"text": "<@UBOT> and now?"}
    await http.deliver("message_thread", **words)
    await http.deliver("message_thread", **words, type="app_mention", event_id="twin")
    assert [incoming.text for incoming in http.core.enqueued] == ["and now?"]


async def test_a_workspace_without_the_app_is_acknowledged_and_starts_nothing(
    inbound: InboundHarness,
) -> None:
    body = slack("message_im")
    body["team_id"] = body["authorizations"][0]["team_id"] = "T8"
    assert (await inbound.events.deliver(body)).attempts in (["200"], ["ack"])
    assert inbound.core.enqueued == []


async def test_deleting_what_no_conversation_has_asks_nothing_of_the_core(
    http: InboundHarness,
) -> None:
    body = slack("message_deleted")
    body["event"]["previous_message"].pop("thread_ts")
    await http.events.deliver(body)
    assert http.core.enqueued == []


async def test_deleting_an_answer_forgets_it(http: InboundHarness) -> None:
    body = slack("message_deleted")
    body["event"]["previous_message"] |= {"user": "UBOT", "bot_id": "B1"}
    await http.events.deliver(body)
    assert [incoming.kind for incoming in http.core.enqueued] == ["delete"]


async def test_a_thumb_under_an_answer_is_feedback_in_its_conversation(
    inbound: InboundHarness,
) -> None:
    inbound.post("C1", "UBOT", "an answer", ts="1700000000.000900", thread_ts=THREAD.thread)
    await inbound.deliver("reaction_added")
    (up,) = inbound.core.enqueued
    assert (up.kind, up.text, up.session) == ("feedback", "up", THREAD)
    assert up.message_id == "1700000000.000900"
    await inbound.deliver("reaction_removed")
    assert (inbound.core.enqueued[1].kind, inbound.core.enqueued[1].text) == ("feedback", "")


async def test_a_thumb_under_a_persons_message_is_nothing(http: InboundHarness) -> None:
    await http.deliver("reaction_added", item_user="U2")
    assert http.core.enqueued == []
    assert http.calls("conversations.replies") == []


async def test_slacks_own_stop_button_stops(http: InboundHarness) -> None:
    await http.deliver("agent_session_stopped")
    ((session, speaker),) = http.core.stopped
    assert (session, speaker.id) == (THREAD, "U1")


async def test_a_new_agent_thread_suggests_prompts_and_gets_its_title(
    http: InboundHarness,
) -> None:
    await http.deliver("assistant_thread_started")
    await wait_until(lambda: http.calls("assistant.threads.setSuggestedPrompts"))
    await http.deliver("message_agent_thread")
    (titled,) = await wait_until(lambda: http.calls("assistant.threads.setTitle"))
    assert titled["title"] == "help me plan my week"
    assert "seed" not in http.core.enqueued[0].address.details


async def test_the_app_being_removed_is_acknowledged_and_survived(http: InboundHarness) -> None:
    await http.deliver("app_uninstalled")
    await http.deliver("tokens_revoked")
    assert [event.team for event in http.uninstalled] == ["T1", "T1"]


async def test_a_payload_that_breaks_us_does_not_break_the_next(inbound: InboundHarness) -> None:
    odd: dict[str, Any] = slack("message_im")
    odd["event"] = {"type": "message", "files": 7, "channel": "D1", "user": "U1", "ts": "1.1"}
    inbound.events.max_attempts = 1
    await inbound.events.deliver(odd)
    await inbound.deliver("message_im")
    assert [incoming.text for incoming in inbound.core.enqueued] == ["hello there"]


async def test_a_picture_of_which_slack_tells_only_an_id_is_known_for_a_picture(
    http: InboundHarness,
) -> None:
    picture = http.server.add_file("board.png", b"PNG", "image/png")
    hidden = {"id": picture["id"], "mode": "file_access", "file_access": "check_file_info"}
    await http.deliver("message_file_to_look_up", files=[hidden])
    (attachment,) = http.core.enqueued[0].attachments
    assert (attachment.kind, attachment.name) == ("image", "board.png")


async def test_a_button_from_another_channel_stops_nothing_there(http: InboundHarness) -> None:
    body = slack("press_stop")
    body["channel"]["id"] = "C7"
    body["container"]["channel_id"] = "C7"
    await http.events.deliver(body)
    assert http.core.stopped == []
