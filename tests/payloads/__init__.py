"""Payloads in the shape the platforms send them."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def slack(name: str, **event_changes: Any) -> dict[str, Any]:
    """A Slack payload by the name of its file, its event changed."""
    body: dict[str, Any] = copy.deepcopy(_read("slack", name))
    body.get("event", body).update(event_changes)
    return body


def slack_names() -> list[str]:
    return sorted(path.stem for path in (HERE / "slack").glob("*.json"))


@functools.cache
def _read(platform: str, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((HERE / platform / f"{name}.json").read_text())
    return data
