"""Layout of an answer: Markdown as messages, computed off the event loop and within a time budget.

Behind the budget stands plain text: an answer that is costly to format still arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from adapters.shared.markdown_fences import open_fence
from adapters.telegram.outbound.entities import Formatted, render
from adapters.telegram.outbound.rendering.blocks import RenderingTooSlow
from adapters.telegram.outbound.splitting import MESSAGE_UNITS, split
from bot.text import clean_text

log = structlog.get_logger("keepthread.telegram")
T = TypeVar("T")

BUDGET_S = 3.0
"""CPU time for one answer: that of 100,000 characters that are marks all over."""
MAX_CHARS = 400_000
"""A longer answer is plain text at once: the parser's first step cannot be interrupted."""
INLINE_CHARS = 500
"""So short a text is laid out at once; it takes less time than handing it to the thread."""
PREVIEW_CHARS = 8_000
"""So much of the end of a growing answer is laid out: at least what one message holds."""
_MORE = "…\n"

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telegram-layout")
"""One thread: several would keep the event loop from the interpreter, which they share."""


async def lay_out(markdown: str, *, budget_s: float = BUDGET_S) -> list[Formatted]:
    """The messages that hold `markdown`, in order; none if it is blank."""
    return await _off_loop(partial(_messages, markdown, budget_s), len(markdown))


async def lay_out_newest(markdown: str, *, budget_s: float = BUDGET_S) -> Formatted:
    """As much of a growing answer as one message holds: all of it, or its end."""
    return await _off_loop(partial(newest, markdown, budget_s=budget_s), len(markdown))


async def _off_loop(work: Callable[[], T], size: int) -> T:
    if size <= INLINE_CHARS:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, work)


def _messages(markdown: str, budget_s: float) -> list[Formatted]:
    return split(_rendered(markdown, budget_s))


def _rendered(markdown: str, budget_s: float) -> Formatted:
    """`markdown` with entities; as it is written, if that takes too long."""
    if len(markdown) <= MAX_CHARS:
        try:
            return render(markdown, cpu_s=budget_s)
        except RenderingTooSlow:
            log.warning("rendering took too long, sending plain text", chars=len(markdown))
    return Formatted(clean_text(markdown))


def newest(markdown: str, *, budget_s: float = BUDGET_S) -> Formatted:
    """See `lay_out_newest`."""
    text = markdown
    if len(text) > PREVIEW_CHARS + MESSAGE_UNITS:
        cut = text.find("\n", len(text) - PREVIEW_CHARS) + 1 or len(text) - PREVIEW_CHARS
        fence = open_fence(text[:cut])
        text = (fence.line.strip() + "\n" if fence else "") + text[cut:]
    pieces = split(_rendered(text, budget_s), limit=MESSAGE_UNITS - len(_MORE))
    if not pieces:
        return Formatted("")
    if len(pieces) == 1 and text is markdown:
        return pieces[0]
    return _shifted(pieces[-1], _MORE)


def _shifted(formatted: Formatted, lead: str) -> Formatted:
    """`formatted` with `lead` before it, which has one UTF-16 unit a character."""
    return Formatted(
        lead + formatted.text,
        tuple(replace(entity, offset=entity.offset + len(lead)) for entity in formatted.entities),
    )
