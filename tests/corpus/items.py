"""Items of the adversarial corpus: the files of `tests/payloads/corpus`, by kind."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import ROOT

FOLDER = ROOT / "tests" / "payloads" / "corpus"

Item = dict[str, Any]


@cache
def all_items() -> tuple[Item, ...]:
    return tuple(item for path in sorted(FOLDER.iterdir()) for item in _items(path))


def items_of(kind: str) -> list[Item]:
    """The items of a kind, each with a `name` of its own."""
    return [item for item in all_items() if item["kind"] == kind]


def _items(path: Path) -> list[Item]:
    text = path.read_text(encoding="utf-8")
    found: list[Item] = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    return [{**item, "name": f"{path.stem}/{item['name']}"} for item in found]
