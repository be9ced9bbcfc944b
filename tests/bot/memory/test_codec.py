"""Ids of conversations."""

from __future__ import annotations

from bot.memory.codec import new_conversation_id


def test_conversation_ids_are_time_ordered_uuids() -> None:
    ids = [new_conversation_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(id_[14] == "7" and id_[19] in "89ab" for id_ in ids)
