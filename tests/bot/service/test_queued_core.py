"""The queued core: admission, stops, notices, and conversations of a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bot.settings import Settings
from tests.fakes.model_server import ModelServer, stall
from tests.support.messages import make_message
from tests.support.service_harness import running_service
from tests.support.wait import wait_until


async def test_a_stranger_is_refused_and_no_model_is_asked(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        stranger = make_message("hello")
        stranger = replace(stranger, speaker=replace(stranger.speaker, account="ELSEWHERE"))
        assert await bot.enqueue(stranger) == "refused"
        await bot.enqueue(make_message("hi"))
        await wait_until(lambda: bot.answers())
    assert len(model.requests) == 1


async def test_a_stop_ends_the_answer_and_keeps_its_shown_part(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.script = [stall("This is the beginning")]
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("tell me all"))
        await wait_until(lambda: bot.journal.read("show"))
        await bot.enqueue(make_message("and this waits"))
        assert await bot.enqueue(make_message("Stop")) == "queued"
        (line,) = await wait_until(lambda: bot.journal.read("answer"))
        assert (line["answer"], line["state"]) == ("This is the beginning", "stopped")
        assert await wait_until(bot.posts) == ["Stopped."]
        await bot.enqueue(make_message("go on"))
        await wait_until(lambda: bot.answers()[1:] == ["You said: go on"])
    assert len(model.requests) == 2


async def test_a_bare_stop_is_a_message_when_nothing_runs(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("stop"))
        await wait_until(lambda: bot.answers() == ["You said: stop"])


async def test_a_reset_ends_a_running_answer_and_leaves_nothing_of_it(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.script = [stall("secret")]
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada"))
        await wait_until(lambda: bot.journal.read("show"))
        await bot.enqueue(make_message("reset", kind="command"))
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers()[1:] == ["I do not know your name."])
        assert len(await bot.turns(make_message("x").session)) == 1


async def test_a_full_mailbox_is_announced_once(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.default = stall("hm")
    async with running_service(settings, tmp_path, model, bot_max_waiting=2, bot_drain_s=0) as bot:
        for text in "ab":
            await bot.enqueue(make_message(text))
        assert await bot.enqueue(make_message("among ourselves", kind="overheard")) == "full"
        assert bot.posts() == [], "nobody asked for an answer"
        bot.platform.may_post.clear()  # the place is as busy as its mailbox
        assert [await bot.enqueue(make_message(text)) for text in "cd"] == ["full", "full"], (
            "nobody waits"
        )
        bot.platform.may_post.set()
        await wait_until(lambda: bot.journal.read("closed"))
        assert len(bot.posts()) == 1
        for kind in ("edit", "delete"):
            assert await bot.enqueue(make_message("", kind=kind)) == "merged", (
                "memory has to follow"
            )


async def test_the_conversations_of_a_person_are_listed(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        for place in ("C1", "C2"):
            await bot.enqueue(make_message("hi", place))
        await bot.enqueue(make_message("hi", "C3", speaker="U2"))
        await wait_until(lambda: len(bot.answers()) == 3)
        await wait_until(lambda: bot.is_idle())
        listed = await bot.service.core.conversations_of("loop", make_message("x").speaker)
        assert {summary.session.place for summary in listed} == {"C1", "C2"}
        assert await bot.service.core.totals("loop", "A1") == (3, 3)


async def test_a_bot_takes_part_while_its_first_answer_is_still_to_come(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.default = stall("hm")
    async with running_service(settings, tmp_path, model, bot_drain_s=0) as bot:
        session = make_message("x").session
        assert not await bot.service.core.takes_part(session)
        await bot.enqueue(make_message("hi"))
        assert await bot.service.core.takes_part(session)


async def test_a_migrated_conversation_keeps_its_memory(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", "old"))
        await wait_until(bot.answers)
        await wait_until(lambda: bot.is_idle())
        await bot.service.core.migrate(
            make_message("x", "old").session, make_message("x", "new").session
        )
        await bot.enqueue(make_message("what is my name?", "new"))
        await wait_until(lambda: bot.answers()[1:] == ["Your name is Ada."])
