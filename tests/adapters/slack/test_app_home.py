"""App Home: help, the person's own conversations, totals for admins, nothing for strangers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.slack import action_ids
from adapters.slack.api.workspaces import Workspace
from adapters.slack.app_home import home_view
from adapters.slack.assistant import title_of
from bot.commands import BUILTIN
from bot.conversation import SessionKey
from bot.ports import ConversationSummary
from tests.adapters.slack.inbound_harness import InboundHarness
from tests.payloads import slack
from tests.support.wait import wait_until

TEAM = Workspace("T1", "UBOT", url="https://acme.slack.com/")
THREAD = SessionKey("slack", "T1", "C1", "1700000000.000100")
DIRECT = SessionKey("slack", "T1", "D1")
AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def words(view: dict[str, Any]) -> str:
    return json.dumps(view, ensure_ascii=False)


async def shown(http: InboundHarness, user: str) -> dict[str, Any]:
    await http.deliver("app_home_opened", user=user)
    view: dict[str, Any] = await wait_until(lambda: http.server.space.homes.get(user))
    return view


async def test_people_see_help_and_their_own_conversations(http: InboundHarness) -> None:
    elsewhere = replace(THREAD, account="T5", place="C5")
    http.core.conversations = tuple(
        ConversationSummary(session, 3, AT) for session in (THREAD, DIRECT, elsewhere)
    )
    view = await shown(http, "U1")
    text = words(view)
    assert "archives/C1/p1700000000000100" in text
    assert "Direct messages" in text
    assert "C5" not in text
    assert "3 turns" in text
    assert "3,456" not in text
    for spec in BUILTIN:
        assert spec.summary in text


async def test_a_person_who_left_a_channel_neither_sees_nor_exports_its_conversations(
    http: InboundHarness,
) -> None:
    http.core.conversations = (
        ConversationSummary(THREAD, 3, AT),
        ConversationSummary(DIRECT, 1, AT),
    )
    press = slack("press_home_reset")
    press["actions"][0] |= {"action_id": action_ids.HOME_EXPORT}
    http.server.space.channel("C1").members.discard("U1")
    text = words(await shown(http, "U1"))
    assert "Direct messages" in text
    assert "C1" not in text
    await http.events.deliver(press)
    assert http.core.enqueued == []
    assert len(await wait_until(lambda: http.notices)) == 1
    http.server.space.channel("C1").members.add("U1")
    await http.events.deliver(press)
    assert [incoming.text for incoming in http.core.enqueued] == ["export"]


async def test_nobody_exports_the_direct_messages_of_somebody_else(http: InboundHarness) -> None:
    """The value of a button can be forged."""
    press = slack("press_home_reset")
    press["actions"][0] |= {"action_id": action_ids.HOME_EXPORT, "value": f"{DIRECT} "}
    press["user"]["id"] = "UADMIN"
    await http.events.deliver(press)
    assert http.core.enqueued == []
    assert len(await wait_until(lambda: http.notices)) == 1
    press["user"]["id"] = "U1"
    await http.events.deliver(press)
    assert [incoming.text for incoming in http.core.enqueued] == ["export"]


async def test_app_home_lists_direct_messages_only_where_memberships_are_unknown(
    http: InboundHarness,
) -> None:
    http.core.conversations = (
        ConversationSummary(THREAD, 3, AT),
        ConversationSummary(DIRECT, 1, AT),
    )
    http.fail("users.conversations", "missing_scope", times=2)
    text = words(await shown(http, "U1"))
    assert "Direct messages" in text
    assert "C1" not in text


async def test_admins_see_totals_too(http: InboundHarness) -> None:
    assert "*12* conversations, *3,456* turns" in words(await shown(http, "UADMIN"))


async def test_strangers_see_nothing_of_anybody(http: InboundHarness) -> None:
    http.core.conversations = (ConversationSummary(THREAD, 3, AT),)
    text = words(await shown(http, "U9"))
    assert "not on the list" in text
    assert "C1" not in text


def test_each_conversation_has_its_buttons_and_a_reset_asks_first() -> None:
    view = home_view(
        BUILTIN,
        TEAM,
        [ConversationSummary(THREAD, 1, AT), ConversationSummary(DIRECT, 2, AT)],
        None,
    )
    buttons = [
        element
        for block in view["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]
    assert [button["action_id"] for button in buttons] == [
        action_ids.HOME_EXPORT,
        action_ids.HOME_RESET,
    ] * 2
    assert action_ids.read_button(buttons[0]["value"]) == (THREAD, "")
    assert all(
        ("confirm" in button) == (button["action_id"] == action_ids.HOME_RESET)
        for button in buttons
    )


def test_app_home_stays_within_slacks_limits() -> None:
    """https://docs.slack.dev/reference/views/home-tab-views: 100 blocks; sections of 3,000 characters."""
    many = [ConversationSummary(replace(THREAD, thread=f"{n}.1"), 10_000, AT) for n in range(60)]
    view = home_view(BUILTIN, TEAM, many, (10**9, 10**12))
    assert len(view["blocks"]) <= 100
    for block in view["blocks"]:
        assert len(json.dumps(block)) < 3000


@pytest.mark.parametrize(
    ("session", "word"),
    [(THREAD, ""), (DIRECT, "up"), (replace(THREAD, place="a b/ü"), "export json")],
)
def test_a_button_value_holds_its_session_and_argument(session: SessionKey, word: str) -> None:
    assert action_ids.read_button(action_ids.button_value(session, word)) == (session, word)


def test_thread_titles_are_short_and_end_at_a_word() -> None:
    assert title_of("help me\nplan") == "help me plan"
    long = title_of("word " * 40)
    assert len(long) <= 60
    assert long.endswith("word…")
    assert title_of("") == ""
