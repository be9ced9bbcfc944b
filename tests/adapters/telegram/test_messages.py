"""Message sender: only calls that were not carried out are tried again, and errors are translated."""

from __future__ import annotations

import pytest

from bot.conversation import SessionKey
from bot.errors import (
    PlaceGone,
    PlatformError,
    PlatformUnreachable,
)
from tests.adapters.telegram.harness import ANNA, GROUP
from tests.adapters.telegram.outbound_harness import OutboundHarness, open_outbound, turn
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.wait import wait_until


async def test_a_refused_entity_costs_the_entities_and_not_the_text(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 400, "Bad Request: entity beyond the text at 1+2")
    await outbound.reply(ANNA).finish(turn("**hello**"))
    (shown,) = telegram.seen(ANNA)
    assert (shown.text, shown.entities) == ("hello", [])


async def test_a_message_whose_response_was_lost_is_not_sent_twice(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.lose_response("sendMessage")
    with pytest.raises(PlatformUnreachable):
        await outbound.reply(ANNA).finish(turn("once"))
    assert telegram.texts(ANNA) == ["once"]


async def test_an_edit_whose_response_was_lost_is_made_again(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    reply = outbound.reply(GROUP)
    await reply.show("half")
    await wait_until(lambda: telegram.seen(GROUP))
    await reply.preview.end()
    telegram.lose_response("editMessageText")
    await reply.finish(turn("whole"))
    assert telegram.texts(GROUP) == ["whole"]


async def test_a_message_that_the_server_did_not_send_is_sent_again(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.fail("sendMessage", 502, "Bad Gateway", times=2)
    await outbound.reply(ANNA).finish(turn("once"))
    assert telegram.texts(ANNA) == ["once"]


async def test_a_bad_request_is_tried_again_with_the_words_alone_and_no_more(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    """T2: Telegram does not always say which part it refuses."""
    telegram.fail("sendMessage", 400, "Bad Request: something is wrong", times=9)
    with pytest.raises(PlatformError):
        await outbound.reply(ANNA).finish(turn("hello"))
    assert len(telegram.called("sendMessage")) == 2


async def test_a_lost_connection_raises_a_platform_error_without_the_token(
    telegram: TelegramServer,
) -> None:
    secret = f"{BOT_ID}:" + "AAbbCC" * 5
    await telegram.stop()
    async with open_outbound(telegram, token=secret) as outbound:
        with pytest.raises(PlatformUnreachable) as raised:
            await outbound.reply(ANNA).finish(turn("hello"))
    assert secret not in repr(raised.value) + str(raised.value.__cause__)
    await telegram.start()


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (ANNA, "bot was blocked by the user"),
        (ANNA, "user is deactivated"),
        (GROUP, "bot was kicked from the supergroup chat"),
    ],
)
async def test_a_chat_that_is_gone_is_not_tried_again(
    outbound: OutboundHarness, telegram: TelegramServer, chat: int, why: str
) -> None:
    telegram.chat(chat).gone = why
    with pytest.raises(PlaceGone, match=why):
        await outbound.reply(chat).finish(turn("hello"))
    assert len(telegram.called("sendMessage")) == 1


async def test_a_group_that_got_a_new_id_is_followed(
    outbound: OutboundHarness, telegram: TelegramServer
) -> None:
    telegram.group(-55, "Small")
    telegram.chat(-55).migrated_to = -10055
    telegram.group(-10055, "Small")
    await outbound.reply(-55).finish(turn("one"))
    await outbound.reply(-55).finish(turn("two"))
    assert telegram.texts(-10055) == ["one", "two"]
    old, new = (
        SessionKey("telegram", str(BOT_ID), "-55"),
        SessionKey("telegram", str(BOT_ID), "-10055"),
    )
    assert outbound.moves == [(old, new)]
    assert len(telegram.called("sendMessage")) == 3
