"""Edits and deletions while a message waits, and while its turn runs: what is shown, asked and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.errors import PlatformBusy
from bot.settings import Settings
from tests.fakes.model_server import ModelServer, stall
from tests.support.messages import make_message
from tests.support.service_harness import RunningService, running_service
from tests.support.wait import wait_until

SESSION = make_message("x").session


async def begin_long_answer(bot: RunningService, *texts: str) -> None:
    """Enqueue messages, whose ids are their texts, as one turn that is being answered until it is ended."""
    bot.model.script = [stall("This is the beginning")]
    for text in texts[:-1]:
        await bot.enqueue(make_message(text, message_id=text), hold_s=60)
    await bot.enqueue(make_message(texts[-1], message_id=texts[-1]))
    await wait_until(lambda: bot.journal.read("show"))


async def test_the_model_is_asked_what_waits_as_it_is_when_its_turn_begins(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """S3: a deleted message is not asked, an edited one as it was edited; nothing is offered for it."""
    async with running_service(settings, tmp_path, model) as bot:
        await begin_long_answer(bot, "one")
        await bot.enqueue(make_message("two SECRET", message_id="2"))
        await bot.enqueue(make_message("tow", message_id="3"))
        await bot.enqueue(make_message("", message_id="2", kind="delete"))
        await bot.enqueue(make_message("two", message_id="3", kind="edit"))
        await bot.service.inbox.stop(SESSION, before="0-1")
        await wait_until(lambda: len(bot.answers()) == 2)
        await wait_until(lambda: bot.is_idle())
        assert bot.answers()[1] == "You said: two"
        assert "SECRET" not in str([request.messages for request in model.requests])
        assert [turn.incoming[0].text for turn in await bot.turns(SESSION)] == ["one", "two"]
        assert bot.journal.read("buttons") == []


async def test_a_deleted_question_ends_its_model_call_and_leaves_nothing(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """S2: nothing more is shown or written for it, what was shown is taken back, the next message runs."""
    async with running_service(settings, tmp_path, model) as bot:
        await begin_long_answer(bot, "a SECRET")
        await bot.enqueue(make_message("", message_id="a SECRET", kind="delete"))
        await wait_until(lambda: model.cancelled == 1)
        await wait_until(lambda: bot.is_idle())
        assert (bot.answers(), bot.journal.read("failure")) == ([], [])
        (line,) = bot.journal.read("retracted")
        assert line["shown"] == "This is the beginning"
        assert await bot.turns(SESSION) == []
        assert await bot.service.dead_letters.list() == []
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: bot.answers() == ["You said: hello"])
        assert "SECRET" not in str(model.requests[-1].messages)


async def test_the_rest_of_a_turn_is_answered_without_its_deleted_message(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """S2: others asked in the same turn, and still want their answer."""
    async with running_service(settings, tmp_path, model) as bot:
        await begin_long_answer(bot, "a SECRET", "hello")
        await bot.enqueue(make_message("", message_id="a SECRET", kind="delete"))
        await wait_until(lambda: bot.answers() == ["You said: hello"])
        await wait_until(lambda: bot.is_idle())
        (turn,) = await bot.turns(SESSION)
        assert [message.text for message in turn.incoming] == ["hello"]
        assert "SECRET" not in str(model.requests[-1].messages)


async def test_a_deletion_that_no_channel_tells_is_found_by_the_heartbeat(
    settings: Settings, tmp_path: Path, model: ModelServer, redis: Redis
) -> None:
    async with running_service(settings, tmp_path, model, bot_lease_s=2) as bot:
        await begin_long_answer(bot, "deleted")
        item, _ = (await bot.service.inbox.mailboxes.messages(SESSION))[0]
        conv = bot.service.inbox.keys.conversation(
            bot.service.inbox.keys.shard(SESSION), str(SESSION)
        )
        await redis.xdel(conv["box"], item)
        await redis.hset(conv["conv"], "withdrawn", item)
        await wait_until(lambda: model.cancelled == 1)
        await wait_until(lambda: bot.is_idle())
        assert bot.answers() == []


async def test_a_deletion_forgets_an_answer_that_waits_to_be_handed_over(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """S2: the answer is written, the platform is busy: then the question is deleted."""

    def busy(_: object) -> None:
        raise PlatformBusy("429", retry_after_s=60)

    async with running_service(settings, tmp_path, model) as bot:
        bot.platform.faults["finish"] = busy
        await bot.enqueue(make_message("my name is Ada", message_id="1"))
        await wait_until(lambda: retrying(bot))
        del bot.platform.faults["finish"]
        await bot.enqueue(make_message("", message_id="1", kind="delete"))
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers() == ["I do not know your name."])


async def retrying(bot: RunningService) -> bool:
    return (await bot.service.stats.depth()).waiting == 1


async def test_an_edit_while_its_turn_runs_offers_a_new_answer(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await begin_long_answer(bot, "tow")
        await bot.enqueue(make_message("two", message_id="tow", kind="edit"))
        await bot.service.inbox.stop(SESSION, before="0-1")
        (offer,) = await wait_until(lambda: bot.journal.read("buttons"))
        assert offer["commands"] == ["retry"]
        (turn,) = await bot.turns(SESSION)
        assert turn.incoming[0].text == "two"


@pytest.mark.parametrize("kind", ["edit", "delete"])
async def test_a_change_of_what_was_answered_long_ago_reaches_memory(
    settings: Settings, tmp_path: Path, model: ModelServer, kind: str
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", message_id="1"))
        await wait_until(lambda: bot.is_idle())
        await bot.enqueue(make_message("my name is Eve", message_id="1", kind=kind))
        await wait_until(lambda: bot.is_idle())
        turns = await bot.turns(SESSION)
        assert [turn.incoming[0].text for turn in turns] == (
            ["my name is Eve"] if kind == "edit" else []
        )
