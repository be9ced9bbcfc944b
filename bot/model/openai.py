"""Model at an OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import structlog

from bot.errors import (
    AnswerCut,
    ModelBroken,
    ModelError,
    ModelMissing,
    ModelSetupError,
    ModelTimeout,
    ModelUnreachable,
    PromptRefused,
)
from bot.model.chat import adapted, keep_events_plain, lean_chat_class, to_langchain
from bot.model.errors import refusal_of, translate_error
from bot.model.refusals.lessons import Lesson, RequestParts, lesson_of
from bot.model.streamed_answer import StreamedAnswer
from bot.model.thinking import ThinkingSplitter
from bot.model.traits import LearnedTraits, Traits
from bot.ports import AnswerDelta, Prompt, TurnTrace

log = structlog.get_logger("keepthread.model")

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"
"""Key sent to endpoints without keys: the header must not be empty."""
KEEPALIVE_S = 120
MAX_RETRIES = 2
MAX_RETRY_WAIT_S = 20.0
"""A longer `Retry-After` is not waited for: the turn fails with it."""
TEACHING_ERRORS = (ModelBroken, ModelMissing, ModelSetupError, PromptRefused)
"""Kinds of refusals that may be about the request's form: of these a lesson is tried."""
NO_IMAGES_NOTICE = "_I can't see pictures with this model._\n\n"
IMAGE_REFUSED_NOTICE = "_I couldn't see the picture: the language model refused it._\n\n"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address, key and parameters of a model.

    Attributes:
        base_url: None is OpenAI itself.
        first_token_timeout_s: longest silence: nothing is received, not even a comment that keeps alive.
        timeout_s: longest time of the whole answer.
        headers: sent with each request.
        retries: most retries of a request, made only while no text was shown.
    """

    model: str
    api_key: str
    base_url: str | None = None
    first_token_timeout_s: float = 60
    timeout_s: float = 180
    temperature: float | None = None
    max_answer_tokens: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retries: int = MAX_RETRIES

    @property
    def is_openai(self) -> bool:
        return self.base_url is None or urlsplit(self.base_url).hostname == OPENAI_HOST


class _TraitRefused(Exception):
    """The endpoint refused a trait of the request; it is asked again without it."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__()
        self.lesson = lesson


class OpenAIModel:
    """Model at one endpoint. Retries only while no text was shown. Raises ModelError.

    Attributes:
        traits: what the endpoint takes; learned from its refusals.
    """

    def __init__(self, endpoint: Endpoint, traits: LearnedTraits | None = None) -> None:
        self.endpoint = endpoint
        self.traits = traits or LearnedTraits()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._chats: dict[Traits, Any] = {}
        self._closes_thinking_alone = False

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        deadline = time.monotonic() + self.endpoint.timeout_s
        lesson = Lesson(await self.traits.read())
        attempt = 0
        while True:
            shown = False
            try:
                async with aclosing(self._stream_once(prompt, trace, deadline, lesson)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
            except _TraitRefused as refused:
                lesson = refused.lesson
            except ModelError as error:
                if shown and isinstance(error, ModelUnreachable):
                    raise AnswerCut(error.detail) from None
                attempt += 1
                wait_s = error.retry_after_s or 0.4 * 2**attempt * random.uniform(0.5, 1)  # noqa: S311  jitter
                too_late = time.monotonic() + wait_s > deadline or wait_s > MAX_RETRY_WAIT_S
                if shown or not error.can_retry or attempt > self.endpoint.retries or too_late:
                    raise
                log.info("model request retried", error=repr(error), wait_s=round(wait_s, 2))
                await asyncio.sleep(wait_s)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        self._chats.clear()
        if client is not None:
            await client.aclose()

    async def _stream_once(
        self, prompt: Prompt, trace: TurnTrace | None, deadline: float, lesson: Lesson
    ) -> AsyncGenerator[AnswerDelta]:
        traits = lesson.traits
        messages = to_langchain(adapted(prompt.messages, traits))
        options: dict[str, Any] = {}
        if prompt.cache_key and self.endpoint.is_openai:
            options["prompt_cache_key"] = prompt.cache_key
        if prompt.answer_tokens > (self.endpoint.max_answer_tokens or prompt.answer_tokens):
            options["max_tokens"] = prompt.answer_tokens
        config = trace.model_config() if trace is not None else None
        answer = StreamedAnswer(
            self.endpoint.model, ThinkingSplitter(holds_back=self._closes_thinking_alone)
        )
        accepted = False
        try:
            chat = await self._get_chat(traits)
            async with aclosing(chat.astream(messages, config=config, **options)) as chunks:
                while (chunk := await self._next_chunk(chunks, deadline)) is not None:
                    if not accepted:
                        accepted = True
                        if notice := await self._keep(lesson, prompt):
                            yield AnswerDelta(notice)
                    for delta in answer.add(chunk):
                        yield delta
        except (asyncio.CancelledError, GeneratorExit, ModelError):
            raise
        except Exception as error:  # noqa: BLE001  the table translates every exception
            failure = translate_error(error, self.endpoint.api_key)
            if not accepted and isinstance(failure, TEACHING_ERRORS):
                self._raise_lesson(error, prompt, traits)
            if type(failure) is ModelBroken:
                log.warning(
                    "model request failed", error=type(error).__name__, detail=failure.detail
                )
            raise failure from None
        for delta in answer.end():
            yield delta
        self._closes_thinking_alone = answer.splitter.closed_alone
        answer.check_end()

    def _raise_lesson(self, error: Exception, prompt: Prompt, traits: Traits) -> None:
        """Raise `_TraitRefused` if a refusal says that the model lacks a trait that was asked of it."""
        parts = RequestParts(
            system=any(message.role == "system" for message in prompt.messages),
            images=any(message.images for message in prompt.messages),
            temperature=self.endpoint.temperature is not None,
            limit=self.endpoint.max_answer_tokens is not None,
        )
        refusal = refusal_of(error)
        lesson = lesson_of(refusal, traits, parts) if refusal is not None else None
        if refusal is not None and lesson is not None:
            log.info("model request refused, asked differently", detail=refusal.body.text[:300])
            raise _TraitRefused(lesson) from None

    async def _keep(self, lesson: Lesson, prompt: Prompt) -> str:
        """Keep what a request that was accepted proves. Returns the notice for the person, if any."""
        known, tried = asdict(self.traits.current), asdict(lesson.traits)
        changes = {name: value for name, value in tried.items() if value != known[name]}
        if not lesson.keep:
            changes.pop("images", None)
        if changes:
            await self.traits.learn(**changes)
        if lesson.traits.images or not any(message.images for message in prompt.messages):
            return ""
        return NO_IMAGES_NOTICE if lesson.keep else IMAGE_REFUSED_NOTICE

    async def _next_chunk(self, chunks: AsyncIterator[Any], deadline: float) -> Any:
        """The next chunk; None at the end. Silence is limited by the client's read timeout."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await anext(chunks)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise ModelTimeout(f"not ended after {self.endpoint.timeout_s:g} s") from None

    async def _get_chat(self, traits: Traits) -> Any:
        """The ChatOpenAI of this event loop. It is imported in a thread, because that takes a second."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            await asyncio.to_thread(lean_chat_class)
            if self._client is None or self._loop is not loop:
                self._loop = loop
                self._chats.clear()
                self._client = self._build_client()
        if traits not in self._chats:
            self._chats[traits] = self._build_chat(traits)
        return self._chats[traits]

    def _build_client(self) -> Any:
        import httpx2

        from bot.model import responses

        limits = httpx2.Limits(
            max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S
        )
        return httpx2.AsyncClient(
            timeout=self._timeout(),
            limits=limits,
            follow_redirects=True,
            headers=responses.HEADERS,
            event_hooks={"response": [responses.check_response]},
        )

    def _timeout(self) -> Any:
        import httpx2

        endpoint = self.endpoint
        return httpx2.Timeout(
            connect=5, read=endpoint.first_token_timeout_s, write=30, pool=endpoint.timeout_s
        )

    def _build_chat(self, traits: Traits) -> Any:
        endpoint = self.endpoint
        options: dict[str, Any] = {}
        if endpoint.temperature is not None and traits.temperature:
            options["temperature"] = endpoint.temperature
        if endpoint.max_answer_tokens is not None:
            options["max_tokens"] = endpoint.max_answer_tokens
        chat = lean_chat_class()(
            model=endpoint.model,
            api_key=endpoint.api_key,
            base_url=endpoint.base_url or f"https://{OPENAI_HOST}/v1",
            http_async_client=self._client,
            timeout=self._timeout(),
            max_retries=0,
            stream_usage=traits.stream_options,
            stream_chunk_timeout=None,  # comments do not count for it, and it swallows cancellations (Python 3.11)
            default_headers=dict(endpoint.headers) or None,
            use_responses_api=False,
            limit_name=traits.limit_name,
            **options,
        )
        keep_events_plain(chat)
        return chat
