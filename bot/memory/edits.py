"""Message edits and deletions applied to a stored turn. Pure."""

from __future__ import annotations

from dataclasses import replace

from bot.conversation import Incoming, Turn


def message_ids(turn: Turn) -> tuple[str, ...]:
    """Ids of all messages whose text `turn` holds: those asked in it, and their seeds."""
    ids = [item.message_id for item in turn.incoming]
    ids += [seeded.message_id for item in turn.incoming for seeded in item.seed]
    return tuple(filter(None, dict.fromkeys(ids)))


def edited_turn(turn: Turn, message_id: str, text: str) -> Turn:
    """`turn` with `text` as the text of that message."""

    def edited(item: Incoming) -> Incoming:
        seed = tuple(
            replace(seeded, text=text) if seeded.message_id == message_id else seeded
            for seeded in item.seed
        )
        return replace(item, seed=seed, text=text if item.message_id == message_id else item.text)

    return replace(turn, incoming=tuple(map(edited, turn.incoming)))


def without_message(turn: Turn, message_id: str) -> Turn | None:
    """`turn` without that message; None if none is left, or if it was the answer."""
    if message_id in turn.answer_ids:
        return None
    left = tuple(
        replace(item, seed=tuple(seeded for seeded in item.seed if seeded.message_id != message_id))
        for item in turn.incoming
        if item.message_id != message_id
    )
    return replace(turn, incoming=left) if left else None
