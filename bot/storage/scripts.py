"""Lua scripts: one file each in a package's `lua` folder, run by digest in one round trip.

The head of a script names its keys and arguments, and callers pass them by these names:

    -- keys: ready retry
    -- args: lane ttl_ms own...

Both lines become `local` declarations of the same names, so that neither side counts positions. A name with
`...`, the last of its line, is a list.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

_HEAD = re.compile(r"^-- (keys|args):((?: \w+)*(?: \w+\.\.\.)?)$", re.MULTILINE)
_TABLES = {"keys": "KEYS", "args": "ARGV"}


class Script:
    """A script that the server keeps; its text is sent only when the server does not know it.

    Attributes:
        keys, args: the declared names, in order.
    """

    __slots__ = ("_args", "_declared", "_keys", "args", "digest", "keys", "name", "text")

    def __init__(self, package: str, name: str) -> None:
        self.name = name
        source = files(package).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        declared = {kind: names.split() for kind, names in _HEAD.findall(source)}
        self.keys = tuple(declared.get("keys", ()))
        self.args = tuple(declared.get("args", ()))
        self._keys, self._args = _plain(self.keys), _plain(self.args)
        self._declared = {name for name, _ in (*self._keys, *self._args)}
        self.text = _HEAD.sub(lambda head: _locals(head[1], head[2].split()), source)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def bind(self, **values: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """KEYS and ARGV for the declared names. Raises TypeError if `values` are not just these."""
        if self._declared != values.keys():
            odd = ", ".join(sorted(self._declared ^ values.keys()))
            raise TypeError(f"{self.name}.lua: missing or not declared: {odd}")
        return _flat(self._keys, values), _flat(self._args, values)

    async def call(self, client: Any, **values: Any) -> Any:
        """Run the script with its keys and arguments by name."""
        keys, args = self.bind(**values)
        return await self.run(client, keys, args)

    async def run(self, client: Any, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        """Run the script with KEYS and ARGV from `bind`."""
        try:
            return await client.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)


def _locals(kind: str, names: list[str]) -> str:
    """The Lua statements that give the elements of KEYS or ARGV their names."""
    table = _TABLES[kind]
    statements = []
    for at, name in enumerate(names, 1):
        if name.endswith("..."):  # a loop: Lua unpacks no more than some thousands
            many = name.removesuffix("...")
            statements.append(f"local {many} = {{}}")
            statements.append(f"for i = {at}, #{table} do {many}[#{many} + 1] = {table}[i] end")
        else:
            statements.append(f"local {name} = {table}[{at}]")
    return " ".join(statements)


def _plain(names: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """Each name without its `...`, and whether it is a list."""
    return tuple((name.removesuffix("..."), name.endswith("...")) for name in names)


def _flat(names: tuple[tuple[str, bool], ...], values: dict[str, Any]) -> tuple[Any, ...]:
    flat: list[Any] = []
    for name, is_list in names:
        if is_list:
            flat.extend(values[name])
        else:
            flat.append(values[name])
    return tuple(flat)


@cache
def script(package: str, name: str) -> Script:
    """The script in the file `lua/<name>.lua` of `package`, such as `bot.inbox`."""
    return Script(package, name)
