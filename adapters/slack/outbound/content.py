"""Blocks and text of a message to send, with simpler versions for when Slack refuses it.

Slack documents some refusals of chat.postMessage and chat.update and adds others without a word: so whatever
the code, there is a next thing to try, and the whole text stays in it.
"""

from __future__ import annotations

from typing import Any

from adapters.slack.api.errors import (
    BLOCKS_REFUSED,
    METADATA_REFUSED,
    TEXT_REFUSED,
)
from adapters.slack.outbound.blocks import (
    Block,
    escape,
    fallback_text,
    markdown_blocks,
    section_blocks,
    stored_length,
)
from adapters.slack.outbound.message_metadata import MessageMetadata

MAX_EDITED_BYTES = 4_000
MAX_POSTED_BYTES = 35_000
"""Most of a text without blocks, as stored; Slack cuts a longer one at 40,000 characters."""

_SHORT_BYTES = 300


class MessageContent:
    """Text, blocks and metadata of a message as arguments of a call.

    Args:
        text: Markdown of at most 11,000 characters.
        extras: blocks below it, as buttons are.
        max_text_bytes: of a text without blocks.
    """

    def __init__(
        self,
        text: str,
        extras: list[Block] | None = None,
        metadata: MessageMetadata | None = None,
        *,
        max_text_bytes: int = MAX_POSTED_BYTES,
    ) -> None:
        sections, extras = section_blocks(text), extras or []
        self._whole = text
        self._max_text_bytes = max_text_bytes
        self._text = fallback_text(text)
        self._shorter_texts = [fallback_text(text, _SHORT_BYTES)]
        self._blocks = markdown_blocks(text) + extras
        self._simpler_blocks = [sections]
        if extras:
            self._simpler_blocks[:0] = [sections + extras, markdown_blocks(text)]
        self._metadata = metadata.as_argument() if metadata else None
        self._smaller_metadata = [metadata.shortened().as_argument(), None] if metadata else []
        self._is_plain = False

    def arguments(self) -> dict[str, Any]:
        """The `text`, `blocks` and `metadata` of a call; names in the text are no links."""
        return {
            "text": self._text,
            "blocks": self._blocks,
            "metadata": self._metadata,
            "parse": "none",
        }

    def simplify(self, code: str) -> bool:
        """Make it simpler after a refusal with the error `code`; False if that leaves nothing to try."""
        if code in TEXT_REFUSED and self._shorter_texts:
            self._text = self._shorter_texts.pop(0)
            return True
        if code in METADATA_REFUSED and self._smaller_metadata:
            self._metadata = self._smaller_metadata.pop(0)
            return True
        if code in BLOCKS_REFUSED and self._simpler_blocks:
            self._blocks = self._simpler_blocks.pop(0)
            return True
        return self._simplify_all()

    def _simplify_all(self) -> bool:
        """For a refusal that names no part: sections without buttons, then no metadata, then plain text."""
        if self._simpler_blocks:
            self._blocks = self._simpler_blocks[-1]
            self._simpler_blocks = []
        elif self._metadata is not None:
            self._metadata, self._smaller_metadata = None, []
        elif not self._is_plain and stored_length(self._whole) <= self._max_text_bytes:
            self._is_plain, self._blocks, self._shorter_texts = True, [], []
            self._text = escape(self._whole)
        else:
            return False
        return True
