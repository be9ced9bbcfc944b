"""Fallback for a summary: the first words of each old turn."""

from __future__ import annotations

from collections.abc import Iterable

from bot.conversation import Turn
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import messages_of, speaker_line

MAX_QUESTION_CHARS = 200
MAX_ANSWER_CHARS = 80
OMISSION = "[…]"
FIRST_SHARE = 0.4
"""Share of an extract for its oldest lines: names and wishes are often told at the beginning."""


def extend_extract(earlier: str, turns: Iterable[Turn], limit_tokens: int) -> str:
    """`earlier` and the first words of `turns`; beyond the limit lines of the middle are left out."""
    lines = [line for line in earlier.splitlines() if line != OMISSION]
    lines += [line for turn in turns for line in _lines_of(turn)]
    sizes = [count_tokens(line) + 1 for line in lines]
    if sum(sizes) <= limit_tokens:
        return "\n".join(lines)
    head = _fitting(sizes, int(limit_tokens * FIRST_SHARE))
    room = limit_tokens - sum(sizes[:head]) - count_tokens(OMISSION) - 1
    tail = _fitting(sizes[:head:-1], room)
    return "\n".join([*lines[:head], OMISSION, *lines[len(lines) - tail :]])


def _lines_of(turn: Turn) -> list[str]:
    """The beginning of each message of a turn, on one line."""
    limits = {"user": MAX_QUESTION_CHARS, "assistant": MAX_ANSWER_CHARS}
    return [
        speaker_line(message.role, _first_words(message.text, limits[message.role]))
        for message in messages_of(turn)
    ]


def _first_words(text: str, limit: int) -> str:
    text = " ".join(text[: 4 * limit].split())
    return text if len(text) <= limit else f"{text[:limit].rpartition(' ')[0] or text[:limit]} …"


def _fitting(sizes: list[int], room: int) -> int:
    """How many of `sizes`, from the first, fit into `room`."""
    count = 0
    for size in sizes:
        if size > room:
            break
        room -= size
        count += 1
    return count
