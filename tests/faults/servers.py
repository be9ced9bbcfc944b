"""Redis servers that can be killed and restarted: standalone, or a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.storage.embedded.paths import server_binary
from tests.fakes.free_ports import free_cluster_port, free_port


@dataclass
class RedisProcess:
    """One server with an append-only file; after `kill`, `start` restarts it on its data."""

    options: tuple[str, ...] = ("--appendfsync", "everysec")
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="kt-faults-")))
    binary: Path = field(default_factory=server_binary)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(  # noqa: ASYNC220  it returns at once
                [
                    str(self.binary),
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )
        await self.wait_until_up()

    async def wait_until_up(self) -> None:
        async with Redis(port=self.port) as client:
            while True:
                with contextlib.suppress(RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.02)

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            await self.kill()
        shutil.rmtree(self.folder)


@dataclass
class RedisClusterProcesses:
    """Three primaries (`nodes[:3]`), each with a replica (`nodes[3:]`, in the same order)."""

    node_timeout_ms: int = 1500
    nodes: list[RedisProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def __aenter__(self) -> Self:
        for number in range(6):
            options = (
                *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf"),
                *("--cluster-node-timeout", str(self.node_timeout_ms)),
                *("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"),
                *("--appendfsync", "everysec"),
            )
            node = RedisProcess(options, port=free_cluster_port())
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
            await node.__aexit__()


async def _is_whole(client: Redis) -> bool:
    info = await client.info("replication")
    if info["role"] == "slave" and info["master_link_status"] != "up":
        return False
    raw = await client.execute_command("CLUSTER", "INFO")
    text = raw if isinstance(raw, str) else str(raw)
    return "cluster_state:ok" in text or "'cluster_state': 'ok'" in text
