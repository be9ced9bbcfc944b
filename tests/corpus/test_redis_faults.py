"""The corpus' faults of Redis, through the whole service, one conversation each."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.conversation import Incoming
from bot.errors import StoreError
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S
from tests.corpus.items import Item, items_of
from tests.corpus.laws import Verdicts, marker
from tests.fakes.model_server import ModelServer
from tests.fakes.redis_faults import FaultyRedis, RedisFault, faulty_redis
from tests.fakes.redis_server import running_redis
from tests.support.messages import make_message
from tests.support.service_harness import RunningService, running_service
from tests.support.wait import wait_until


@pytest.mark.slow
async def test_whatever_redis_refuses_each_person_is_answered_once(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    """R2: also where a reply is lost, and where a former primary refuses."""
    items = items_of("redis_fault")
    verdicts = Verdicts()
    async with running_redis() as redis, faulty_redis(redis.port) as proxy:
        url = SecretStr(f"redis://127.0.0.1:{proxy.port}")
        async with running_service(
            settings,
            tmp_path,
            model,
            redis_url=url,
            ingress_retry_s=INGRESS_RETRY_S,
            bot_lease_s=2,
        ) as bot:
            for number, item in enumerate(items):
                await check_item(bot, proxy, verdicts, number, item)
            letters = await bot.service.dead_letters.list()
            verdicts.check("all", "dead letters", not letters, letters)
    for number, item in enumerate(items):
        (request,) = [r for r in model.requests if marker(number) in str(r.messages[-1])][:1]
        verdicts.check_prompt(item["name"], number, len(items), request.messages)
    verdicts.done()


async def check_item(
    bot: RunningService, proxy: FaultyRedis, verdicts: Verdicts, number: int, item: Item
) -> None:
    """Send one message while Redis has the fault of an item."""
    place, text = f"C{number}", f"say {marker(number)}"
    fault = RedisFault(item["command"], item["error"], item["times"], item.get("late", False))
    proxy.faults, proxy.met = [fault], 0
    await send_until_accepted(bot, make_message(text, place, event_id=text))
    session = str(make_message("x", place).session)

    def lines() -> list[str]:
        kinds = ("answer", "failure")
        found = [line for kind in kinds for line in bot.journal.read(kind)]
        return [str(line) for line in found if line["session"] == session]

    await wait_until(lines)
    await wait_until(lambda: proxy.met)
    proxy.faults = []
    await wait_until(lambda: bot.is_idle())
    verdicts.check(item["name"], "not told once", len(lines()) == 1, lines())
    verdicts.check(item["name"], "not this conversation's", marker(number) in str(lines()), lines())


async def send_until_accepted(bot: RunningService, incoming: Incoming) -> None:
    """Deliver a message again and again until it is stored, as a platform does."""

    async def is_stored() -> bool:
        try:
            await bot.enqueue(incoming)
        except StoreError:
            return False
        return True

    await wait_until(is_stored)
