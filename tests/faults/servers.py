"""Redis servers that can be killed and restarted: standalone, or a cluster."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.settings import Settings
from bot.storage.rights import Rights
from tests.fakes.free_ports import free_cluster_port
from tests.fakes.redis_server import RedisServer
from tests.support.redis_rights import USER


class DurableRedis(RedisServer):
    """Server with an append-only file, so that a kill loses at most what was not synced yet.

    Attributes:
        has_least_rights: whether the bot's user on every server has the least rights and no others.
    """

    has_least_rights: ClassVar[bool] = False

    def __init__(self, *options: str, port: int = 0, binary: Path | None = None) -> None:
        options = options or ("--appendfsync", "everysec")
        if self.has_least_rights:
            options += ("--user", USER, "on", "nopass", *_least_rules())
        super().__init__(
            *("--appendonly", "yes", "--maxmemory-policy", "noeviction"),
            *options,
            port=port,
            binary=binary,
        )

    @property
    def url(self) -> str:
        return f"redis://{_login()}127.0.0.1:{self.port}/0"


def _login() -> str:
    """User and password in an address, with the `@`."""
    return f"{USER}:any@" if DurableRedis.has_least_rights else ""


def _least_rules() -> set[str]:
    """Least rights for the settings of all scenarios, on a cluster and on one server."""
    single, cluster = "redis://127.0.0.1", "redis+cluster://127.0.0.1"
    return {
        *Rights.of(Settings.load(redis_url=single)).rules,
        *Rights.of(Settings.load(redis_url=cluster, bot_wait_for_replicas=1)).rules,
    }


@dataclass
class RedisCluster:
    """Three primaries (`nodes[:3]`), each with a replica (`nodes[3:]`, in the same order)."""

    node_timeout_ms: int = 1500
    nodes: list[DurableRedis] = field(default_factory=list)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{_login()}{hosts}"

    async def __aenter__(self) -> Self:
        for number in range(6):
            options = (
                *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf"),
                *("--cluster-node-timeout", str(self.node_timeout_ms)),
                *("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"),
                *("--appendfsync", "everysec"),
            )
            node = DurableRedis(*options, port=free_cluster_port())
            await node.start()
            self.nodes.append(node)
        clients = [Redis(port=node.port, decode_responses=True) for node in self.nodes]
        try:
            for client in clients[1:]:
                await client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
            for number, (first, last) in enumerate(((0, 5460), (5461, 10922), (10923, 16383))):
                await clients[number].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            ids = [str(await client.execute_command("CLUSTER", "MYID")) for client in clients]
            for number in range(3):
                while True:
                    try:
                        await clients[number + 3].execute_command(
                            "CLUSTER", "REPLICATE", ids[number]
                        )
                        break
                    except RedisError:  # it does not know the primary yet
                        await asyncio.sleep(0.05)
            for client in clients:
                while not await _is_whole(client):  # noqa: ASYNC110  a server elsewhere
                    await asyncio.sleep(0.05)
        finally:
            for client in clients:
                await client.aclose()
        return self

    async def leads(self, number: int) -> bool:
        """Whether this node is a primary now."""
        async with Redis(port=self.nodes[number].port) as client:
            info = await client.info("replication")
        return bool(info["role"] == "master")

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            node.close()


async def _is_whole(client: Redis) -> bool:
    info = await client.info("replication")
    if info["role"] == "slave" and info["master_link_status"] != "up":
        return False
    raw = await client.execute_command("CLUSTER", "INFO")
    text = raw if isinstance(raw, str) else str(raw)
    return "cluster_state:ok" in text or "'cluster_state': 'ok'" in text
