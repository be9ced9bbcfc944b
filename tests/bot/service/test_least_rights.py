"""The service under a Redis user with few rights: with the least ones everything works, with fewer nothing is done by halves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.conversation import Incoming, Turn
from bot.errors import PlatformBusy, StoreRefused
from bot.settings import Settings
from bot.storage.doctor import check
from tests.bot.worker.harness import SHORT_LEASE, RecordingExecutor
from tests.fakes.model_server import ModelServer, stall
from tests.support.inbox_harness import claim_abandoned, claim_one, make_inbox, running_worker
from tests.support.messages import KEY, make_message
from tests.support.redis_rights import USER, give, least_rules, refusals, running_limited_redis
from tests.support.service_harness import RunningService, running_service
from tests.support.wait import wait_until

OFTEN_GIVEN = ("~*", "&*", "+@all", "-@dangerous")
"""Rights that hosted servers give: all that is not dangerous, as INFO is."""
WITHOUT_CHANNELS = ("~*", "resetchannels", "+@all", "-@dangerous")


async def answer(bot: RunningService, incoming: Incoming) -> None:
    """Enqueue a message and wait until nothing is left to do."""
    await bot.enqueue(incoming)
    await wait_until(lambda: bot.is_idle())


async def test_the_whole_service_works_with_the_least_rights(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """R1: inbox, memory, stops, commands, secrets and notes under exactly the generated rights."""
    changes = {"bot_encryption_key": SecretStr("any"), "bot_wait_for_disk": True}
    rules = least_rules(settings.model_copy(update=changes))
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    async with running_limited_redis(settings, *rules, options=durable) as (server, limited):
        async with running_service(limited, tmp_path, model, **changes) as bot:
            await talk(bot, model)
            await keep_secrets_and_notes(bot)
            await move_and_list(bot)
            assert bot.service.metrics.registry.get_sample_value("keepthread_retries_total") == 1
        async with server.admin() as admin:
            assert await refusals(admin) == []


async def talk(bot: RunningService, model: ModelServer) -> None:
    """Questions, commands, edits, deletions, a retry, a stop, a dead letter."""
    for text in ("overheard", "message"):
        await answer(bot, make_message("my name is Ada", message_id=text, kind=text))
    for kind in ("edit", "delete", "feedback"):
        await answer(bot, make_message("my name is Eve", message_id="message", kind=kind))
    for command in ("retry", "undo", "export", "status", "whoami", "help", "new", "leave", "reset"):
        await answer(bot, make_message("hello", speaker="UADMIN"))
        await answer(bot, make_message(command, kind="command", speaker="UADMIN"))
    bot.platform.faults["finish"] = lambda turn: busy_once(bot, turn)
    await answer(bot, make_message("tried again"))
    model.script = [stall("a long")]
    await bot.enqueue(make_message("stopped"))
    await wait_until(lambda: bot.journal.read("show")[-1]["delta"] == "a long")
    await bot.enqueue(make_message("waits"))
    await bot.enqueue(make_message("stop"))
    await wait_until(lambda: bot.is_idle())
    await bot.enqueue(make_message("an album"), hold_s=0.05)
    await wait_until(lambda: bot.is_idle())


def busy_once(bot: RunningService, _: Turn) -> None:
    """The platform refuses one answer, which is tried again."""
    del bot.platform.faults["finish"]
    raise PlatformBusy("429", retry_after_s=0.01)


async def keep_secrets_and_notes(bot: RunningService) -> None:
    core = bot.service.core
    await core.vault.set("a", b"b")
    assert (await core.vault.get("a"), await core.vault.names("")) == (b"b", ("a",))
    await core.vault.delete("a")
    await core.key_values.set("a", "b", ttl_s=60)
    assert await core.key_values.get("a") == "b"
    await core.key_values.delete("a")


async def move_and_list(bot: RunningService) -> None:
    core, moved = bot.service.core, replace(KEY, place="C9")
    assert await core.conversations_of("loop", make_message("x").speaker)
    await core.migrate(KEY, moved)
    assert await core.takes_part(moved)
    assert (await core.totals("loop", "A1"))[0] == 1
    await bot.service.services.sessions.forget(moved)
    assert await bot.service.dead_letters.list() == []
    assert b"keepthread_queue_depth" in await bot.service.probes.render_metrics()


async def is_a_second_up(admin: Redis) -> bool:
    """Whether pending entries of a second ago can be told from newer ones."""
    return bool((await admin.info("server"))["uptime_in_seconds"] >= 1)


@pytest.mark.parametrize(
    "rules", [OFTEN_GIVEN, WITHOUT_CHANNELS, ()], ids=["often", "no channels", "least"]
)
async def test_a_turn_of_a_killed_worker_is_taken_over(
    settings: Settings, rules: tuple[str, ...]
) -> None:
    """R1: the claim of abandoned turns asks for no right that users often lack."""
    rules = rules or least_rules(settings)
    async with running_limited_redis(settings, *rules) as (server, limited):
        async with server.admin() as admin:
            await wait_until(lambda: is_a_second_up(admin))
        async with Redis(port=server.port, username=USER, password="any") as client:
            inbox = make_inbox(client, limited)
            await inbox.enqueue(make_message("left behind"))
            assert await claim_one(inbox, "killed")
            work = RecordingExecutor()
            async with running_worker(inbox, work.execute, limited, timing=SHORT_LEASE):
                await wait_until(lambda: work.done["C1"] == ["left behind"])
                await inbox.enqueue(make_message("next"))
                await wait_until(lambda: work.done["C1"] == ["left behind", "next"])


@pytest.mark.parametrize("rules", [("resetchannels",), ("-publish",), ("-subscribe",)], ids="".join)
async def test_a_stop_that_cannot_be_published_is_found_by_polling(
    settings: Settings, tmp_path: Path, model: ModelServer, rules: tuple[str, ...]
) -> None:
    """R1: without rights on channels a stop ends the answer, and says so."""
    model.script = [stall("This is the beginning")]
    least = least_rules(settings)
    async with (
        running_limited_redis(settings, *least, *rules) as (_, limited),
        running_service(limited, tmp_path, model, bot_lease_s=600) as bot,
    ):
        await bot.enqueue(make_message("tell me all"))
        await wait_until(lambda: bot.journal.read("show"))
        await bot.enqueue(make_message("stop"))
        assert await wait_until(bot.posts) == ["Stopped."]
        await wait_until(lambda: bot.answers() == ["This is the beginning"])
        (line,) = [line for line in await check(limited) if line.name == "redis rights"]
        assert (line.state, "polling" in line.detail) == ("warning", True)


async def test_a_service_does_not_start_when_a_right_is_missing(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """R1: the start names the right and the line that gives it; nothing is received before."""
    rules = ("~*", "+@read", "+@write", "+@scripting", "+ping")
    async with running_limited_redis(settings, *rules) as (server, limited):
        with pytest.raises(StoreRefused) as caught:
            async with running_service(limited, tmp_path, model):
                pass
        assert "+time" in caught.value.detail
        line = caught.value.cure.removeprefix("Say to Redis: ")
        async with server.admin() as admin:
            await admin.execute_command(*line.split())
        async with running_service(limited, tmp_path, model) as bot:
            await bot.enqueue(make_message("hello"))
            await wait_until(lambda: bot.answers() == ["You said: hello"])


async def test_a_right_taken_away_is_named_by_the_error(settings: Settings) -> None:
    least = least_rules(settings)
    async with (
        running_limited_redis(settings, *least) as (server, limited),
        server.admin() as admin,
        Redis(port=server.port, username=USER, password="any") as client,
    ):
        inbox = make_inbox(client, limited)
        await inbox.enqueue(make_message("one"))
        for right, call in (
            ("+xautoclaim", lambda: claim_abandoned(inbox, "w1")),
            ("+xreadgroup", lambda: claim_one(inbox)),
            ("+time", lambda: inbox.enqueue(make_message("two"))),
        ):
            await give(admin, right.replace("+", "-"))
            with pytest.raises(StoreRefused) as caught:
                await call()
            assert right in caught.value.cure
