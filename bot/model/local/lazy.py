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
"""Starts or joins the local runtime, unless it runs already; gives its base address and key."""


LOCAL_ANSWER_TOKENS = 2_048
"""A small model may never come to an end by itself, and what it says shares the room of bot/model/local/runtime.py."""


DYING_S = 0.25
"""A killed process takes a moment to let go of its memory, and only then of its lock."""


class LazyModel:
    """The local model: its runtime starts with the first message, and again should it have died."""

    def __init__(self, settings: Settings, start_local: StartLocal) -> None:
        self._settings = settings
        self._start_local = start_local
        self._model: OpenAIModel | None = None
        self._place: tuple[str, str] | None = None
        self._gone: list[OpenAIModel] = []
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the runtime now rather than with the first message. Raises LocalModelError."""
        await self._ready()

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta]:
        for last_try in (False, False, True):
            model = await self._ready()
            shown = False
            try:
                async with aclosing(model.stream(prompt, trace)) as deltas:
                    async for delta in deltas:
                        shown = True
                        yield delta
                return
            except ModelUnreachable:
                if shown or last_try:
                    raise
                await asyncio.sleep(DYING_S)

    async def aclose(self) -> None:
        for model in (self._model, *self._gone):
            if model is not None:
                await model.aclose()

    async def _ready(self) -> OpenAIModel:
        """The model. Its runtime is started if it was not yet, and again if it has died since."""
        async with self._starting:
            place = await self._start_local()
            if self._model is None or place != self._place:
                if self._model is not None:
                    self._gone.append(self._model)  # others may yet be reading from it
                self._model, self._place = self._build(*place), place
            return self._model

    def _build(self, base_url: str, key: str) -> OpenAIModel:
        settings = self._settings
        return OpenAIModel(
            Endpoint(
                "local",
                key or NO_KEY,
                base_url,
                # A long prompt takes its time on a small machine.
                first_token_timeout_s=max(300, settings.bot_first_token_timeout_s),
                timeout_s=max(900, settings.bot_model_timeout_s),
                temperature=_or(settings.bot_temperature, 0.3),
                max_answer_tokens=settings.bot_max_answer_tokens or LOCAL_ANSWER_TOKENS,
                # Its server closes kept-alive connections after a stream.
                headers={"Connection": "close"},
                retries=0,  # asking a dead address again is in vain: see `stream`
            )
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
