"""The corpus' Slack events, through the whole service, each in a conversation of its own."""

from __future__ import annotations

from typing import Any

import pytest

from bot.settings import Settings
from tests.corpus.items import items_of
from tests.corpus.laws import Verdicts, marker
from tests.fakes.model_server import Exchange
from tests.story.slack_day import Day, working_day
from tests.support.wait import wait_until

ITEMS = items_of("slack_event")


def prompt_of(number: int, day: Day) -> list[Any]:
    """The messages of the newest prompt of that item's conversation."""
    found = [
        request.messages for request in day.model.requests if marker(number) in str(request.body)
    ]
    return found[-1] if found else []


async def test_every_slack_event_gets_one_answer_or_sentence_in_its_place(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working_day(settings, monkeypatch) as day:
        day.model.default = echo_marker
        verdicts = Verdicts()
        for number, item in enumerate(ITEMS):
            channel = f"D9{number:04}"
            day.slack.server.add_channel(channel, "private", {"U1"})
            await day.slack.say(channel, "U1", f"remember {marker(number)}")
            await wait_until(lambda channel=channel: day.slack.finished(channel))
            ts = day.slack.server.say(channel, "U1", str(item["event"].get("text") or ""))
            placed = {"channel": channel, "channel_type": "im", "ts": ts, "event_ts": ts}
            delivery = await day.slack.send_event({**item["event"], **placed})
            verdicts.check(
                item["name"], "not acknowledged", delivery.attempts[-1] in ("ack", "200")
            )
        await day.at_rest()
        for number, item in enumerate(ITEMS):
            texts = [message.text for message in day.slack.finished(f"D9{number:04}")]
            verdicts.check(item["name"], "not answered once", len(texts) == 2, texts)
            verdicts.check_prompt(item["name"], number, len(ITEMS), prompt_of(number, day))
        letters = await day.service.dead_letters.list()
        verdicts.check("all", "dead letters", not letters, letters)
        verdicts.done()


async def echo_marker(exchange: Exchange) -> Any:
    response = await exchange.open()
    await exchange.pieces(response, "I have read it.")
    return await exchange.end(response, "stop", "I have read it.")
