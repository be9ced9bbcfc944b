"""Story of a Telegram group with topics, from the first question to a reset by an administrator.

It shows, from top to bottom, how the bot behaves where several people talk about several things.
"""

from __future__ import annotations

import pytest

from bot.settings import Settings
from tests.adapters.telegram.harness import ANNA, BEN, CLEO, EVE, FORUM, serving
from tests.fakes.model_server import ModelServer
from tests.fakes.telegram.server import TelegramServer
from tests.support.wait import wait_until

CATS, DOGS = 5, 6


async def test_a_telegram_group_with_topics(
    telegram: TelegramServer,
    model: ModelServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.reads_all_group_messages = True
    async with serving(telegram, model, settings, monkeypatch) as world:
        # People talk. The bot was not asked, so it says nothing and remembers nothing.
        telegram.say(FORUM, BEN, "Has anybody seen my cat?", thread=CATS)

        # Ben asks it in. The answer goes to the topic, as an answer to his message.
        asked = telegram.say(FORUM, BEN, "@keepthread_bot my name is Tom", thread=CATS)
        hello = await world.answered(FORUM, "Ben: my name is Tom", CATS)
        assert hello.reply_to == asked

        # Cleo talks with Ben, not with the bot: it listens, since it takes part here now.
        telegram.say(FORUM, CLEO, "Nice to meet you, Tom", thread=CATS)

        # An answer to the bot's message needs no mention.
        telegram.say(FORUM, CLEO, "What is my name?", thread=CATS, reply_to=hello.id)
        await world.answered(FORUM, "Your name is Tom.", CATS)

        # Another topic is another conversation; the same question has no answer there.
        telegram.say(FORUM, CLEO, "@keepthread_bot what is my name?", thread=DOGS)
        await world.answered(FORUM, "I do not know your name.", DOGS)

        # Nor does what is said in private come up in the group, or the reverse.
        telegram.say(BEN, BEN, "What is my name?")
        await world.answered(BEN, "I do not know your name.")

        # Somebody Ben brought along may talk here, because the group is listed; in private not.
        telegram.say(FORUM, EVE, "@keepthread_bot hello from Eve", thread=DOGS)
        await world.answered(FORUM, "hello from Eve", DOGS)
        telegram.say(EVE, EVE, "and here?")
        await world.answered(EVE, "telegram:66")

        # Everybody may look; only administrators may wipe what is everybody's.
        telegram.say(FORUM, BEN, "/status@keepthread_bot", thread=CATS)
        await world.answered(FORUM, "Remembered:", CATS)
        telegram.say(FORUM, BEN, "/reset@keepthread_bot", thread=CATS)
        await world.answered(FORUM, "/reset is for admins here", CATS)
        telegram.say(FORUM, ANNA, "/reset@keepthread_bot", thread=CATS)
        await world.answered(FORUM, "Forgotten:", CATS)
        telegram.say(FORUM, BEN, "@keepthread_bot what is my name?", thread=CATS)
        await world.answered(FORUM, "I do not know your name.", CATS)

        # What was wiped in one topic is still there in the other.
        assert len(await world.remembered(FORUM, DOGS)) == 2

        # Sent away, it is quiet until it is mentioned.
        telegram.say(FORUM, ANNA, "/leave@keepthread_bot", thread=DOGS)
        await world.answered(FORUM, "I will be quiet here", DOGS)
        await world.settled()
        telegram.say(FORUM, BEN, "Finally alone", thread=DOGS)
        await world.settled()
        said = [
            incoming.text
            for turn in await world.remembered(FORUM, DOGS)
            for incoming in turn.incoming
        ]
        assert "Finally alone" not in said

        # Nothing of all this was said in General.
        await wait_until(lambda: telegram.texts(FORUM) == [])
