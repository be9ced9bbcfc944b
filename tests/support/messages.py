"""Messages for tests: one factory, with a default for everything a test does not care about."""

from __future__ import annotations

from typing import Any

from bot.conversation import Address, Incoming, PlaceKind, SessionKey, Speaker

KEY = SessionKey("loop", "A1", "C1")
ADA = Speaker("U1", "Ada", "A1")


def make_message(
    text: str,
    session: SessionKey | str = KEY,
    place_kind: PlaceKind = "private",
    *,
    speaker: Speaker | str = ADA,
    **fields: Any,
) -> Incoming:
    """A message of Ada's. `session` may be a place of the loopback platform, `speaker` an id there."""
    if isinstance(session, str):
        session = SessionKey(KEY.platform, KEY.account, session)
    if isinstance(speaker, str):
        speaker = Speaker(speaker, account=KEY.account)
    return Incoming(Address(session, place_kind), speaker, text, **fields)
