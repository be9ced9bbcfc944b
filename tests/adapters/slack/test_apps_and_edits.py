"""Messages of other apps, edits that add a mention, names of places: what reaches the core."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.slack.inbound.automated import MAX_IN_A_ROW
from bot.conversation import SessionKey
from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.payloads import slack

ROOT = "1700000000.000100"
THREAD = SessionKey("slack", "T1", "C1", ROOT)


def edit(before: str, now: str, *, thread_ts: str = ROOT, ts: str = "1700000002.000200") -> Any:
    body = slack("message_changed")
    for name, text in (("message", now), ("previous_message", before)):
        body["event"][name] |= {"text": text, "ts": ts, "thread_ts": thread_ts}
    return body


async def test_an_edit_that_adds_the_mention_is_a_question_once(http: InboundHarness) -> None:
    """S7: a message first meant for somebody else is edited to mention the bot."""
    http.core.known.add(THREAD)
    await http.deliver("message_thread", text="<@U2> can you look?", ts="1700000002.000200")
    body = edit("<@U2> can you look?", "<@UBOT> can you look?")
    await http.events.deliver(body)
    await http.events.deliver(body | {"event_id": "Ev7001"})
    mention = slack("app_mention", text="<@UBOT> can you look?", ts="1700000002.000200")
    mention["event"]["edited"] = {"user": "U1", "ts": "1700000009.000000"}
    await http.events.deliver(mention)
    kinds = [(item.kind, item.text) for item in http.core.enqueued]
    assert kinds == [
        ("overheard", "@Ben can you look?"),
        ("delete", ""),
        ("message", "can you look?"),
    ]


async def test_an_edit_that_adds_the_mention_at_top_level_is_a_question(
    http: InboundHarness,
) -> None:
    """S7: also where the message was in no conversation yet."""
    await http.events.deliver(edit("what is up?", "<@UBOT> what is up?", thread_ts=""))
    assert [item.kind for item in http.core.enqueued][-1] == "message"


@pytest.mark.parametrize("before", ["<@UBOT> what is a mnad?", "what is a mnad?"])
async def test_an_edit_of_an_answered_message_changes_memory_alone(
    http: InboundHarness, before: str
) -> None:
    """S7: a typo mended in an answered mention, however old, is no new question."""
    http.core.known.add(THREAD)
    await http.events.deliver(edit(before, "<@UBOT> what is a monad?"))
    mention = slack("app_mention", text="<@UBOT> what is a monad?", ts="1700000002.000200")
    mention["event"]["edited"] = {"user": "U1", "ts": "1700000009.000000"}
    await http.events.deliver(mention)
    assert [item.kind for item in http.core.enqueued] == ["edit"]


@pytest.mark.parametrize("name", ["message_bot", "message_other_app"])
async def test_a_message_of_another_app_in_an_active_thread_is_overheard(
    http: InboundHarness, name: str
) -> None:
    """S9: a CI app replies in the thread; the bot knows, and does not answer."""
    http.core.known.add(THREAD)
    http.server.add_person("U7", "other", is_bot=True)
    await http.deliver(name, thread_ts=ROOT, text="step 3 failed", blocks=[])
    (incoming,) = http.core.enqueued
    assert (incoming.kind, incoming.text) == ("overheard", "step 3 failed")
    assert incoming.speaker.name.endswith(" (app)")


async def test_a_message_of_another_app_elsewhere_stays_unheard(http: InboundHarness) -> None:
    await http.deliver("message_bot", thread_ts=ROOT)
    await http.deliver("message_bot", text="<@UBOT> hello")
    assert http.core.enqueued == []


async def test_a_person_who_posts_through_an_app_is_answered(http: InboundHarness) -> None:
    """S11: a message sent by a user token has a person's id and a bot's."""
    http.server.add_person("U7", "Gus")
    await http.deliver("message_other_app")
    (incoming,) = http.core.enqueued
    assert (incoming.kind, incoming.speaker.name) == ("message", "Gus")


async def test_a_listed_workflow_is_answered_and_never_without_end(settings: Settings) -> None:
    """S11: `SLACK_ANSWER_APPS`, and the bound on answers without a person in between."""
    async with open_inbound_harness(
        settings, transport="http", slack_answer_apps=("B7",)
    ) as inbound:
        inbound.core.known.add(THREAD)

        async def mention(number: int) -> None:
            ts = f"17000001{number:02}.000100"
            await inbound.deliver(
                "message_bot", text=f"<@UBOT> sum up {number}", ts=ts, thread_ts=ROOT, event_id=ts
            )

        for number in range(MAX_IN_A_ROW + 2):
            await mention(number)
        kinds = [item.kind for item in inbound.core.enqueued]
        assert kinds == ["message"] * MAX_IN_A_ROW + ["overheard"] * 2
        await inbound.deliver("message_thread", text="go on", event_id="person")
        await mention(90)
        assert [item.kind for item in inbound.core.enqueued[-2:]] == ["message", "message"]


async def test_channels_and_groups_are_called_by_their_names(http: InboundHarness) -> None:
    """S10: `<#C…>`, `<#C…|>` and `<!subteam^S…>`."""
    http.server.space.channel("C1").name = "project-one"
    http.server.space.user_groups["S0OPS1"] = "ops"
    await http.deliver("app_mention", text="<@UBOT> ask <!subteam^S0OPS1> in <#C1|> or <#C1>")
    await http.deliver("message_im", text="and <#C1> or <#C9NOT>?")
    first, second = http.core.enqueued
    assert first.text == "ask @ops in #project-one or #project-one"
    assert second.text == "and #project-one or #C9NOT?"
    assert len(http.calls("usergroups.list")) == 1
