"""What becomes of a turn when one of its messages is changed or deleted where it was said. Pure."""

from __future__ import annotations

from dataclasses import replace

from bot.conversation import Incoming, Turn


def said_in(turn: Turn) -> tuple[str, ...]:
    """Ids of all messages that `turn` holds the words of: what was said, and what was said before it."""
    ids = [item.message_id for item in turn.incoming]
    ids += [one.message_id for item in turn.incoming for one in item.seed]
    return tuple(filter(None, dict.fromkeys(ids)))


def amended(turn: Turn, message_id: str, text: str) -> Turn:
    """`turn` with `text` for the words of that message."""

    def now(item: Incoming) -> Incoming:
        seed = tuple(
            replace(one, text=text) if one.message_id == message_id else one for one in item.seed
        )
        return replace(item, seed=seed, text=text if item.message_id == message_id else item.text)

    return replace(turn, incoming=tuple(now(item) for item in turn.incoming))


def without(turn: Turn, message_id: str) -> Turn | None:
    """`turn` without that message; None if nothing is left, or if it was the answer."""
    if message_id in turn.answer_ids:
        return None
    left = tuple(
        replace(item, seed=tuple(one for one in item.seed if one.message_id != message_id))
        for item in turn.incoming
        if item.message_id != message_id
    )
    return replace(turn, incoming=left) if left else None
