"""Rendering of a model's Markdown as text and entities, which Telegram cannot fail to parse."""

from __future__ import annotations

from adapters.telegram.outbound.formatted import Entity, Formatted
from adapters.telegram.outbound.rendering.document import render_document
from bot.text import clean_text

__all__ = ["Entity", "Formatted", "render"]


def render(markdown: str, *, cpu_s: float = float("inf")) -> Formatted:
    """`markdown` for Telegram. Every word of it is kept; only the marks become entities.

    Args:
        cpu_s: the most CPU time that it may take.

    Raises:
        RenderingTooSlow: it takes more.
    """
    return render_document(clean_text(markdown), cpu_s=cpu_s)
