"""Thread history: the root and the newest replies, within seconds, whatever Slack's rate limits are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.slack.api.places import PlaceDirectory
from adapters.slack.api.users import UserDirectory
from adapters.slack.api.workspaces import Workspaces, new_session
from adapters.slack.inbound.thread_history import (
    NOT_READ,
    EarlierMessage,
    ThreadHistoryFetcher,
    root_and_newest,
)
from bot.conversation import Address, Overheard, SessionKey
from bot.errors import PlatformError
from tests.adapters.slack.inbound_harness import slack_settings
from tests.fakes.slack.server import SlackServer


@asynccontextmanager
async def open_fetcher(server: SlackServer, **options: int) -> AsyncIterator[ThreadHistoryFetcher]:
    async with new_session() as session:
        workspaces = Workspaces(slack_settings(server.api_url), session)
        await workspaces.sign_on()
        users, places = UserDirectory(workspaces), PlaceDirectory(workspaces)
        try:
            yield ThreadHistoryFetcher(workspaces, users, places, **options)
        finally:
            await users.aclose()
            await places.aclose()


def thread(
    server: SlackServer, texts: Sequence[str], users: Sequence[str] = ("U1", "U2")
) -> Address:
    """A thread of these texts, then a mention; the address of the mention."""
    root = server.say("C1", users[0], texts[0])
    for at, text in enumerate(texts[1:], 1):
        server.say("C1", users[at % len(users)], text, root)
    mention = server.say("C1", "U1", "<@UBOT> what do you think?", root)
    return Address(
        SessionKey("slack", "T1", "C1", root),
        "channel",
        reply_to_id=mention,
        details={"seed": "1", "thread_ts": root},
    )


def lines(found: Sequence[Overheard]) -> list[str]:
    return [f"{message.speaker.label}: {message.text}" for message in found]


async def test_thread_messages_come_in_order_with_names_and_without_the_mention(
    server: SlackServer,
) -> None:
    address = thread(
        server, ["the *build* is red", "<@U1> which one?", "main, see <https://ci.example>"]
    )
    server.say("C1", "U2", "and this came later", address.session.thread)
    async with open_fetcher(server) as fetcher:
        found = await fetcher.fetch(address, wait_s=60)
    assert lines(found) == [
        "Ada: the **build** is red",
        "Ben: @Ada which one?",
        "Ada: main, see https://ci.example",
    ]
    assert all(message.message_id for message in found)


async def test_a_long_thread_keeps_its_root_and_its_newest_replies_over_all_pages(
    server: SlackServer,
) -> None:
    address = thread(server, ["root"] + [f"reply number {n:03d}" for n in range(1, 101)])
    async with open_fetcher(server, page_size=20, max_chars=300) as fetcher:
        found = await fetcher.fetch(address, wait_s=60)
    texts = [message.text for message in found]
    assert texts[0] == "root"
    assert texts[1].startswith("[")
    assert "left out" in texts[1]
    assert found[1].speaker.id == ""
    assert texts[2:] == [f"reply number {n:03d}" for n in range(103 - len(texts), 101)]
    assert len(texts) > 15


async def test_the_limits_of_distributed_apps_give_the_beginning_and_say_so(
    server: SlackServer,
) -> None:
    server.distributed = True
    address = thread(server, ["root"] + [f"reply {n}" for n in range(1, 60)])
    async with open_fetcher(server) as fetcher:
        found = await fetcher.fetch(
            address, wait_s=30
        )  # Slack's limit would be over after a minute
        texts = [message.text for message in found]
        assert texts[:2] == ["root", "reply 1"]
        assert 14 <= len(texts) <= 18
        assert "left out" in texts[-1]
        # Within the same minute not even the beginning can be read; a note says so, and it is no error.
        assert [message.text for message in await fetcher.fetch(address, wait_s=30)] == [NOT_READ]


async def test_a_short_limit_is_waited_for(server: SlackServer) -> None:
    address = thread(server, ["root", "reply"])
    server.fail("conversations.replies", status=429, retry_after=1)
    async with open_fetcher(server) as fetcher:
        found = await fetcher.fetch(address, wait_s=60)
    assert lines(found) == ["Ada: root", "Ben: reply"]


async def test_a_slack_that_does_not_answer_costs_seconds_and_no_answer(
    server: SlackServer,
) -> None:
    address = thread(server, ["root", "reply"])
    server.fail("conversations.replies", delay_s=5)
    async with open_fetcher(server) as fetcher:
        found = await fetcher.fetch(address, wait_s=0.2)
    assert [message.text for message in found] == [NOT_READ]


async def test_a_refusal_is_an_error(server: SlackServer) -> None:
    address = thread(server, ["root", "reply"])
    server.fail("conversations.replies", error="missing_scope")
    async with open_fetcher(server) as fetcher:
        with pytest.raises(PlatformError):
            await fetcher.fetch(address, wait_s=60)


async def test_other_apps_speak_under_their_own_names(server: SlackServer) -> None:
    root = server.say("C1", "U1", "deploy?")
    message = server.space.channel("C1").messages[-1]
    message.bot_id = "B7"
    server.say("C1", "U2", "", root, files=[{"id": "F1", "name": "log.txt"}])
    mention = server.say("C1", "U1", "<@UBOT>?", root)
    address = Address(SessionKey("slack", "T1", "C1", root), "channel", reply_to_id=mention)
    async with open_fetcher(server) as fetcher:
        found = await fetcher.fetch(address, wait_s=60)
    assert [message.text for message in found] == ["deploy?", "[file: log.txt]"]


@examples(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=20), st.integers(9, 200))
def test_root_and_newest_fit_and_what_is_left_out_is_counted(
    texts: list[str], max_chars: int
) -> None:
    messages = [EarlierMessage({"ts": str(at)}, text) for at, text in enumerate(texts)]
    kept, left_out = root_and_newest(messages, max_chars)
    stamps = [message.message["ts"] for message in kept]
    assert stamps[0] == "0"
    newest = stamps[1:]
    assert newest == [str(at) for at in range(len(texts) - len(newest), len(texts))]
    assert len(kept) + left_out == len(texts)
    assert sum(len(message.text) for message in kept) <= max_chars + 8 * len(kept)
