"""Lua scripts: keys and arguments by name, declared in their heads."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.storage.scripts import Script, script

POSITION = re.compile(r"\b(KEYS|ARGV)\[")
SCRIPTS = [
    (package, Path(entry.name).stem)
    for package in ("bot.inbox", "bot.memory")
    for entry in files(package).joinpath("lua").iterdir()
]


@pytest.mark.parametrize(("package", "name"), SCRIPTS)
async def test_each_script_compiles_and_reads_what_it_declares_by_name(
    redis: Redis, package: str, name: str
) -> None:
    found = Script(package, name)
    assert await redis.script_load(found.text) == found.digest
    code = [line for line in found.text.splitlines() if not line.startswith("--")]
    head = [line for line in code if POSITION.search(line)]
    assert len(head) == bool(found.keys) + bool(found.args), "a position is counted by hand"
    body = "\n".join(line for line in code if line not in head)
    names = [declared.removesuffix("...") for declared in (*found.keys, *found.args)]
    assert [name for name in names if not re.search(rf"\b{name}\b", body)] == []


def test_a_call_with_a_missing_or_an_unknown_name_is_refused() -> None:
    promote_due = script("bot.inbox", "promote_due")
    assert promote_due.bind(retries=["a", "b"], ttl_ms=7) == (("a", "b"), (7,))
    with pytest.raises(TypeError, match=r"promote_due\.lua: .*: ttl, ttl_ms"):
        promote_due.bind(retries=["a"], ttl=7)
