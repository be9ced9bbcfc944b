"""Local model that starts its runtime at the first prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from bot.errors import ModelUnreachable
from bot.model.openai import NO_KEY, Endpoint, OpenAIModel
from bot.ports import AnswerDelta, Prompt, TurnTrace
from bot.settings import Settings

StartLocal = Callable[[], Awaitable[tuple[str, str]]]
"""Starts or joins the local runtime unless it runs already. Returns its base URL and key."""

MAX_ATTEMPTS = 3

LOCAL_ANSWER_TOKENS = 2_048
"""Answer limit: a small model may not end by itself, and its context (bot/model/local/runtime.py) is shared."""

RESTART_DELAY_S = 0.25
"""Pause before a restart: a killed process frees its memory first, and then its lock."""


class LazyModel:
    """Model whose runtime starts with the first message, and restarts if it died."""

    def __init__(self, settings: Settings, start_local: StartLocal) -> None:
        self._settings = settings
        self._start_local = start_local
        self._model: OpenAIModel | None = None
        self._address: tuple[str, str] | None = None
        self._replaced: list[OpenAIModel] = []
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the runtime before the first message. Raises LocalModelError."""
        await self._ensure_started()

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            model = await self._ensure_started()
            shown = False
            try:
                async with aclosing(model.stream(prompt, trace)) as deltas:
                    async for delta in deltas:
                        shown = shown or bool(delta.text)
                        yield delta
                return
            except ModelUnreachable:
                if shown or attempt == MAX_ATTEMPTS:
                    raise
                await asyncio.sleep(RESTART_DELAY_S)

    async def aclose(self) -> None:
        for model in (self._model, *self._replaced):
            if model is not None:
                await model.aclose()

    async def _ensure_started(self) -> OpenAIModel:
        """The model, after its runtime was started or restarted where necessary."""
        async with self._starting:
            address = await self._start_local()
            if self._model is None or address != self._address:
                if self._model is not None:
                    self._replaced.append(self._model)  # other turns may still read from it
                self._model, self._address = self._build(*address), address
            return self._model

    def _build(self, base_url: str, key: str) -> OpenAIModel:
        settings = self._settings
        temperature = settings.bot_temperature
        return OpenAIModel(
            Endpoint(
                "local",
                key or NO_KEY,
                base_url,
                # A small machine reads a long prompt for minutes.
                first_token_timeout_s=max(300, settings.bot_first_token_timeout_s),
                timeout_s=max(900, settings.bot_model_timeout_s),
                temperature=0.3 if temperature is None else temperature,
                max_answer_tokens=settings.bot_max_answer_tokens or LOCAL_ANSWER_TOKENS,
                # Its server closes kept-alive connections after a stream.
                headers={"Connection": "close"},
                retries=0,  # a restarted runtime has another address: see `stream`
            )
        )
