"""Transcription at an endpoint, and the error of each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.conversation import Attachment
from bot.errors import (
    KeepthreadError,
    ModelBroken,
    ModelBusy,
    ModelKeyRefused,
    ModelMissing,
    ModelUnreachable,
    PromptRefused,
    PromptTooLong,
)
from bot.model.transcription import MAX_AUDIO_BYTES, Transcriber
from bot.settings import Settings
from tests.fakes.transcription_endpoint import TranscriptionEndpoint

VOICE = Attachment("audio", "voice.oga", "audio/ogg")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[TranscriptionEndpoint, Transcriber]]:
    endpoint = TranscriptionEndpoint()
    app = web.Application(client_max_size=MAX_AUDIO_BYTES * 2)
    app.router.add_post("/v1/audio/transcriptions", endpoint.transcribe)
    async with TestServer(app) as server:
        settings = Settings.load(
            openai_api_key="key", openai_base_url=str(server.make_url("/v1")), redis_url="redis://x"
        )
        async with Transcriber(settings) as transcriber:
            yield endpoint, transcriber


async def test_a_voice_message_is_transcribed(
    pair: tuple[TranscriptionEndpoint, Transcriber],
) -> None:
    endpoint, transcriber = pair
    assert await transcriber.transcribe(b"hello there", VOICE) == "hello there"
    assert endpoint.seen == [
        {
            "name": "voice.ogg",
            "type": "audio/ogg",
            "model": "gpt-4o-mini-transcribe",
            "key": "Bearer key",
        }
    ]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {}, ModelKeyRefused),
        (404, {}, ModelMissing),
        (413, {}, PromptTooLong),
        (400, {}, PromptRefused),
        (500, {}, ModelBroken),
        (200, {"no": "text"}, ModelBroken),
        (200, [], ModelBroken),
    ],
)
async def test_each_status_has_its_own_error(
    pair: tuple[TranscriptionEndpoint, Transcriber],
    status: int,
    body: Any,
    error: type[KeepthreadError],
) -> None:
    endpoint, transcriber = pair
    endpoint.status, endpoint.body = status, body
    with pytest.raises(error):
        await transcriber.transcribe(b"x", VOICE)


async def test_a_busy_endpoint_sets_retry_after(
    pair: tuple[TranscriptionEndpoint, Transcriber],
) -> None:
    endpoint, transcriber = pair
    endpoint.status, endpoint.headers = 429, {"Retry-After": "7"}
    with pytest.raises(ModelBusy) as caught:
        await transcriber.transcribe(b"x", VOICE)
    assert caught.value.retry_after_s == 7


async def test_too_much_audio_is_not_sent(pair: tuple[TranscriptionEndpoint, Transcriber]) -> None:
    endpoint, transcriber = pair
    with pytest.raises(PromptTooLong):
        await transcriber.transcribe(b"x" * (MAX_AUDIO_BYTES + 1), VOICE)
    assert not endpoint.seen


async def test_transcription_fails_at_a_closed_port_and_with_the_local_model() -> None:
    local = Settings.load(redis_url="redis://x")
    async with Transcriber(local) as transcriber:
        assert not transcriber.is_configured
        with pytest.raises(ModelMissing):
            await transcriber.transcribe(b"x", VOICE)
    closed = Settings.load(openai_base_url="http://127.0.0.1:1/v1", redis_url="redis://x")
    async with Transcriber(closed) as transcriber:
        with pytest.raises(ModelUnreachable):
            await transcriber.transcribe(b"x", VOICE)
