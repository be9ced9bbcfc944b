"""Rights in Redis: the smallest set is enough for the whole bot, and each missing right is named."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import bot
from bot.inbox.keys import InboxKeys
from bot.settings import Settings
from bot.storage import scripts
from bot.storage.client import connect
from bot.storage.doctor import check
from bot.storage.rights import (
    CHANNEL_COMMANDS,
    CLIENT_COMMANDS,
    DOCTOR_COMMANDS,
    MissingRights,
    Rights,
    require_rights,
    script_commands,
)
from bot.worker import claiming, leases
from tests.fakes.redis_server import running_cluster, running_sentinels
from tests.support.inbox_harness import make_inbox
from tests.support.messages import make_message
from tests.support.redis_rights import (
    USER,
    give,
    least_rules,
    refusals,
    running_limited_redis,
    settings_of_user,
)
from tests.support.repository import ROOT

OTHER_METHODS = frozenset(
    [
        "aclose",
        "execute",
        "execute_command",
        "get_message",
        "get_node_from_key",
        "get_primaries",
        "initialize",
        "pipeline",
    ]
)
"""Methods of a client that are no commands."""
METHODS = {"scan_iter": "SCAN", "pubsub": "SUBSCRIBE"}
"""Methods whose name is not that of their command."""


def commands_in(source: str) -> Iterator[str]:
    """Commands that a module sends through a client or a pipeline."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id=receiver) | ast.Attribute(attr=receiver), attr=method
                ),
                keywords=keywords,
            ) if re.search(r"(client|pipe|channel|subscriber)$", receiver):
                if method not in OTHER_METHODS:
                    yield METHODS.get(method, method.upper())
                if method == "pipeline" and ast.unparse(keywords[0]) == "transaction=True":
                    yield from ("MULTI", "EXEC")


def test_the_list_holds_each_command_that_the_code_calls() -> None:
    sources = [path.read_text() for path in Path(bot.__file__).parent.rglob("*.py")]
    called = {name for text in sources if "store_errors" in text for name in commands_in(text)}
    sources = [inspect.getsource(module) for module in (scripts, leases, claiming)]
    called |= {name for text in sources for name in commands_in(text)}
    assert called == CLIENT_COMMANDS | CHANNEL_COMMANDS | DOCTOR_COMMANDS


def test_commands_of_scripts_are_read_out_of_them() -> None:
    some = {
        "TIME",
        "XAUTOCLAIM",
        "XREADGROUP",
        "HSETNX",
        "PUBLISH",
        "XINFO|GROUPS",
        "XGROUP|CREATE",
    }
    assert some <= script_commands()
    texts = [path.read_text() for path in Path(bot.__file__).parent.rglob("*.lua")]
    calls = sum(len(re.findall(r"\bcall\(|\bpcall\(", text)) for text in texts)
    assert calls == sum(len(re.findall(r"call\(\s*'[A-Z]+'", text)) for text in texts)


def test_the_channel_is_the_one_on_which_stops_are_published(settings: Settings) -> None:
    keys = InboxKeys(settings.bot_redis_prefix, settings.bot_shards)
    assert Rights.of(settings).channel == keys.stop_channel


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"redis_url": "redis://host/3"}, "SELECT"),
        ({"redis_url": "redis://host?client_name=a"}, "CLIENT|SETNAME"),
        ({"redis_url": "redis+cluster://host"}, "CLUSTER|SLOTS"),
        ({"bot_wait_for_disk": True}, "WAITAOF"),
        ({"bot_wait_for_replicas": 1, "redis_url": "redis://host"}, "WAIT"),
    ],
)
def test_some_commands_are_needed_with_some_settings_only(
    changes: dict[str, Any], command: str
) -> None:
    assert command in Rights.of(Settings.load(**changes)).commands
    assert command not in Rights.of(Settings.load(redis_url="redis://host")).commands


async def test_each_missing_right_is_named_with_the_line_that_gives_it(settings: Settings) -> None:
    """R1: `doctor` and `serve` try each right and print the line to give."""
    rights = Rights.of(settings_of_user(settings, 6379))
    async with AsyncExitStack() as stack:
        server, limited = await stack.enter_async_context(
            running_limited_redis(settings, *rights.rules)
        )
        admin = await stack.enter_async_context(server.admin())
        link = await stack.enter_async_context(aclosing(await connect(limited)))
        assert await require_rights(link.client, limited) == MissingRights()
        for rule in set(rights.rules) - {"resetchannels"}:
            left_out = {"~": "resetkeys", "&": "resetchannels"}.get(rule[0], f"-{rule[1:]}")
            await give(admin, left_out)
            missing = await rights.find_missing(link.client)
            assert rule in missing.needed + missing.useful
            assert set(missing.needed + missing.useful) == {rule}
            checks = {line.name: line for line in await check(limited)}
            line = checks["redis rights"] if missing.useful else checks["redis"]
            assert line.state == ("warning" if missing.useful else "failed")
            assert f"ACL SETUSER {USER} {rule}" in line.cure
            await admin.execute_command(*rights.acl_line((rule,)).split())
            assert await rights.find_missing(link.client) == MissingRights()


async def test_a_cluster_is_used_with_the_least_rights_on_each_node(settings: Settings) -> None:
    """R1: also the cluster client's own commands are listed."""
    async with running_cluster(2) as nodes:
        seeds = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        url = SecretStr(f"redis+cluster://{USER}:any@{seeds}")
        limited = settings.model_copy(update={"redis_url": url})
        rights = Rights.of(limited)
        for node in nodes:
            async with node.admin() as admin:
                await give(admin, *rights.rules)
        async with aclosing(await connect(limited)) as link:
            assert await require_rights(link.client, limited) == MissingRights()
            inbox = make_inbox(link.client, limited, is_cluster=True)
            for place in ("C1", "C2", "C3", "C4"):
                await inbox.enqueue(make_message("hello", place))
                shard = inbox.keys.shard(make_message("hello", place).session)
                (turn,), _ = await inbox.claim("w1", 1, [shard])
                assert await inbox.stop(turn.session) == (True, 0)
                assert await inbox.complete(turn, "done")
            for node in nodes:
                async with node.admin() as admin:
                    assert await refusals(admin) == []
                    await give(admin, "-xadd")
                    missing = await rights.find_missing(link.client)
                    assert missing == MissingRights(("+xadd",)), "each node has users of its own"
                    await give(admin, "+xadd")
        (checked, *_) = await check(limited)
        assert checked.state == "ok"


@pytest.mark.slow
async def test_sentinels_are_asked_with_one_right(settings: Settings) -> None:
    """R1: docs/redis.md names it."""
    user = f"user {USER} on nopass +sentinel|masters"
    async with running_sentinels(user) as (primary, _, sentinels):
        async with primary.admin() as admin:
            await give(admin, *least_rules(settings))
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        more = f"?sentinel_username={USER}&sentinel_password=any"
        url = SecretStr(f"redis+sentinel://{USER}:any@{hosts}/mymaster{more}")
        limited = settings.model_copy(update={"redis_url": url})
        async with aclosing(await connect(limited)) as link:
            assert await require_rights(link.client, limited) == MissingRights()


def test_the_documentation_has_the_line_that_gives_all_rights() -> None:
    """R1: the smallest set is listed, and generated."""
    page = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
    rules = Rights.of(Settings.load(redis_url="redis://localhost")).rules
    assert f"\nACL SETUSER keepthread on >PASSWORD {' '.join(rules)}\n" in page
