"""Redis servers as processes on loopback: standalone, with password, TLS, Sentinel, Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from bot.storage.embedded.paths import server_binary
from tests.fakes.free_ports import free_port
from tests.support.wait import wait_until


class RedisServer:
    """One server process; after `kill` or `end`, `start` starts it again on the same port and folder.

    Args:
        args: options of the command line.
        sentinel: lines of a configuration that make it a Sentinel.
        port: 0 takes a free one.
        binary: None takes the bundled server.
    """

    def __init__(
        self, *args: str, sentinel: str = "", port: int = 0, binary: Path | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kt-r-"))
        self.port = port or free_port()
        self._args = args
        self._sentinel = sentinel
        self._binary = binary or server_binary()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self, password: str | None = None) -> None:
        command = [str(self._binary)]
        if self._sentinel:
            config = self.folder / "sentinel.conf"
            if not config.exists():
                config.write_text(f"port {self.port}\nbind 127.0.0.1\n{self._sentinel}\n")
            command += [str(config), "--sentinel"]
        else:
            command += ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), *self._args]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220  returns at once
                command, stdout=log, stderr=log, cwd=self.folder
            )
        async with self.admin(password) as client:
            await wait_until(lambda: _answers(client))

    def admin(self, password: str | None = None) -> Redis:
        """A client without retries."""
        return Redis(port=self.port, password=password)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end of the process, without blocking the event loop."""
        assert self.process is not None
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait)
        self.process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except (NoConnection, ResponseError):
        return False


@asynccontextmanager
async def running_redis(*args: str, password: str | None = None) -> AsyncIterator[RedisServer]:
    """Run a standalone server with these arguments."""
    server = RedisServer(*args)
    try:
        await server.start(password)
        yield server
    finally:
        server.close()


@asynccontextmanager
async def running_cluster(size: int = 3) -> AsyncIterator[list[RedisServer]]:
    """Run a cluster of primaries that share the 16,384 slots."""
    nodes = []
    try:
        for _ in range(size):
            node = RedisServer("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            nodes.append(node)
            await node.start()
        edges = [16_384 * i // size for i in range(size + 1)]
        for node, first, end in zip(nodes, edges, edges[1:], strict=False):
            async with node.admin() as client:
                await client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                bus = nodes[0]._args[-1]
                await client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port, bus)
        for node in nodes:
            async with node.admin() as client:
                await wait_until(lambda c=client: _is_whole(c, size))
        yield nodes
    finally:
        for node in nodes:
            node.close()


async def _is_whole(client: Redis, size: int) -> bool:
    info = await client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == size


@asynccontextmanager
async def running_sentinels(
    *lines: str,
) -> AsyncIterator[tuple[RedisServer, RedisServer, list[RedisServer]]]:
    """Run a primary, its replica, and three sentinels that fail over after half a second.

    `lines` are further lines of the sentinels' configuration.
    """
    primary = RedisServer()
    servers = [primary]
    try:
        await primary.start()
        replica = RedisServer(
            "--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0"
        )
        servers.append(replica)
        await replica.start()
        watch = "\n".join(
            (
                f"sentinel monitor mymaster 127.0.0.1 {primary.port} 2",
                "sentinel down-after-milliseconds mymaster 500",
                "sentinel failover-timeout mymaster 3000",
                *lines,
            )
        )
        sentinels = [RedisServer(sentinel=watch) for _ in range(3)]
        servers += sentinels
        for sentinel in sentinels:
            await sentinel.start()
        for sentinel in sentinels:
            async with sentinel.admin() as client:
                await wait_until(lambda c=client: _sees_all(c))
        yield primary, replica, sentinels
    finally:
        for server in servers:
            server.close()


async def _sees_all(client: Redis) -> bool:
    state = await client.sentinel_master("mymaster")
    return state["num-other-sentinels"] == 2 and state["num-slaves"] == 1


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key, as PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


@asynccontextmanager
async def tls_proxy(port: int, cert: Path, key: Path) -> AsyncIterator[int]:
    """Run a proxy that terminates TLS before `port`, since the bundled server has no TLS. Yields its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    tasks: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(forward(reader, to_server), forward(from_server, writer))
        for end in (writer, to_server):
            with contextlib.suppress(OSError):
                await end.wait_closed()
        tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
