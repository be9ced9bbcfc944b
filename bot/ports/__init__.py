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
from bot.ports.platform import (
    Adapter,
    AdminCheck,
    Check,
    Connection,
    Delivery,
    Health,
    Offer,
    OffersButtons,
    Reply,
    Seeds,
)
from bot.ports.thought import (
    History,
    Message,
    Model,
    Past,
    Piece,
    Prompt,
    Remembered,
    Role,
    StepTrace,
    Tracer,
    TurnTrace,
)

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
