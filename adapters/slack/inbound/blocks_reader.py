"""Reader of Block Kit blocks: their words as raw mrkdwn. Pure.

A block of an unknown type gives the texts that it holds, so that a new type is not lost.
Shapes: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapters.slack.api.payload import Json, get_object, get_objects, get_text

MAX_BLOCKS = 100
"""Blocks read of one message; Slack allows 50 (https://docs.slack.dev/reference/block-kit/blocks)."""

MAX_PIECES = 5_000
"""Elements, cells and items read of one block."""

_MAX_DEPTH = 8
_SILENT = frozenset({"divider", "actions"})
_WORD_KEYS = ("title", "text", "description", "alt_text", "label", "value", "name")


def escape(text: str) -> str:
    """Plain text as mrkdwn (https://docs.slack.dev/messaging/formatting-message-text#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_blocks(blocks: tuple[Json, ...]) -> list[str]:
    """The words of each of `blocks` that has any."""
    return list(filter(None, (_block(block).strip() for block in blocks[:MAX_BLOCKS])))


def _block(block: Json) -> str:
    kind = get_text(block, "type")
    if kind in _SILENT:
        return ""
    return _READERS.get(kind, _unknown)(block)


def _text_object(data: Json) -> str:
    """A text object: `mrkdwn` is as it is, all else is plain."""
    text = get_text(data, "text")
    return text if data.get("type") == "mrkdwn" else escape(text)


def _section(block: Json) -> str:
    fields = (_text_object(field) for field in get_objects(block, "fields")[:MAX_PIECES])
    accessory = get_object(block, "accessory")
    picture = _picture(accessory) if accessory.get("type") == "image" else ""
    return "\n".join(filter(None, (_text_object(get_object(block, "text")), *fields, picture)))


def _header(block: Json) -> str:
    text = _text_object(get_object(block, "text")).strip()
    return f"*{text}*" if text else ""


def _context(block: Json) -> str:
    return " ".join(
        _picture(item) if item.get("type") == "image" else _text_object(item)
        for item in get_objects(block, "elements")[:MAX_PIECES]
    )


def _picture(block: Json) -> str:
    title = _text_object(get_object(block, "title")) or escape(get_text(block, "title"))
    name = title or escape(get_text(block, "alt_text"))
    return f"[picture: {name}]" if name else "[picture]"


def _video(block: Json) -> str:
    title = _text_object(get_object(block, "title"))
    description = _text_object(get_object(block, "description"))
    link = get_text(block, "title_url") or get_text(block, "video_url")
    return "\n".join(filter(None, (f"[film: {title}]" if title else "[film]", description, link)))


def _markdown(block: Json) -> str:
    return escape(get_text(block, "text"))


def _rich_text(block: Json) -> str:
    return "\n".join(_rich_parts(block, 0))


def _rich_parts(block: Json, depth: int) -> Iterator[str]:
    for number, part in enumerate(get_objects(block, "elements")[:MAX_PIECES], 1):
        kind = get_text(part, "type")
        if kind == "rich_text_list":
            yield from _list_lines(part)
        elif kind == "rich_text_preformatted":
            yield f"```\n{_inline(part, styled=False)}\n```"
        elif kind == "rich_text_quote":
            yield "\n".join(f"&gt; {line}" for line in _inline(part).split("\n"))
        elif kind == "rich_text_section" and depth < _MAX_DEPTH:
            yield _inline(part)
        else:
            yield _element(part, styled=True) or (_unknown(part) if number else "")


def _list_lines(part: Json) -> Iterator[str]:
    indent = part.get("indent")
    margin = "  " * (indent if isinstance(indent, int) and 0 <= indent <= _MAX_DEPTH else 0)
    offset = part.get("offset")
    first = 1 + (offset if isinstance(offset, int) and 0 <= offset < MAX_PIECES else 0)
    for number, item in enumerate(get_objects(part, "elements")[:MAX_PIECES], first):
        mark = f"{number}." if part.get("style") == "ordered" else "•"
        yield f"{margin}{mark} {_inline(item)}"


def _inline(part: Json, *, styled: bool = True) -> str:
    return "".join(
        _element(item, styled=styled) for item in get_objects(part, "elements")[:MAX_PIECES]
    )


def _element(item: Json, *, styled: bool) -> str:
    kind = get_text(item, "type")
    if kind == "user":
        return f"<@{get_text(item, 'user_id')}>"
    if kind == "channel":
        return f"<#{get_text(item, 'channel_id')}>"
    if kind == "usergroup":
        return f"<!subteam^{get_text(item, 'usergroup_id')}>"
    if kind == "broadcast":
        return f"<!{get_text(item, 'range')}>"
    if kind == "emoji":
        return f":{get_text(item, 'name')}:"
    if kind == "date":
        return escape(get_text(item, "fallback"))
    text = escape(get_text(item, "text"))
    if kind == "link":
        url = get_text(item, "url")
        text = f"<{url}|{text}>" if text and text != url else f"<{url}>"
    return _styled(text, get_object(item, "style")) if styled else text


def _styled(text: str, style: Json) -> str:
    """`text` with its marks; blanks at its ends stay outside them, where mrkdwn wants them."""
    core = text.strip()
    if not core or "\n" in core:
        return text
    if style.get("code"):
        marked = f"`{core}`"
    else:
        marked = core
        for name, mark in (("strike", "~"), ("italic", "_"), ("bold", "*")):
            if style.get(name):
                marked = f"{mark}{marked}{mark}"
    return text.replace(core, marked, 1)


def _table(block: Json) -> str:
    """A table as Markdown; its first row is the head."""
    rows = block.get("rows")
    if not isinstance(rows, list | tuple):
        return ""
    lines: list[str] = []
    left = MAX_PIECES
    for row in rows[:MAX_PIECES]:
        cells = [_cell(cell) for cell in row[:left]] if isinstance(row, list | tuple) else []
        left -= len(cells)
        if cells:
            lines.append(f"| {' | '.join(cells)} |")
            if len(lines) == 1:
                lines.append("|" + " --- |" * len(cells))
        if left <= 0:
            break
    return "\n".join(lines)


def _cell(cell: object) -> str:
    if not isinstance(cell, dict):
        return ""
    text = _rich_text(cell) if cell.get("type") == "rich_text" else escape(get_text(cell, "text"))
    return " ".join(text.split()).replace("|", "\\|")


def _unknown(block: Json) -> str:
    """All texts of a block of a type that is not known."""
    return "\n".join(dict.fromkeys(filter(None, _texts(block, 0, [MAX_PIECES]))))


def _texts(value: object, depth: int, left: list[int]) -> Iterator[str]:
    if depth > _MAX_DEPTH or left[0] <= 0:
        return
    left[0] -= 1
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                if key in _WORD_KEYS:
                    yield escape(item).strip()
            else:
                yield from _texts(item, depth + 1, left)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, depth + 1, left)


_READERS: dict[str, Callable[[Json], str]] = {
    "context": _context,
    "header": _header,
    "image": _picture,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
    "video": _video,
}
