"""Rendering of a whole document."""

from __future__ import annotations

import time

from adapters.telegram.outbound.formatted import Formatted
from adapters.telegram.outbound.rendering.blocks import BlockRenderer
from adapters.telegram.outbound.rendering.preparation import prepare


def render_document(markdown: str, *, cpu_s: float = float("inf")) -> Formatted:
    """`markdown` as text with entities.

    Args:
        cpu_s: the most CPU time that it may take.

    Raises:
        RenderingTooSlow: it takes more.
    """
    give_up_at = time.thread_time() + cpu_s
    prepared = prepare(markdown)
    renderer = BlockRenderer(prepared)
    shown = renderer.render(give_up_at)
    unused = prepared.definitions - renderer.used_labels
    if not unused:
        return shown
    # Their labels stand in code only: the definitions would vanish, and they are the sources of an answer.
    return BlockRenderer(prepare(markdown, unused=unused)).render(give_up_at)
