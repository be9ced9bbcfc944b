"""Health of a connection, and a line of `keepthread doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Health:
    """Health of a connection, by its last completed poll or pong; never by the age of the last event."""

    ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Line of `keepthread doctor`: a part, its state, and the cure where it failed."""

    name: str
    state: Literal["ok", "warning", "failed", "off"]
    detail: str = ""
    cure: str = ""
