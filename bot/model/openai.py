"""Model at an OpenAI-compatible endpoint, over langchain-openai's ChatOpenAI."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from bot.errors import AnswerCut, ModelBroken, ModelError, ModelTimeout, ModelUnreachable
from bot.model.errors import translate_error
from bot.model.streamed_answer import StreamedAnswer
from bot.model.thinking import ThinkingSplitter, reasoning_of
from bot.ports import AnswerDelta, Message, Prompt, TurnTrace

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

log = structlog.get_logger("keepthread.model")

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"
"""Key sent to endpoints without keys: the header must not be empty."""
KEEPALIVE_S = 120
MAX_RETRIES = 2
MAX_RETRY_WAIT_S = 20.0
"""A longer `Retry-After` is not waited for: the turn fails with it."""


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


class OpenAIModel:
    """Model at one endpoint. Retries only while no text was shown. Raises ModelError."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._chat: Any = None
        self._closes_thinking_alone = False

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        deadline = time.monotonic() + self.endpoint.timeout_s
        attempt = 0
        while True:
            shown = False
            try:
                async with aclosing(self._stream_once(prompt, trace, deadline)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
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
        client, self._client, self._chat = self._client, None, None
        if client is not None:
            await client.aclose()

    async def _stream_once(
        self, prompt: Prompt, trace: TurnTrace | None, deadline: float
    ) -> AsyncGenerator[AnswerDelta]:
        messages = to_langchain(prompt.messages)
        options: dict[str, Any] = {}
        if prompt.cache_key and self.endpoint.is_openai:
            options["prompt_cache_key"] = prompt.cache_key
        config = trace.model_config() if trace is not None else None
        answer = StreamedAnswer(
            self.endpoint.model, ThinkingSplitter(holds_back=self._closes_thinking_alone)
        )
        try:
            chat = await self._get_chat()
            async with aclosing(chat.astream(messages, config=config, **options)) as chunks:
                while (chunk := await self._next_chunk(chunks, deadline)) is not None:
                    for delta in answer.add(chunk):
                        yield delta
        except (asyncio.CancelledError, GeneratorExit, ModelError):
            raise
        except Exception as error:  # noqa: BLE001  the table translates every exception
            failure = translate_error(error, self.endpoint.api_key)
            if type(failure) is ModelBroken:
                log.warning(
                    "model request failed", error=type(error).__name__, detail=failure.detail
                )
            raise failure from None
        for delta in answer.end():
            yield delta
        self._closes_thinking_alone = answer.splitter.closed_alone
        answer.check_end()

    async def _next_chunk(self, chunks: AsyncIterator[Any], deadline: float) -> Any:
        """The next chunk; None at the end. Silence is limited by the client's read timeout."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await anext(chunks)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise ModelTimeout(f"not ended after {self.endpoint.timeout_s:g} s") from None

    async def _get_chat(self) -> Any:
        """The ChatOpenAI of this event loop. It is imported in a thread, because that takes a second."""
        loop = asyncio.get_running_loop()
        if self._chat is None or self._loop is not loop:
            chat_class = await asyncio.to_thread(lean_chat_class)
            if self._chat is None or self._loop is not loop:
                self._loop = loop
                self._chat, self._client = self._build_chat(chat_class)
        return self._chat

    def _build_chat(self, chat_class: Any) -> tuple[Any, Any]:
        import httpx2

        endpoint = self.endpoint
        timeout = httpx2.Timeout(
            connect=5, read=endpoint.first_token_timeout_s, write=30, pool=endpoint.timeout_s
        )
        limits = httpx2.Limits(
            max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S
        )
        client = httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=True)
        options: dict[str, Any] = {}
        if endpoint.temperature is not None:
            options["temperature"] = endpoint.temperature
        if endpoint.max_answer_tokens is not None:
            options["max_tokens"] = endpoint.max_answer_tokens
        chat = chat_class(
            model=endpoint.model,
            api_key=endpoint.api_key,
            base_url=endpoint.base_url or f"https://{OPENAI_HOST}/v1",
            http_async_client=client,
            timeout=timeout,
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,  # comments do not count for it, and it swallows cancellations (Python 3.11)
            default_headers=dict(endpoint.headers) or None,
            use_responses_api=False,
            **options,
        )
        return chat, client


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pauses garbage collection for an import: its objects stay, and checking them takes a seventh of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@cache
def lean_chat_class() -> Any:
    """Subclass of ChatOpenAI that sends long histories without delay.

    The openai package transforms each message of a request, on the event loop, in 0.13 ms a message. It
    merges `extra_body` into the request as it is, and LangChain's messages already have the API's format.
    """
    with _without_garbage_collection():
        from langchain_openai import ChatOpenAI

    class LeanChatOpenAI(ChatOpenAI):
        def _get_request_payload(
            self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any
        ) -> dict[str, Any]:
            payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
            if "messages" in payload:
                payload["extra_body"] = {
                    **(payload.get("extra_body") or {}),
                    "messages": payload["messages"],
                }
                payload["messages"] = []
            return payload

        def _convert_chunk_to_generation_chunk(
            self, chunk: dict[str, Any], *args: Any, **kwargs: Any
        ) -> Any:
            converted = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
            choices = chunk.get("choices")
            if (
                converted is not None
                and choices
                and (thinking := reasoning_of(choices[0]["delta"]))
            ):
                converted.message.additional_kwargs["thinking"] = thinking
            return converted

    return LeanChatOpenAI


def to_langchain(messages: tuple[Message, ...]) -> list[BaseMessage]:
    """LangChain messages of a prompt."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    classes = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    converted: list[BaseMessage] = []
    for message in messages:
        if message.images:
            blocks: list[Any] = [{"type": "text", "text": message.text}]
            blocks += [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
            converted.append(HumanMessage(content=blocks))
        else:
            converted.append(classes[message.role](content=message.text))
    return converted
