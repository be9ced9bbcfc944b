"""Conversion of message entities to Markdown: code stays code, links keep their address."""

from __future__ import annotations

from collections.abc import Sequence

from telegram import MessageEntity

from bot.text import utf16_length, utf16_slice

_AROUND = {
    MessageEntity.BOLD: "**",
    MessageEntity.ITALIC: "_",
    MessageEntity.STRIKETHROUGH: "~~",
    MessageEntity.SPOILER: "||",
}
_QUOTES = (MessageEntity.BLOCKQUOTE, MessageEntity.EXPANDABLE_BLOCKQUOTE)


def to_markdown(text: str, entities: Sequence[MessageEntity]) -> str:
    """`text` with its entities written as Markdown marks. Offsets of entities are in UTF-16 units."""
    marks: dict[int, list[tuple[int, int, str]]] = {}
    length = utf16_length(text)
    for entity in entities:
        start, end = entity.offset, min(entity.offset + entity.length, length)
        before, after = _marks(entity, utf16_slice(text, start, end))
        if not (before or after) or end <= start:
            continue
        # Where several meet, closing marks come first; wider ranges open earlier and close later.
        marks.setdefault(start, []).append((1, -end, before))
        marks.setdefault(end, []).append((0, -start, after))
    if not marks:
        return text
    parts = []
    at = 0
    for place in sorted(marks):
        parts.append(utf16_slice(text, at, place))
        parts += [mark for _, _, mark in sorted(marks[place])]
        at = place
    parts.append(utf16_slice(text, at, length))
    return "".join(parts)


def _marks(entity: MessageEntity, inside: str) -> tuple[str, str]:
    if entity.type in _AROUND:
        return _AROUND[entity.type], _AROUND[entity.type]
    if entity.type == MessageEntity.CODE:
        fence = "``" if "`" in inside else "`"
        return fence, fence
    if entity.type == MessageEntity.PRE:
        fence = "````" if "```" in inside else "```"
        return f"{fence}{entity.language or ''}\n", f"\n{fence}"
    if entity.type == MessageEntity.TEXT_LINK:
        return "[", f"]({entity.url})"
    if entity.type in _QUOTES:
        return "> ", "\n"
    return "", ""
