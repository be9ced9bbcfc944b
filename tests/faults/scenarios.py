"""Fault scenarios: each one breaks something under load and counts what became of the messages."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from tests.fakes.moving_name import moving_name
from tests.faults.deployment import LEASE_S, Deployment, Tally, open_deployment
from tests.faults.http_port import Flood, flood_http_port
from tests.faults.servers import DurableRedis, RedisCluster
from tests.support.wait import wait_until


@dataclass(frozen=True, slots=True)
class Load:
    """Load of a scenario; `rate` in messages a second while the fault is injected, 0: all at once."""

    conversations: int = 500
    messages: int = 4
    rate: float = 0

    @property
    def total(self) -> int:
        return self.conversations * self.messages


Scenario = Callable[[Path, Load, int], Awaitable[Tally]]


async def burst(folder: Path, load: Load, seed: int) -> Tally:
    """No fault: all conversations send at once."""
    async with DurableRedis() as redis, open_deployment(redis.url, folder) as deployment:
        await deployment.start_workers(2)
        await deployment.send_load(load.conversations, load.messages, seed=seed)
        await deployment.wait_until_idle()
        return await deployment.tally()


async def duplicates(folder: Path, load: Load, seed: int) -> Tally:
    """Events are delivered three times, the copies late and in any order."""
    async with DurableRedis() as redis, open_deployment(redis.url, folder) as deployment:
        await deployment.start_workers(2)
        await deployment.send_load(load.conversations, load.messages, times=3, seed=seed)
        await deployment.wait_until_idle()
        return await deployment.tally()


async def kill_worker(folder: Path, load: Load, seed: int) -> Tally:
    """kill -9 of one of two workers at a random moment."""
    async with (
        DurableRedis() as redis,
        open_deployment(redis.url, folder, answer_s=0.05) as deployment,
    ):
        await deployment.start_workers(2)
        return await _break_under_load(deployment, load, seed, _kill_one)


async def _kill_one(deployment: Deployment, rng: random.Random) -> float:
    victim = rng.choice(deployment.workers)
    victim.kill()
    await asyncio.to_thread(victim.wait)
    return await _seconds_until_restarted(deployment, victim.pid)


async def _seconds_until_restarted(deployment: Deployment, pid: int) -> float:
    """Seconds until every turn that the dead worker had begun runs on another one."""
    died_at = time.time()
    begun: dict[str, int] = {}
    for line in deployment.journal.read():
        if line["pid"] == pid and line["what"] in ("status", "closed"):
            begun[line["session"]] = begun.get(line["session"], 0) + (
                1 if line["what"] == "status" else -1
            )
    orphans = {session for session, count in begun.items() if count > 0}
    latest = died_at

    def all_restarted() -> bool:
        nonlocal latest
        again = {
            line["session"]: line["at"]
            for line in reversed(deployment.journal.read("status"))
            if line["at"] > died_at and line["pid"] != pid
        }
        if not orphans <= set(again):
            return False
        latest = max((again[session] for session in orphans), default=died_at)
        return True

    await wait_until(all_restarted, 30, every_s=0.1)
    return latest - died_at


async def _break_under_load(
    deployment: Deployment,
    load: Load,
    seed: int,
    inject: Callable[[Deployment, random.Random], Awaitable[float]],
) -> Tally:
    rng = random.Random(seed)
    talking = asyncio.create_task(
        deployment.send_load(load.conversations, load.messages, rate=load.rate, seed=seed)
    )
    share = rng.uniform(0.05, 0.7)
    await wait_until(lambda: deployment.answered() >= load.total * share)
    recovery_s = await inject(deployment, rng)
    await talking
    await deployment.wait_until_idle()
    return await deployment.tally(recovery_s)


async def terminate_worker(folder: Path, load: Load, seed: int) -> Tally:
    """SIGTERM with a grace longer than a turn: it ends what it has begun, and exits with 0."""
    async with (
        DurableRedis() as redis,
        open_deployment(redis.url, folder, answer_s=0.05) as deployment,
    ):
        await deployment.start_workers(2)
        return await _break_under_load(deployment, load, seed, _terminate_one)


async def _terminate_one(deployment: Deployment, rng: random.Random) -> float:
    victim = rng.choice(deployment.workers)
    began_at = time.time()
    victim.terminate()
    status = await asyncio.to_thread(victim.wait)
    assert status == 0, f"SIGTERM ended with {status}"
    return time.time() - began_at


async def hand_over(folder: Path, load: Load, seed: int) -> Tally:
    """SIGTERM with a grace shorter than a turn: running turns are handed over at once."""
    async with (
        DurableRedis() as redis,
        open_deployment(redis.url, folder, answer_s=0.05, BOT_DRAIN_S="0.3") as deployment,
    ):
        await deployment.start_workers(1)
        for number in range(20):
            await deployment.send(f"L{number}", "long:6")
        await wait_until(lambda: len(deployment.journal.read("status")) >= 20)
        first = deployment.workers[0]
        await deployment.start_workers(1)
        first.terminate()
        status = await asyncio.to_thread(first.wait)
        handed_at = time.time()
        assert status == 0, f"SIGTERM ended with {status}"
        await wait_until(
            lambda: (
                sum(line["pid"] != first.pid for line in deployment.journal.read("status")) >= 20
            )
        )
        latest = max(line["at"] for line in deployment.journal.read("status"))
        await deployment.wait_until_idle()
        return await deployment.tally(max(0.0, latest - handed_at))


def redis_stops(number: signal.Signals, fsync: str, away_s: float = 0.5) -> Scenario:
    """Redis ends by this signal and comes back."""

    async def scenario(folder: Path, load: Load, seed: int) -> Tally:
        async with (
            DurableRedis("--appendfsync", fsync) as redis,
            open_deployment(redis.url, folder, answer_s=0.05) as deployment,
        ):
            await deployment.start_workers(2)

            async def inject(deployment: Deployment, _: random.Random) -> float:
                await redis.end(number)
                await asyncio.sleep(away_s)
                before = deployment.answered()
                assert before < load.total, "all was answered before the fault"
                back_at = time.time()
                await redis.start()
                await wait_until(lambda: deployment.answered() > before)
                return time.time() - back_at

            return await _break_under_load(deployment, load, seed, inject)

    return scenario


async def long_outage(folder: Path, load: Load, seed: int) -> Tally:
    """Redis is away for longer than a lease while long turns run: none is run again."""
    async with DurableRedis() as redis, open_deployment(redis.url, folder) as deployment:
        await deployment.start_workers(2)
        for number in range(20):
            await deployment.send(f"L{number}", f"long:{LEASE_S * 2.5}")
        await wait_until(lambda: len(deployment.journal.read("status")) >= 20)
        await redis.end()
        await asyncio.sleep(LEASE_S * 1.5)
        await redis.start()
        back_at = time.time()
        await deployment.wait_until_idle()
        assert len(deployment.journal.read("status")) == 20, "a turn was run again"
        return await deployment.tally(time.time() - back_at)


async def long_turns(folder: Path, load: Load, seed: int) -> Tally:
    """Turns of three leases: none is run again."""
    async with DurableRedis() as redis, open_deployment(redis.url, folder) as deployment:
        await deployment.start_workers(2)
        for number in range(20):
            await deployment.send(f"L{number}", f"long:{LEASE_S * 3}")
        await deployment.wait_until_idle()
        assert len(deployment.journal.read("status")) == 20, "a turn was run again"
        return await deployment.tally()


async def frozen_worker(folder: Path, load: Load, seed: int) -> Tally:
    """A worker is frozen (SIGSTOP) for two leases and resumed."""
    async with (
        DurableRedis() as redis,
        open_deployment(redis.url, folder, answer_s=0.3) as deployment,
    ):
        await deployment.start_workers(2)

        async def inject(deployment: Deployment, rng: random.Random) -> float:
            victim = rng.choice(deployment.workers)
            victim.send_signal(signal.SIGSTOP)
            recovery_s = await _seconds_until_restarted(deployment, victim.pid)
            await asyncio.sleep(LEASE_S)
            victim.send_signal(signal.SIGCONT)
            return recovery_s

        return await _break_under_load(deployment, load, seed, inject)


async def poison(folder: Path, load: Load, seed: int) -> Tally:
    """A message that kills every worker that runs it; workers are restarted, as a supervisor does."""
    async with (
        DurableRedis() as redis,
        open_deployment(redis.url, folder, answer_s=0.05) as deployment,
    ):
        await deployment.start_workers(2)
        ended = asyncio.Event()

        async def supervise() -> None:
            while not ended.is_set():
                for worker in [each for each in deployment.workers if each.poll() is not None]:
                    deployment.workers.remove(worker)
                    deployment.start_worker()
                await asyncio.sleep(0.1)

        supervisor = asyncio.create_task(supervise())
        await deployment.send("BAD", "poison")
        await deployment.send_load(load.conversations, load.messages, seed=seed)
        began_at = time.time()
        await wait_until(lambda: deployment.journal.read("post"), 90, every_s=0.2)
        await deployment.wait_until_idle()
        ended.set()
        await supervisor
        (letter,) = await deployment.service.dead_letters.list()
        assert letter.incoming is not None
        assert letter.incoming.text == "poison"
        del deployment.sent["BAD"]
        return await deployment.tally(time.time() - began_at)


async def name_moves(folder: Path, load: Load, seed: int) -> Tally:
    """A replica is promoted, and its name moves there a second later; the old primary keeps its connections."""
    async with (
        DurableRedis() as old,
        DurableRedis("--replicaof", "127.0.0.1", str(old.port)) as new,
        moving_name(old.port) as name,
        open_deployment(
            old.url.replace(str(old.port), str(name.port)), folder, answer_s=0.05
        ) as deployment,
    ):
        async with old.admin() as primary:
            await wait_until(lambda: _has_online_replica(primary))
        await deployment.start_workers(2)

        async def inject(deployment: Deployment, _: random.Random) -> float:
            async with old.admin() as primary:
                await primary.execute_command("FAILOVER", "TO", "127.0.0.1", new.port)
                await wait_until(lambda: _is_replica(primary))
            await asyncio.sleep(1)
            before = deployment.answered()
            assert before < load.total, "all was answered before the fault"
            name.target = new.port
            moved_at = time.time()
            await wait_until(lambda: deployment.answered() > before)
            return time.time() - moved_at

        return await _break_under_load(deployment, load, seed, inject)


async def _has_online_replica(client: Redis) -> bool:
    replica = (await client.info("replication")).get("slave0", {})
    return bool(replica.get("state") == "online")


async def _is_replica(client: Redis) -> bool:
    return bool((await client.info("replication"))["role"] == "slave")


async def cluster_fail_over(folder: Path, load: Load, seed: int) -> Tally:
    """A cluster of three loses a primary, whose replica takes over, and gets it back as a replica.

    WAIT 1 before acknowledging: until the node is back, its slots accept no message.
    The lease is longer than a fail-over, since meanwhile a worker cannot store what was shown.
    """
    async with (
        RedisCluster() as cluster,
        open_deployment(
            cluster.url, folder, answer_s=0.05, BOT_WAIT_FOR_REPLICAS="1", BOT_LEASE_S="6"
        ) as deployment,
    ):
        await deployment.start_workers(2)

        async def inject(deployment: Deployment, rng: random.Random) -> float:
            number = rng.randrange(3)
            killed_at = time.time()
            await cluster.nodes[number].end()
            await wait_until(lambda: cluster.leads(number + 3))
            recovery_s = time.time() - killed_at
            await cluster.nodes[number].start()
            return recovery_s

        return await _break_under_load(deployment, load, seed, inject)


async def hostile_connections(folder: Path, load: Load, seed: int) -> Tally:
    """5,000 hostile connections on the HTTP port while Slack's messages come in over it."""
    return await flood_http_port(folder, Flood())


SCENARIOS: dict[str, tuple[Scenario, int]] = {
    "burst": (burst, 1),
    "duplicates": (duplicates, 1),
    "kill -9 of a worker": (kill_worker, 10),
    "SIGTERM, long grace": (terminate_worker, 2),
    "SIGTERM, short grace": (hand_over, 1),
    "Redis restart, everysec": (redis_stops(signal.SIGTERM, "everysec"), 2),
    "Redis kill -9, everysec": (redis_stops(signal.SIGKILL, "everysec"), 2),
    "Redis kill -9, always": (redis_stops(signal.SIGKILL, "always"), 2),
    "Redis away for 1.5 leases": (long_outage, 1),
    "turns of 3 leases": (long_turns, 1),
    "SIGSTOP for two leases": (frozen_worker, 2),
    "poison": (poison, 1),
    "cluster, a primary lost": (cluster_fail_over, 2),
    "the primary's name moves": (name_moves, 2),
    "http, hostile connections": (hostile_connections, 1),
}
"""Scenarios by name, each with its number of seeds."""

MAX_RECOVERY_S = {"kill -9 of a worker": 1.5 * LEASE_S, "the primary's name moves": 5.0}
"""Longest recovery, of the scenarios that promise one."""
