"""Answers of a service when the model, the platform or the bot's own code fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import PlaceGone, PlatformBusy, PlatformUnreachable
from bot.settings import Settings
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.fakes.model_server import ModelServer, fail, say
from tests.support.messages import make_message
from tests.support.service_harness import running_service
from tests.support.wait import wait_until


async def test_a_busy_model_is_asked_again_and_the_person_sees_one_answer(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.script = [fail(429, "rate_limit_exceeded", retry_after_s=0.1)] * 8
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: bot.answers() == ["You said: hello"])
        assert bot.journal.read("failure") == []


async def test_a_model_that_stays_down_makes_a_dead_letter_and_its_person_is_told(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.default = fail(500)
    async with running_service(settings, tmp_path, model, bot_max_attempts=2) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: bot.journal.read("failure"))
        (letter,) = await wait_until(bot.service.dead_letters.list)
        assert letter.incoming
        assert letter.incoming.text == "hello"
        model.default = say("back again")
        assert await bot.service.dead_letters.retry(letter)
        await wait_until(lambda: bot.answers() == ["back again"])


@pytest.mark.parametrize(
    ("error", "prefixed"),
    [(PlatformBusy("429", retry_after_s=0.01), False), (PlatformUnreachable("?"), True)],
)
async def test_an_answer_that_could_not_be_delivered_is_delivered_later_without_the_model(
    settings: Settings,
    tmp_path: Path,
    model: ModelServer,
    error: PlatformBusy | PlatformUnreachable,
    prefixed: bool,
) -> None:
    troubles = [error]

    def faults(_: object) -> None:
        if troubles:
            raise troubles.pop()

    platform = LoopbackPlatform(Journal(tmp_path / "j"), faults={"finish": faults})
    async with running_service(settings, tmp_path, model, platform=platform) as bot:
        await bot.enqueue(make_message("hello"))
        (answer,) = await wait_until(bot.answers)
    assert answer.endswith("You said: hello")
    assert ("interrupted" in answer) == prefixed, "only where it may have arrived already"
    assert len(model.requests) == 1


async def test_a_platform_that_can_be_asked_is_asked_before_an_answer_is_repeated(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    troubles = [PlatformUnreachable("no answer")]

    def after_posting(_: object) -> None:
        if troubles:
            raise troubles.pop()

    platform = LoopbackPlatform(
        Journal(tmp_path / "j"), can_be_asked=True, faults={"delivered": after_posting}
    )
    async with running_service(settings, tmp_path, model, platform=platform) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: not troubles)
        await wait_until(lambda: bot.is_idle())
        assert bot.answers() == ["You said: hello"]
        (turn,) = await bot.turns(make_message("x").session)
        assert turn.answer_ids


async def test_a_place_that_is_gone_is_not_tried_again_and_leaves_a_dead_letter(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """T2: nobody can be told there, so the operator is."""

    def gone(_: object) -> None:
        raise PlaceGone("blocked")

    platform = LoopbackPlatform(Journal(tmp_path / "j"), faults={"finish": gone})
    async with running_service(settings, tmp_path, model, platform=platform) as bot:
        await bot.enqueue(make_message("hello"))
        (letter,) = await wait_until(bot.service.dead_letters.list)
        assert letter.incoming
        assert letter.incoming.text == "hello"
        assert "PlaceGone" in letter.reason
        assert len(model.requests) == 1


async def test_a_bug_costs_one_turn_and_not_the_worker(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    def bug(turn) -> None:
        if turn.incoming[0].text == "bad":
            raise ZeroDivisionError

    platform = LoopbackPlatform(Journal(tmp_path / "j"), faults={"finish": bug})
    async with running_service(
        settings, tmp_path, model, platform=platform, bot_max_attempts=2
    ) as bot:
        await bot.enqueue(make_message("bad"))
        await bot.enqueue(make_message("good", "C2"))
        await wait_until(lambda: bot.answers() == ["You said: good"])
        await wait_until(lambda: any("several times" in text for text in bot.posts()))
