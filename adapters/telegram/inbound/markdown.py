"""Markdown of what people write: nested pieces of text, and the entities of plain messages as such pieces.

A piece is a string, a list of pieces, or a mapping with `type` and `text`, as in rich messages
(https://core.telegram.org/bots/api#richtext). Whatever the pieces hold, their marks are well nested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from telegram import MessageEntity

MAX_DEPTH = 16
MAX_CHARS = 40_000
"""Most characters of a message that are read; Telegram allows 32,768 (core.telegram.org/bots/api#sendrichmessage)."""

MAX_PIECES = 10_000
MAX_ENTITIES = 120
"""Most entities that are read; Telegram keeps 100."""

CUT = " […]"

_MARKS = {"bold": "**", "italic": "_", "strikethrough": "~~", "spoiler": "||"}
_TAGS = {"subscript": "sub", "superscript": "sup"}
_NAME = re.compile(r"(?<![\w@/])@(\w{3,32})", re.ASCII)

_QUOTES = (MessageEntity.BLOCKQUOTE, MessageEntity.EXPANDABLE_BLOCKQUOTE)
_INLINE = (
    *(MessageEntity.BOLD, MessageEntity.ITALIC, MessageEntity.STRIKETHROUGH, MessageEntity.SPOILER),
    *(MessageEntity.TEXT_LINK, MessageEntity.CODE),
)
"""Entities that become marks; of several over the same text the first is the outermost."""


class InlineWriter:
    """Writes pieces of text as Markdown, and notes whom they mention.

    Attributes:
        usernames: the names mentioned, in lower case and without `@`.
        user_ids: the people mentioned by id.
        is_cut: there was more than is read.
    """

    def __init__(self) -> None:
        self.usernames: set[str] = set()
        self.user_ids: set[int] = set()
        self.is_cut = False
        self._chars_left = MAX_CHARS
        self._pieces_left = MAX_PIECES

    @property
    def is_full(self) -> bool:
        """Whether nothing more is read."""
        return self._pieces_left <= 0 or self._chars_left <= 0

    def write(self, piece: Any, *, is_code: bool = False) -> str:
        """`piece` as Markdown; within code as it stands."""
        return self._write(piece, frozenset({"code"} if is_code else ()), 0)

    def take(self, text: str) -> str:
        """As much of `text` as may still be read."""
        if len(text) > self._chars_left:
            self.is_cut = True
            text = text[: self._chars_left]
        self._chars_left -= len(text)
        return text

    def _write(self, piece: Any, around: frozenset[str], depth: int) -> str:
        if self._pieces_left <= 0 or depth > 2 * MAX_DEPTH:  # a mark and its list of pieces
            self.is_cut = True
            return ""
        self._pieces_left -= 1
        if isinstance(piece, str):
            text = self.take(piece)
            if "code" not in around:
                self.usernames.update(name.lower() for name in _NAME.findall(text))
            return text
        if isinstance(piece, Sequence):
            return "".join(self._write(part, around, depth + 1) for part in piece)
        return self._marked(piece, around, depth) if isinstance(piece, Mapping) else ""

    def _marked(self, piece: Mapping[str, Any], around: frozenset[str], depth: int) -> str:
        kind = str(piece.get("type", ""))
        self._note_mention(kind, piece)
        if kind == "custom_emoji":
            return self.take(str(piece.get("alternative_text", "")))
        if kind == "mathematical_expression":
            expression = self.take(str(piece.get("expression", "")))
            return expression if "code" in around else f"${expression}$"
        if kind == "button":
            return f"[{self._write(_mapping(piece.get('button')).get('text'), around, depth + 1)}]"
        text = self._write(piece.get("text"), around | {kind}, depth + 1)
        if (
            "code" in around or kind in around
        ):  # marks within code are text, and doubled ones no marks
            return text
        if kind == "code":
            return code(text)
        if kind in _MARKS:
            return _by_line(text, lambda line: f"{_MARKS[kind]}{line}{_MARKS[kind]}")
        if kind in _TAGS:
            return _by_line(text, lambda line: f"<{_TAGS[kind]}>{line}</{_TAGS[kind]}>")
        if kind == "url":
            return _link(text, str(piece.get("url", "")))
        return text

    def _note_mention(self, kind: str, piece: Mapping[str, Any]) -> None:
        if kind == "mention" and isinstance(piece.get("username"), str):
            self.usernames.add(piece["username"].lstrip("@").lower())
        user_id = _mapping(piece.get("user")).get("id")
        if kind == "text_mention" and isinstance(user_id, int):
            self.user_ids.add(user_id)


def to_markdown(text: str, entities: Sequence[MessageEntity]) -> str:
    """`text` with its entities written as Markdown marks. Offsets of entities are in UTF-16 units."""
    if not entities:
        return text
    raw = text.encode("utf-16-le", "surrogatepass")
    ranges = [
        (_symbol_edge(raw, entity.offset), _symbol_edge(raw, entity.offset + entity.length), entity)
        for entity in entities[:MAX_ENTITIES]
    ]
    reader = _Text(raw)
    markdown = reader.quotes([item for item in ranges if 0 <= item[0] < item[1]])
    return markdown + CUT if reader.is_cut else markdown


def _symbol_edge(raw: bytes, at: int) -> int:
    """`at`, or the place after it if that would part a symbol of two units."""
    at = min(at, len(raw) // 2)
    is_second_half = 0 < at < len(raw) // 2 and 0xDC <= raw[2 * at + 1] <= 0xDF
    return at + 1 if is_second_half else at


_Range = tuple[int, int, MessageEntity]


class _Text:
    """Plain text with entities: parted into quotes, within them into code blocks, within them into pieces."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._writer = InlineWriter()

    @property
    def is_cut(self) -> bool:
        return self._writer.is_cut

    def quotes(self, ranges: list[_Range]) -> str:
        whole = (0, len(self._raw) // 2)
        return self._blocks(whole, ranges, _QUOTES, self._fences, lambda text, _: quote(text))

    def _fences(self, whole: tuple[int, int], ranges: list[_Range]) -> str:
        kinds = (MessageEntity.PRE,)
        return self._blocks(
            whole, ranges, kinds, self._pieces, lambda text, entity: fence(text, entity.language)
        )

    def _blocks(
        self,
        whole: tuple[int, int],
        ranges: list[_Range],
        kinds: Sequence[str],
        write: Callable[[tuple[int, int], list[_Range]], str],
        mark: Callable[[str, MessageEntity], str],
    ) -> str:
        """The text of `whole`, with the entities of `kinds` as blocks of lines of their own."""
        rest = [item for item in ranges if item[2].type not in kinds]
        parts: list[str] = []
        at = whole[0]
        blocks = [item for item in ranges if item[2].type in kinds]
        blocks.sort(key=lambda item: (item[0], -item[1]))
        for start, end, entity in blocks:
            if start < at:  # a block within a block of its kind
                continue
            parts.append(write((at, start), _clipped(rest, at, start)))
            if parts[-1] and not parts[-1].endswith("\n"):
                parts.append("\n")
            inside = _clipped(rest, start, end)
            is_code = entity.type == MessageEntity.PRE
            parts.append(
                mark(self._slice(start, end) if is_code else write((start, end), inside), entity)
            )
            parts.append("" if self._is_line_end(end, whole[1]) else "\n")
            if not is_code and end < whole[1]:
                parts.append("\n")  # without a blank line the next one would continue the quote
            at = end
        parts.append(write((at, whole[1]), _clipped(rest, at, whole[1])))
        return "".join(parts)

    def _pieces(self, whole: tuple[int, int], ranges: list[_Range]) -> str:
        """The text of `whole` with marks; of entities that overlap without nesting the later ends with the earlier."""
        inline = [item for item in ranges if item[2].type in _INLINE]
        inline.sort(key=lambda item: (item[0], -item[1], _INLINE.index(item[2].type)))
        root: list[Any] = []
        open_: list[tuple[int, list[Any], str]] = [(whole[1], root, "")]
        at = whole[0]
        for start, end, entity in inline:
            at = self._close(open_, at, start)
            if any(kind == entity.type for _, _, kind in open_):
                continue  # its text is marked so already
            open_[-1][1].append(self._slice(at, start))
            at = start
            inside: list[Any] = []
            open_[-1][1].append(_piece(entity, inside))
            open_.append((min(end, open_[-1][0]), inside, entity.type))
        at = self._close(open_, at, whole[1])
        root.append(self._slice(at, whole[1]))
        return self._writer.write(root)

    def _close(self, open_: list[tuple[int, list[Any], str]], at: int, start: int) -> int:
        """Close the pieces that end at or before `start`. How far the text is taken."""
        while len(open_) > 1 and open_[-1][0] <= start:
            end, inside, _ = open_.pop()
            inside.append(self._slice(at, end))
            at = max(at, end)
        return at

    def _slice(self, start: int, end: int) -> str:
        return self._raw[2 * start : 2 * end].decode("utf-16-le", "replace")

    def _is_line_end(self, at: int, end: int) -> bool:
        return at >= end or self._slice(at, at + 1) == "\n"


def quote(text: str) -> str:
    """`text` with a quotation mark before every line."""
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))


def fence(text: str, language: str | None = "") -> str:
    """`text` as a block of code, whatever fences it holds."""
    marks = "`" * max(3, _longest_run(text) + 1)
    name = " ".join((language or "").replace("`", "").split())
    return f"{marks}{name}\n{text}\n{marks}"


def code(text: str) -> str:
    """`text` as code within a line, or as a block if it has several."""
    if "\n" in text:
        return fence(text)
    if not text.strip():
        return text
    marks = "`" * (_longest_run(text) + 1)
    blank = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{marks}{blank}{text}{blank}{marks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _by_line(text: str, mark: Callable[[str], str]) -> str:
    """`text` with each line marked, without the blanks around it: marks end with their paragraph."""
    lines = []
    for line in text.split("\n"):
        words = line.strip()
        lead = line[: len(line) - len(line.lstrip())] if words else line
        lines.append(lead + (mark(words) + line[len(lead) + len(words) :] if words else ""))
    return "\n".join(lines)


def _link(text: str, url: str) -> str:
    if not url or text.strip() == url:
        return text
    address = f"<{url}>" if re.search(r"[\s()<>]", url) else url
    return _by_line(text, lambda line: f"[{line}]({address})") if text.strip() else f"<{url}>"


def _clipped(ranges: list[_Range], start: int, end: int) -> list[_Range]:
    return [
        (max(start, item[0]), min(end, item[1]), item[2])
        for item in ranges
        if item[0] < end and item[1] > start
    ]


def _piece(entity: MessageEntity, inside: list[Any]) -> dict[str, Any]:
    if entity.type == MessageEntity.TEXT_LINK:
        return {"type": "url", "text": inside, "url": entity.url or ""}
    return {"type": str(entity.type), "text": inside}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
