"""Service: a loopback platform, a loopback model, a real Redis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.conversation import Attachment
from bot.errors import SettingsError
from bot.service.service import open_service
from bot.settings import Settings
from bot.worker.promotion import DueTurnPromoter
from tests.fakes.loopback_platform import Journal, LoopbackPlatform
from tests.fakes.model_server import ModelServer
from tests.support.messages import make_message
from tests.support.service_harness import running_service, service_settings
from tests.support.wait import wait_until


async def test_a_message_is_answered_and_remembered(
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


async def test_an_overheard_message_is_remembered_and_not_answered(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        await bot.enqueue(make_message("my name is Ada", kind="overheard"))
        await wait_until(lambda: bot.is_idle())
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers() == ["Your name is Ada."])
    assert len(model.requests) == 1


async def test_an_edit_changes_memory_and_offers_a_new_answer(
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
        await wait_until(lambda: bot.is_idle())
        assert len(bot.journal.read("buttons")) == 1, "nothing changed: nothing to offer"
        await bot.enqueue(make_message("what is my name?"))
        await wait_until(lambda: bot.answers()[1:] == ["Your name is Eve."])


async def test_a_deletion_removes_the_message_from_memory(
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


async def test_ingress_and_workers_can_be_different_processes(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model, role="ingress") as ingress:
        await ingress.enqueue(make_message("hello"))
        assert ingress.service.worker is None
        assert (await ingress.service.stats.depth())[0] == 1
        async with running_service(settings, tmp_path, model, role="worker") as worker:
            await wait_until(lambda: worker.answers() == ["You said: hello"])


async def test_a_service_without_a_platform_is_refused_with_its_cure(
    settings: Settings, model: ModelServer
) -> None:
    with pytest.raises(SettingsError) as caught:
        async with open_service(service_settings(settings, model)):
            pass
    assert caught.value.cure == (
        "Set TELEGRAM_BOT_TOKEN, or SLACK_BOT_TOKEN with SLACK_APP_TOKEN or SLACK_SIGNING_SECRET; "
        "or talk here: keepthread chat"
    )


async def test_a_taken_port_is_refused(
    settings: Settings, tmp_path: Path, model: ModelServer
) -> None:
    async with running_service(settings, tmp_path, model) as bot:
        with pytest.raises(SettingsError, match="cannot listen"):
            async with running_service(settings, tmp_path, model, bot_http_port=bot.service.port):
                pass


async def test_a_service_whose_worker_fails_sets_broken(
    settings: Settings, tmp_path: Path, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: DueTurnPromoter) -> None:
        raise RuntimeError("a mistake of a library's")

    monkeypatch.setattr(DueTurnPromoter, "run", broken)
    async with running_service(settings, tmp_path, model) as bot:
        await bot.service.broken.wait()
