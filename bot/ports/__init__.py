"""The seams: narrow Protocols between the core, the platforms and the outside.

An adapter implements `Adapter`, `Connection` and `Reply`, and is given a `Core`. See `adapters/console`, the smallest.
"""

from bot.ports.core import (
    Admission,
    CommandSpec,
    Core,
    Listed,
    Notes,
    Vault,
)
from bot.ports.health import Check, Health
from bot.ports.history import History, Past, Remembered
from bot.ports.model import Message, Model, Piece, Prompt, Role
from bot.ports.platform import (
    Adapter,
    AdminCheck,
    Connection,
    Delivery,
    Offer,
    OffersButtons,
    Reply,
    Seeds,
)
from bot.ports.tracing import StepTrace, Tracer, TurnTrace

__all__ = [
    "Adapter",
    "AdminCheck",
    "Admission",
    "Check",
    "CommandSpec",
    "Connection",
    "Core",
    "Delivery",
    "Health",
    "History",
    "Listed",
    "Message",
    "Model",
    "Notes",
    "Offer",
    "OffersButtons",
    "Past",
    "Piece",
    "Prompt",
    "Remembered",
    "Reply",
    "Role",
    "Seeds",
    "StepTrace",
    "Tracer",
    "TurnTrace",
    "Vault",
]
