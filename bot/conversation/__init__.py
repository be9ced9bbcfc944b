"""Value objects of conversations: sessions, messages and turns.

All are frozen and serialisable; `to_json` and `from_json` are inverse. None holds a lone surrogate: a
platform's JSON may bring one in a name or a text, and UTF-8 could not carry it.
"""

from bot.conversation.message import Attachment, Incoming, IncomingKind, Overheard, Speaker
from bot.conversation.session import Address, PlaceKind, SessionKey
from bot.conversation.turn import Turn, TurnState, Usage

__all__ = [
    "Address",
    "Attachment",
    "Incoming",
    "IncomingKind",
    "Overheard",
    "PlaceKind",
    "SessionKey",
    "Speaker",
    "Turn",
    "TurnState",
    "Usage",
]
