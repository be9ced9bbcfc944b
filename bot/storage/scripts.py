"""Lua scripts: one file each in a package's `lua` folder, run by digest in one round trip."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError


class Script:
    """A script that the server keeps; it is sent whole only when the server does not know it."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, package: str, name: str) -> None:
        self.name = name
        self.text = files(package).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Any, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        try:
            return await client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)


@cache
def script(package: str, name: str) -> Script:
    """The script in the file `lua/<name>.lua` of `package`, such as `bot.inbox`."""
    return Script(package, name)
