"""Ports: narrow Protocols between the core, the platforms and the services outside.

An adapter implements `Adapter`, `Connection` and `Reply`, and is given a `Core`. See `adapters/console`, the smallest.
"""

from bot.ports.core import (
    Admission,
    CommandSpec,
    ConversationSummary,
    Core,
    KeyValueStore,
    Vault,
)
from bot.ports.health import Check, Health
from bot.ports.history import (
    FoldableHistory,
    FoldState,
    History,
    HistorySnapshot,
    ProvenPrompt,
    StoredTurn,
    TurnWrite,
)
from bot.ports.local import LocalAdapter, LocalCore
from bot.ports.model import AnswerDelta, Message, Model, Prompt, Role
from bot.ports.platform import (
    Adapter,
    AdminCheck,
    CommandButton,
    Connection,
    Delivery,
    Reply,
    RetractableReply,
    ThreadHistory,
)
from bot.ports.tracing import StepTrace, Tracer, TurnTrace

__all__ = [
    "Adapter",
    "AdminCheck",
    "Admission",
    "AnswerDelta",
    "Check",
    "CommandButton",
    "CommandSpec",
    "Connection",
    "ConversationSummary",
    "Core",
    "Delivery",
    "FoldState",
    "FoldableHistory",
    "Health",
    "History",
    "HistorySnapshot",
    "KeyValueStore",
    "LocalAdapter",
    "LocalCore",
    "Message",
    "Model",
    "Prompt",
    "ProvenPrompt",
    "Reply",
    "RetractableReply",
    "Role",
    "StepTrace",
    "StoredTurn",
    "ThreadHistory",
    "Tracer",
    "TurnTrace",
    "TurnWrite",
    "Vault",
]
