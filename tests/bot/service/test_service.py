"""The service from the inside: a loopback platform, a loopback model, a real Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from bot.conversation import Attachment
from bot.errors import PlaceGone, PlatformBusy, PlatformUnreachable, SettingsError, StoreUnavailable
from bot.ports import Health
from bot.service.service import open_service
from bot.settings import Settings
from bot.storage.client import INGRESS_RETRY_S
from bot.worker.promotion import DueTurnPromoter
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.fakes.model_server import ModelServer, fail, say, stall
from tests.fakes.redis_server import running_redis
from tests.support.messages import make_message
from tests.support.service_harness import RunningService, running_service, service_settings
from tests.support.wait import wait_until

SESSION = str(make_message("x").session)


async def test_what_is_said_is_answered_and_remembered(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        assert await bot.enqueue(make_message("my name is Ada")) == "queued"
        await wait_until(lambda: len(bot.answers()) == 1)
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers()[1:] == ["Your name is Ada."])
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("and now, what is my name?"))
        await wait_until(lambda: bot.answers()[2:] == ["Your name is Ada."])


async def test_two_conversations_never_share_a_memory(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", "C1"))
        await wait_until(lambda: len(bot.answers()) == 1)
        await bot.enqueue(make_message("what is my name?", "C2"))
        await wait_until(lambda: bot.answers()[1:] == ["I do not know your name."])


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


async def test_stop_ends_the_answer_and_keeps_what_was_shown(
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


async def test_reset_ends_a_running_answer_and_nothing_of_it_is_left(
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
        await wait_until(lambda: _is_idle(bot))
        assert bot.answers() == ["You said: hello"]
        (turn,) = await bot.turns(make_message("x").session)
        assert turn.answer_ids


async def _is_idle(bot) -> bool:
    return await bot.service.stats.depth() == (0, 0)


async def test_a_place_that_is_gone_is_not_tried_again(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    def gone(_: object) -> None:
        raise PlaceGone("blocked")

    platform = LoopbackPlatform(Journal(tmp_path / "j"), faults={"finish": gone})
    async with running_service(settings, tmp_path, model, platform=platform) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: len(model.requests) == 1)
        await wait_until(lambda: _is_idle(bot))
        assert await bot.service.dead_letters.list() == []


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


async def test_what_is_overheard_is_remembered_and_not_answered(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", kind="overheard"))
        await wait_until(lambda: _is_idle(bot))
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers() == ["Your name is Ada."])
    assert len(model.requests) == 1


async def test_memory_follows_an_edit_and_offers_a_new_answer(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(replace(make_message("my name is Ada"), message_id="1"))
        await wait_until(bot.answers)
        edited = replace(make_message("my name is Eve", kind="edit"), message_id="1")
        await bot.enqueue(edited)
        (offer,) = await wait_until(lambda: bot.journal.read("buttons"))
        assert offer["commands"] == ["retry"]
        await bot.enqueue(edited)
        await wait_until(lambda: _is_idle(bot))
        assert len(bot.journal.read("buttons")) == 1, "nothing changed: nothing to offer"
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers()[1:] == ["Your name is Eve."])


async def test_memory_follows_a_deletion(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(replace(make_message("my name is Ada"), message_id="1"))
        await wait_until(bot.answers)
        await bot.enqueue(replace(make_message("", kind="delete"), message_id="1"))
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers()[1:] == ["I do not know your name."])


async def test_attached_documents_and_pictures_reach_the_model(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    files = {"f1": b"the code word is heron", "f2": b"\x89PNG..."}
    platform = LoopbackPlatform(Journal(tmp_path / "j"), files=files)
    async with running_service(settings, tmp_path, model, platform=platform) as bot:
        attachments = (
            Attachment("document", "a.txt", "text/plain", "f1"),
            Attachment("image", "b.png", "image/png", "f2"),
            Attachment("document", "big.txt", "text/plain", "f3", size_bytes=10**9),
        )
        await bot.enqueue(replace(make_message("see"), attachments=attachments))
        await wait_until(lambda: model.requests)
    content = str(model.requests[0].messages[-1]["content"])
    assert "heron" in content
    assert "data:image/png;base64," in content
    assert "big.txt (1000.0 MB) is larger than" in content


async def test_a_full_mailbox_is_said_once(
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


async def test_the_conversations_of_a_person_are_known(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        for place in ("C1", "C2"):
            await bot.enqueue(make_message("hi", place))
        await bot.enqueue(make_message("hi", "C3", speaker="U2"))
        await wait_until(lambda: len(bot.answers()) == 3)
        await wait_until(lambda: _is_idle(bot))
        listed = await bot.service.core.conversations_of("loop", make_message("x").speaker)
        assert {one.session.place for one in listed} == {"C1", "C2"}
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


async def test_a_moved_place_keeps_its_memory(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", "old"))
        await wait_until(bot.answers)
        await wait_until(lambda: _is_idle(bot))
        await bot.service.core.migrate(
            make_message("x", "old").session, make_message("x", "new").session
        )
        await bot.enqueue(make_message("what is my name?", "new"))
        await wait_until(lambda: bot.answers()[1:] == ["Your name is Ada."])


async def test_probes_and_metrics_tell_the_truth(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("hello"))
        await wait_until(bot.answers)
        await wait_until(lambda: _is_idle(bot))
        base = f"http://127.0.0.1:{bot.service.port}"
        async with httpx2.AsyncClient(base_url=base) as web:
            assert (await web.get("/healthz")).json() == {"ok": True, "wrong": {}}
            assert (await web.get("/readyz")).status_code == 200
            metrics = (await web.get("/metrics")).text
            assert 'keepthread_turns_total{outcome="complete",platform="loop"} 1.0' in metrics
            assert 'keepthread_messages_total{admission="queued",platform="loop"} 1.0' in metrics
            assert "\nkeepthread_ready 1.0\n" in metrics
            bot.platform.health = Health(False, "the line is dead")
            assert "\nkeepthread_ready 0.0\n" in (await web.get("/metrics")).text
            answer = await web.get("/readyz")
            assert (answer.status_code, answer.json()["wrong"]) == (
                503,
                {"loop": "the line is dead"},
            )
            assert (await web.get("/healthz")).status_code == 200, "a restart would not help yet"


async def get(bot: RunningService, path: str) -> tuple[int, dict[str, str]]:
    """Status of a probe, and what it says is wrong."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{bot.service.port}") as web:
        answer = await web.get(path)
    return answer.status_code, answer.json()["wrong"]


async def test_a_platform_that_stays_deaf_asks_for_a_restart_of_those_who_listen(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    disconnected = Health(False, "the line is dead")
    async with running_service(settings, tmp_path, model, role="ingress") as bot:
        bot.service.probes.max_disconnected_s = 0
        bot.platform.health = disconnected
        await get(bot, "/readyz")
        assert await get(bot, "/healthz") == (503, {"loop": "the line is dead"})
    async with running_service(settings, tmp_path, model, role="worker") as bot:
        bot.service.probes.max_disconnected_s = 0
        bot.platform.health = disconnected
        assert await get(bot, "/readyz") == (200, {}), "it only speaks"
        assert await get(bot, "/healthz") == (200, {})


async def test_redis_away_makes_it_unready_and_asks_for_no_restart(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_redis() as redis:
        url = SecretStr(f"redis://127.0.0.1:{redis.port}")
        async with running_service(
            settings, tmp_path, model, redis_url=url, ingress_retry_s=INGRESS_RETRY_S
        ) as bot:
            bot.service.probes.max_disconnected_s = 0
            await bot.service.probes.render_metrics()
            redis.kill()
            bot.platform.health = Health(False, "memory does not take it")
            status, wrong = await get(bot, "/readyz")
            assert (status, "memory" in wrong["redis"]) == (503, True)
            assert await get(bot, "/healthz") == (200, {})
            with pytest.raises(StoreUnavailable):
                await bot.enqueue(make_message("hello"))
            metrics = (await bot.service.probes.render_metrics()).decode()
            assert 'keepthread_redis_errors_total{kind="StoreUnavailable"}' in metrics
            assert "keepthread_queue_age_seconds NaN" in metrics
            assert "keepthread_queue_depth{" not in metrics
            bot.platform.health = Health(True)
            await redis.start()
            await wait_until(lambda: get_ready(bot))


async def is_seen(bot: RunningService, path: str, wanted: tuple[int, dict[str, str]]) -> bool:
    return await get(bot, path) == wanted


async def get_ready(bot: RunningService) -> bool:
    return await get(bot, "/readyz") == (200, {})


async def test_probes_tell_of_the_end_while_answers_are_finished(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    model.default = stall("hm")
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(
            running_service(settings, tmp_path, model, bot_drain_s=60)
        )
        await bot.enqueue(make_message("hello"))
        await wait_until(lambda: bot.journal.read("show"))
        ending = asyncio.create_task(stack.pop_all().aclose())
        ended = (503, {"service": "it is being stopped"})
        await wait_until(lambda: is_seen(bot, "/readyz", ended))
        assert await get(bot, "/healthz") == (200, {})
        await bot.service.inbox.stop(make_message("hello").session)
        await ending


async def test_ingress_and_workers_can_be_different_processes(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model, role="ingress") as ears:
        await ears.enqueue(make_message("hello"))
        assert ears.service.worker is None
        assert (await ears.service.stats.depth())[0] == 1
        async with running_service(settings, tmp_path, model, role="worker") as hands:
            await wait_until(lambda: hands.answers() == ["You said: hello"])


async def test_without_a_platform_the_cure_is_told(settings: Settings, model: ModelServer) -> None:
    with pytest.raises(SettingsError) as caught:
        async with open_service(service_settings(settings, model)):
            pass
    assert caught.value.cure == (
        "Set TELEGRAM_BOT_TOKEN, or SLACK_BOT_TOKEN with SLACK_APP_TOKEN or SLACK_SIGNING_SECRET; "
        "or talk here: keepthread chat"
    )


async def test_a_taken_port_is_told(settings: Settings, tmp_path: Path, model: ModelServer) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        with pytest.raises(SettingsError, match="cannot listen"):
            async with running_service(settings, tmp_path, model, bot_http_port=bot.service.port):
                pass


async def test_a_service_whose_worker_breaks_asks_to_be_ended(
    settings: Settings, tmp_path: Path, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: DueTurnPromoter) -> None:
        raise RuntimeError("a mistake of a library's")

    monkeypatch.setattr(DueTurnPromoter, "run", broken)
    async with running_service(settings, tmp_path, model) as bot:
        await bot.service.broken.wait()
