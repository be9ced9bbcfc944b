"""The `Model` port over langchain-openai's ChatOpenAI, for any OpenAI-compatible endpoint."""

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

from bot.conversation import Usage
from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    ModelBroken,
    ModelError,
    ModelTimeout,
    ModelUnreachable,
)
from bot.model.errors import translate
from bot.ports import AnswerDelta, Message, Prompt, TurnTrace

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

log = structlog.get_logger("keepthread.model")

OPENAI_HOST = "api.openai.com"
KEEPALIVE_S = 120
RETRIES = 2
LONGEST_WAIT_S = 20.0
"""A longer `Retry-After` is not waited for: the person is told."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is, and how it is asked.

    Attributes:
        base_url: None is OpenAI itself.
        first_token_timeout_s: for the first piece, and between any two.
        timeout_s: for the whole answer.
        headers: sent with each request.
        retries: how often it is asked again while nothing was shown.
    """

    model: str
    api_key: str
    base_url: str | None = None
    first_token_timeout_s: float = 60
    timeout_s: float = 180
    temperature: float | None = None
    max_answer_tokens: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retries: int = RETRIES

    @property
    def is_openai(self) -> bool:
        return self.base_url is None or urlsplit(self.base_url).hostname == OPENAI_HOST


class OpenAIModel:
    """Streams answers; tries again only while nothing was shown. Raises ModelError."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._chat: Any = None

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        give_up_at = time.monotonic() + self.endpoint.timeout_s
        attempt = 0
        while True:
            shown = False
            try:
                async with aclosing(self._once(prompt, trace, give_up_at)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
            except ModelError as error:
                if shown and isinstance(error, ModelUnreachable):
                    raise AnswerCut(error.detail) from None
                attempt += 1
                wait_s = error.retry_after_s or 0.4 * 2**attempt * random.uniform(0.5, 1)  # noqa: S311  jitter
                late = time.monotonic() + wait_s > give_up_at or wait_s > LONGEST_WAIT_S
                if shown or not error.can_retry or attempt > self.endpoint.retries or late:
                    raise
                log.info("model asked again", error=repr(error), wait_s=round(wait_s, 2))
                await asyncio.sleep(wait_s)

    async def aclose(self) -> None:
        client, self._client, self._chat = self._client, None, None
        if client is not None:
            await client.aclose()

    async def _once(
        self, prompt: Prompt, trace: TurnTrace | None, give_up_at: float
    ) -> AsyncGenerator[AnswerDelta]:
        messages = to_langchain(prompt.messages)
        options: dict[str, Any] = {}
        if prompt.cache_key and self.endpoint.is_openai:
            options["prompt_cache_key"] = prompt.cache_key
        config = trace.model_config() if trace is not None else None
        reason, usage, model = None, None, self.endpoint.model
        try:
            chat = await self._open()
            async with aclosing(chat.astream(messages, config=config, **options)) as chunks:
                while (chunk := await self._next(chunks, give_up_at)) is not None:
                    meta = chunk.response_metadata
                    if meta:
                        reason = meta.get("finish_reason") or reason
                        model = meta.get("model_name") or model
                    if chunk.usage_metadata:
                        usage = _usage(chunk.usage_metadata)
                    text = chunk.content if isinstance(chunk.content, str) else chunk.text
                    if text:
                        yield AnswerDelta(text)
        except (asyncio.CancelledError, GeneratorExit, ModelError):
            raise
        except Exception as error:  # noqa: BLE001  translated, whatever it is: the table ends in ModelBroken
            failure = translate(error, self.endpoint.api_key)
            if type(failure) is ModelBroken:
                log.warning("model failed", error=type(error).__name__, detail=failure.detail)
            raise failure from None
        yield AnswerDelta(usage=usage, model=model)
        if reason == "content_filter":
            raise AnswerFiltered("finish_reason content_filter")
        if reason is None:
            raise AnswerCut("the stream ended without a finish_reason")
        if reason == "length":
            raise AnswerCut("finish_reason length")

    async def _next(self, chunks: AsyncIterator[Any], give_up_at: float) -> Any:
        """The next chunk, or None. Raises ModelTimeout, also where comments keep the line alive."""
        endpoint, left_s = self.endpoint, give_up_at - time.monotonic()
        try:
            async with asyncio.timeout(min(endpoint.first_token_timeout_s, left_s)):
                return await anext(chunks)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            if left_s < endpoint.first_token_timeout_s:
                raise ModelTimeout(f"not ended after {endpoint.timeout_s:g} s") from None
            raise ModelTimeout(f"nothing for {endpoint.first_token_timeout_s:g} s") from None

    async def _open(self) -> Any:
        """The LangChain object for this event loop; importing it takes a second, so not on the loop."""
        loop = asyncio.get_running_loop()
        if self._chat is None or self._loop is not loop:
            chat_class = await asyncio.to_thread(lean_chat_class)
            if self._chat is None or self._loop is not loop:
                self._loop = loop
                self._chat, self._client = self._build(chat_class)
        return self._chat

    def _build(self, chat_class: Any) -> tuple[Any, Any]:
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
            stream_chunk_timeout=None,  # see `_next`; theirs swallows cancellations (Python 3.11)
            default_headers=dict(endpoint.headers) or None,
            use_responses_api=False,
            **options,
        )
        return chat, client


@contextmanager
def _without_collecting() -> Iterator[None]:
    """An import makes objects that stay: looking for garbage among them is a seventh of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@cache
def lean_chat_class() -> Any:
    """ChatOpenAI, without what makes long histories slow.

    The openai package walks each message of a request to transform it, on the event loop, at 0.13 ms a
    message. What travels in `extra_body` is merged into the body as it is. Messages from LangChain are
    already as the wire wants them.
    """
    with _without_collecting():
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

    return LeanChatOpenAI


def to_langchain(messages: tuple[Message, ...]) -> list[BaseMessage]:
    """Our messages as LangChain's."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    classes = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    found: list[BaseMessage] = []
    for message in messages:
        if message.images:
            blocks: list[Any] = [{"type": "text", "text": message.text}]
            blocks += [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
            found.append(HumanMessage(content=blocks))
        else:
            found.append(classes[message.role](content=message.text))
    return found


def _usage(counts: Mapping[str, Any]) -> Usage:
    details = counts.get("input_token_details") or {}
    return Usage(counts["input_tokens"], counts["output_tokens"], details.get("cache_read") or 0)


NO_KEY = "none"
"""Sent to endpoints of one's own that want no key: the header must hold something."""
