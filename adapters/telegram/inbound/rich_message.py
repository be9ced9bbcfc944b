"""Reader of rich messages: blocks such as lists, tables and headings, which apps send for typed ones.

Format: https://core.telegram.org/bots/api#richmessage. Nothing in it is taken for granted: what is not as
expected is left out, and a block of an unknown kind gives what words it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from telegram import Audio, Document, PhotoSize, Voice

from adapters.telegram.api.compat import UNREADABLE, complete_part
from adapters.telegram.inbound.attachments import (
    audio_of,
    document_of,
    picture_of,
    voice_of,
)
from adapters.telegram.inbound.markdown import CUT, MAX_DEPTH, InlineWriter, fence, quote
from bot.conversation import Attachment

MAX_BLOCKS = 2_000
"""Most blocks and rows that are read; Telegram allows 500."""

MAX_COLUMNS = 50

_ORDERED = re.compile(r"[\w]{1,12}[.)]")


@dataclass(frozen=True, slots=True)
class RichContents:
    """Contents of a rich message.

    Attributes:
        markdown: its words.
        usernames, user_ids: see `InlineWriter`.
        attachments: its pictures, voice messages and files.
        unsupported: kind of its contents that cannot be read, or `""`.
    """

    markdown: str
    usernames: frozenset[str]
    user_ids: frozenset[int]
    attachments: tuple[Attachment, ...]
    unsupported: str


def read_rich_message(raw: Mapping[str, Any]) -> RichContents:
    """The contents of a rich message."""
    reader = _Reader()
    text = reader.blocks(raw.get("blocks"), 0).strip("\n")
    if reader.inline.is_cut:
        text += CUT
    is_empty = not (text or reader.attachments or reader.unsupported)
    return RichContents(
        text,
        frozenset(reader.inline.usernames),
        frozenset(reader.inline.user_ids),
        tuple(reader.attachments),
        "messages of this kind" if is_empty else reader.unsupported,
    )


class _Reader:
    """Writes blocks as Markdown, and collects their files."""

    def __init__(self) -> None:
        self.inline = InlineWriter()
        self.attachments: list[Attachment] = []
        self.unsupported = ""
        self._blocks_left = MAX_BLOCKS
        self._writers: Mapping[str, Callable[[Mapping[str, Any], int], str]] = {
            "heading": self._heading,
            "pre": lambda block, _: fence(self._code(block), _text(block.get("language"))),
            "divider": lambda *_: "---",
            "mathematical_expression": self._formula,
            "list": lambda block, depth: self._list(block.get("items"), depth),
            "blockquote": self._quote,
            "expandable_blockquote": self._quote,
            "pullquote": self._quote,
            "table": self._table,
            "details": self._details,
            "map": self._map,
            "buttons": self._buttons,
            "photo": self._photo,
            "video": lambda block, _: self._unreadable("videos", "video", block),
            "animation": lambda block, _: self._unreadable("animations", "animation", block),
            "voice_note": self._voice,
            "audio": self._audio,
            "document": self._document,
        }

    @property
    def _is_full(self) -> bool:
        return self._blocks_left <= 0 or self.inline.is_full

    def blocks(self, raw: Any, depth: int) -> str:
        parts = [self._block(item, depth) for item in _list(raw)]
        return "\n\n".join(part for part in parts if part)

    def _block(self, raw: Any, depth: int) -> str:
        if self._is_full or depth > MAX_DEPTH:
            self.inline.is_cut = True
            return ""
        self._blocks_left -= 1
        if isinstance(raw, str):
            return self.inline.write(raw)
        block = _mapping(raw)
        write = self._writers.get(_text(block.get("type")), self._words)
        return write(block, depth).strip("\n")

    def _words(self, block: Mapping[str, Any], depth: int) -> str:
        """All words of a block, of a paragraph as of one of an unknown kind."""
        parts = [
            self.inline.write(block.get("text")),
            self.inline.write(block.get("summary")),
            self.inline.write(_text(block.get("expression"))),
            self.blocks(block.get("blocks"), depth + 1),
            self._list(block.get("items"), depth) if "items" in block else "",
            self._table(block, depth) if "cells" in block else self._caption(block),
        ]
        return "\n\n".join(part for part in parts if part)

    def _heading(self, block: Mapping[str, Any], _: int) -> str:
        size = block.get("size")
        level = size if isinstance(size, int) and 1 <= size <= 6 else 3
        text = " ".join(self.inline.write(block.get("text")).split())
        return f"{'#' * level} {text}" if text else ""

    def _code(self, block: Mapping[str, Any]) -> str:
        return self.inline.write(block.get("text"), is_code=True)

    def _formula(self, block: Mapping[str, Any], _: int) -> str:
        expression = self.inline.take(_text(block.get("expression")))
        return f"$$\n{expression}\n$$" if expression else ""

    def _list(self, raw: Any, depth: int) -> str:
        return "\n".join(filter(None, (self._item(item, depth) for item in _list(raw))))

    def _item(self, raw: Any, depth: int) -> str:
        item = _mapping(raw)
        label = _text(item.get("label")).strip()
        marker = self.inline.take(label) if _ORDERED.fullmatch(label) else "-"
        if item.get("has_checkbox"):
            marker += " [x]" if item.get("is_checked") else " [ ]"
        text = self._item_blocks(item.get("blocks"), depth + 1)
        indent = " " * (len(marker.partition(" ")[0]) + 1)
        first, *more = text.split("\n")
        return "\n".join((f"{marker} {first}".rstrip(), *(line and indent + line for line in more)))

    def _item_blocks(self, raw: Any, depth: int) -> str:
        """The blocks of an item; a list within it follows its words without a blank line."""
        text = ""
        for block in _list(raw):
            part = self._block(block, depth)
            is_list = _mapping(block).get("type") == "list"
            text += ("\n" if is_list else "\n\n") + part if text and part else part
        return text

    def _quote(self, block: Mapping[str, Any], depth: int) -> str:
        text = "\n\n".join(
            filter(
                None,
                (self.inline.write(block.get("text")), self.blocks(block.get("blocks"), depth + 1)),
            )
        )
        credit = self.inline.write(block.get("credit"))
        text += f"\n— {credit}" if credit else ""
        return quote(text) if text else ""

    def _table(self, block: Mapping[str, Any], _: int) -> str:
        rows = self._rows(block.get("cells"))
        caption = self.inline.write(block.get("caption"))
        if not rows:
            return caption
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, f"|{'---|' * max(1, len(rows[0]))}")
        return "\n".join((*((caption, "") if caption else ()), *lines))

    def _rows(self, raw: Any) -> list[list[str]]:
        """The cells of a table, with an empty one in each place that a wider or higher cell covers."""
        rows: list[list[str]] = []
        covered: dict[int, int] = {}
        for raw_row in _list(raw):
            if self._is_full:
                self.inline.is_cut = True
                break
            self._blocks_left -= 1
            row: list[str] = []
            for raw_cell in _list(raw_row)[:MAX_COLUMNS]:
                _cover(row, covered)
                if len(row) >= MAX_COLUMNS:
                    break
                cell = _mapping(raw_cell)
                text = " ".join(self.inline.write(cell.get("text")).split())
                width = min(_span(cell.get("colspan")), MAX_COLUMNS - len(row))
                height = _span(cell.get("rowspan"))
                for column in range(len(row), len(row) + width):
                    covered[column] = height - 1
                row += [text.replace("|", "\\|"), *[""] * (width - 1)]
            _cover(row, covered)
            rows.append(row)
        return rows

    def _details(self, block: Mapping[str, Any], depth: int) -> str:
        summary = " ".join(self.inline.write(block.get("summary")).split())
        inside = self.blocks(block.get("blocks"), depth + 1)
        return "\n\n".join(filter(None, (f"**{summary}**" if summary else "", inside)))

    def _map(self, block: Mapping[str, Any], _: int) -> str:
        place = _mapping(block.get("location"))
        at = [place.get(name) for name in ("latitude", "longitude")]
        known = [number for number in at if isinstance(number, int | float)]
        note = f"[location: {known[0]:g}, {known[1]:g}]" if len(known) == 2 else ""
        return "\n".join(filter(None, (note, self._caption(block))))

    def _buttons(self, block: Mapping[str, Any], _: int) -> str:
        labels = (
            self.inline.write(_mapping(item).get("text")) for item in _list(block.get("buttons"))
        )
        return " ".join(f"[{label}]" for label in labels if label)

    def _caption(self, block: Mapping[str, Any]) -> str:
        caption = block.get("caption")
        if not isinstance(caption, Mapping):
            return self.inline.write(caption)
        if "type" in caption:
            return self.inline.write(caption)
        credit = self.inline.write(caption.get("credit"))
        return self.inline.write(caption.get("text")) + (f" — {credit}" if credit else "")

    def _photo(self, block: Mapping[str, Any], _: int) -> str:
        sizes = [size for raw in _list(block.get("photo")) if (size := _parsed(PhotoSize, raw))]
        return self._file("picture", picture_of(sizes) if sizes else None, block)

    def _voice(self, block: Mapping[str, Any], _: int) -> str:
        voice = _parsed(Voice, block.get("voice_note"))
        return self._file("voice message", voice_of(voice) if voice else None, block)

    def _audio(self, block: Mapping[str, Any], _: int) -> str:
        audio = _parsed(Audio, block.get("audio"))
        return self._file("audio", audio_of(audio) if audio else None, block)

    def _document(self, block: Mapping[str, Any], _: int) -> str:
        document = _parsed(Document, block.get("document"))
        return self._file("file", document_of(document) if document else None, block)

    def _file(self, noun: str, attachment: Attachment | None, block: Mapping[str, Any]) -> str:
        """A note of where the file stands, and its caption."""
        if attachment is None:
            return self._caption(block)
        self.attachments.append(attachment)
        return "\n".join(filter(None, (f"[{noun} {len(self.attachments)}]", self._caption(block))))

    def _unreadable(self, kind: str, noun: str, block: Mapping[str, Any]) -> str:
        self.unsupported = kind
        return "\n".join(filter(None, (f"[{noun}]", self._caption(block))))


def _parsed(type_: Any, raw: Any) -> Any:
    """The SDK's object, or None."""
    try:
        return type_.de_json(dict(complete_part("", raw)), None)
    except UNREADABLE:
        return None


def _cover(row: list[str], covered: dict[int, int]) -> None:
    """Add the empty cells that cells of earlier rows cover next."""
    while covered.get(len(row), 0) > 0:
        covered[len(row)] -= 1
        row.append("")


def _span(value: Any) -> int:
    return value if isinstance(value, int) and 1 <= value <= MAX_COLUMNS else 1


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
