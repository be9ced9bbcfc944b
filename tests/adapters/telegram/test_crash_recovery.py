"""`keepthread serve` as a process: killed in the middle and started again, by polling and by webhook."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.adapters.telegram.harness import ANNA, BEN, EVE, FAST, GROUP, allowed
from tests.fakes.free_ports import free_port
from tests.fakes.model_server import ModelServer, stall
from tests.fakes.telegram.server import TelegramServer
from tests.support.repository import ROOT
from tests.support.wait import wait_until

PLACES = (ANNA, BEN, GROUP)


@asynccontextmanager
async def serve(env: Mapping[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own, killed with SIGKILL when left."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.cli.main",
            "serve",
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


def environment(telegram: TelegramServer, model: ModelServer, redis_url: str) -> dict[str, str]:
    return {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_URL": telegram.url,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "test",
        "REDIS_URL": redis_url,
        "BOT_ALLOW": ",".join(allowed()),
        "BOT_LEASE_S": "1",
        "BOT_HTTP_PORT": "0",
        **FAST,
    }


async def test_a_signal_to_end_during_the_start_waits_for_no_platform(
    telegram: TelegramServer, model: ModelServer, redis_url: str, tmp_path: Path
) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()
        writer.close()

    mute = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    env = environment(telegram, model, redis_url) | {"TELEGRAM_API_URL": address}
    async with serve(env, tmp_path / "log") as process:
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    over.set()
    mute.close()
    assert "Serving" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("transport", "kills"), [("polling", 2), ("webhook", 1)])
async def test_messages_are_answered_once_each_although_the_process_is_killed(
    telegram: TelegramServer,
    model: ModelServer,
    redis_url: str,
    redis: Redis,
    tmp_path: Path,
    transport: str,
    kills: int,
) -> None:
    env = environment(telegram, model, redis_url)
    if transport == "webhook":
        port = free_port()
        env |= {"BOT_HTTP_PORT": str(port), "TELEGRAM_WEBHOOK_URL": f"http://127.0.0.1:{port}"}
    log = tmp_path / "log"
    async with serve(env, log):
        telegram.say(ANNA, ANNA, "My name is Anna.")
        await wait_until(lambda: telegram.texts(ANNA) == ["You said: My name is Anna."])
        model.script = [stall("Well, ")] * 3
        ask(telegram, "first")
        await wait_until(lambda: model.open_streams == 3)
        await wait_until(lambda: telegram.texts(GROUP) == ["Well,"])
        await wait_until(lambda: redis.keys("*:note:trail:*"))
    await wait_until(lambda: model.open_streams == 0)
    ask(telegram, "second")  # nobody is there now; Telegram keeps these
    for _ in range(kills - 1):
        async with serve(env, log):
            await wait_until(lambda: model.open_streams or len(telegram.texts(ANNA)) > 1)
    async with serve(env, log):
        texts = [f"{word} of {place}" for word in ("first", "second") for place in PLACES]
        await wait_until(lambda: not telegram.updates)
        await wait_until(lambda: all(answers(telegram, text) for text in texts))
        telegram.say(ANNA, ANNA, "What is my name?")
        await wait_until(lambda: telegram.texts(ANNA)[-1] == "Your name is Anna.")
    assert [answers(telegram, text) for text in texts] == [1] * len(texts)
    assert not [shown for shown in telegram.texts(GROUP) if shown == "Well,"]
    half_said = [one.text for one in telegram.seen(GROUP) if "stop::" in one.data]
    # The first kill waited for the note of what is half said; a later one may fall just before it.
    assert len(half_said) < kills, half_said
    assert telegram.token not in log.read_text()


def ask(telegram: TelegramServer, word: str) -> None:
    """Something is said in every place."""
    for place in PLACES:
        telegram.say(place, BEN if place == GROUP else place, f"{word} of {place} @keepthread_bot")


def answers(telegram: TelegramServer, text: str) -> int:
    """How many messages of the bot hold `text`; those that own up to a repetition do not count."""
    found = [shown for place in PLACES for shown in telegram.texts(place) if text in shown]
    return len([one for one in found if "I was interrupted" not in one]) or min(1, len(found))


async def test_the_token_is_never_in_the_log_whatever_goes_wrong(
    telegram: TelegramServer, model: ModelServer, redis_url: str, tmp_path: Path
) -> None:
    telegram.token = "7000:" + "AbCdEf" * 6
    env = environment(telegram, model, redis_url) | {"BOT_LOG_LEVEL": "debug"}
    log = tmp_path / "log"
    async with serve(env, log):
        telegram.fail("sendMessage", 500, "Internal Server Error", times=2)
        telegram.fail("sendChatAction", 400, "Bad Request: strange", times=2)
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: telegram.texts(ANNA))
        telegram.say(EVE, EVE, "hello")
        await wait_until(lambda: telegram.texts(EVE))
        await telegram.stop()
        await wait_until(lambda: "cannot be reached" in log.read_text())
    text = log.read_text()
    assert "AbCdEf" not in text
    assert "message enqueued" in text


async def test_a_refused_token_ends_serve_with_its_cure(
    telegram: TelegramServer, model: ModelServer, redis_url: str, tmp_path: Path
) -> None:
    env = environment(telegram, model, redis_url) | {"TELEGRAM_BOT_TOKEN": "7000:wrong"}
    log = tmp_path / "log"
    async with serve(env, log) as process:
        assert await process.wait() == 1
    assert "Telegram refuses TELEGRAM_BOT_TOKEN" in log.read_text()
    assert "@BotFather" in log.read_text()


async def test_serve_starts_while_telegram_is_away_and_connects_later(
    telegram: TelegramServer, model: ModelServer, redis_url: str, tmp_path: Path
) -> None:
    await telegram.stop()
    log = tmp_path / "log"
    async with serve(environment(telegram, model, redis_url), log):
        await wait_until(lambda: "cannot be reached yet" in log.read_text())
        await telegram.start()
        telegram.say(ANNA, ANNA, "hello")
        await wait_until(lambda: telegram.texts(ANNA) == ["You said: hello"])
