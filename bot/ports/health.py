"""Health of a connection, and a line of `keepthread doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Health:
    """One adapter's heartbeat: a completed poll, a pong; never the age of the last event."""

    ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A line of `keepthread doctor`."""

    name: str
    state: Literal["ok", "warning", "failed", "off"]
    detail: str = ""
    cure: str = ""
