"""The bad days. Each scenario breaks something while people talk, and tells what became of their messages."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.servers import RedisClusterProcesses, RedisProcess
from tests.faults.world import LEASE_S, Tally, World, until, world


@dataclass(frozen=True, slots=True)
class Load:
    """How much is said in a scenario; `rate`: how many messages a second while something breaks, 0: all at once."""

    conversations: int = 500
    messages: int = 4
    rate: float = 0

    @property
    def total(self) -> int:
        return self.conversations * self.messages


Scenario = Callable[[Path, Load, int], Awaitable[Tally]]


async def burst(folder: Path, load: Load, seed: int) -> Tally:
    """Nothing is broken: everybody talks at once."""
    async with RedisProcess() as redis, world(redis.url, folder) as here:
        await here.start_workers(2)
        await here.talk(load.conversations, load.messages, seed=seed)
        await here.until_idle()
        return await here.tally()


async def duplicates(folder: Path, load: Load, seed: int) -> Tally:
    """Events are delivered three times, the copies late and in any order."""
    async with RedisProcess() as redis, world(redis.url, folder) as here:
        await here.start_workers(2)
        await here.talk(load.conversations, load.messages, times=3, seed=seed)
        await here.until_idle()
        return await here.tally()


async def kill_worker(folder: Path, load: Load, seed: int) -> Tally:
    """kill -9 of one of two workers at a random moment."""
    async with RedisProcess() as redis, world(redis.url, folder, think_s=0.05) as here:
        await here.start_workers(2)
        return await _broken_while_talking(here, load, seed, _kill_one)


async def _kill_one(here: World, chance: random.Random) -> float:
    victim = chance.choice(here.workers)
    victim.kill()
    await asyncio.to_thread(victim.wait)
    return await _until_taken_over(here, victim.pid)


async def _until_taken_over(here: World, pid: int) -> float:
    """How long until what the dead worker had begun is running elsewhere."""
    died_at = time.time()
    begun: dict[str, int] = {}
    for line in here.journal.read():
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
            for line in reversed(here.journal.read("status"))
            if line["at"] > died_at and line["pid"] != pid
        }
        if not orphans <= set(again):
            return False
        latest = max((again[session] for session in orphans), default=died_at)
        return True

    await until(all_restarted, 30, every_s=0.1)
    return latest - died_at


async def _broken_while_talking(
    here: World,
    load: Load,
    seed: int,
    breaking: Callable[[World, random.Random], Awaitable[float]],
) -> Tally:
    chance = random.Random(seed)
    talking = asyncio.create_task(
        here.talk(load.conversations, load.messages, rate=load.rate, seed=seed)
    )
    share = chance.uniform(0.05, 0.7)
    await until(lambda: here.answered() >= load.total * share)
    recovery_s = await breaking(here, chance)
    await talking
    await here.until_idle()
    return await here.tally(recovery_s)


async def terminate_worker(folder: Path, load: Load, seed: int) -> Tally:
    """SIGTERM with a grace longer than a turn: it ends what it has begun, and exits with 0."""
    async with RedisProcess() as redis, world(redis.url, folder, think_s=0.05) as here:
        await here.start_workers(2)
        return await _broken_while_talking(here, load, seed, _terminate_one)


async def _terminate_one(here: World, chance: random.Random) -> float:
    victim = chance.choice(here.workers)
    began_at = time.time()
    victim.terminate()
    status = await asyncio.to_thread(victim.wait)
    assert status == 0, f"SIGTERM ended with {status}"
    return time.time() - began_at


async def hand_over(folder: Path, load: Load, seed: int) -> Tally:
    """SIGTERM with a grace shorter than a turn: what runs is handed over at once."""
    async with (
        RedisProcess() as redis,
        world(redis.url, folder, think_s=0.05, BOT_DRAIN_S="0.3") as here,
    ):
        await here.start_workers(1)
        for number in range(20):
            await here.say(f"L{number}", "long:1.5")
        await until(lambda: len(here.journal.read("status")) >= 20)
        first = here.workers[0]
        await here.start_workers(1)
        first.terminate()
        status = await asyncio.to_thread(first.wait)
        handed_at = time.time()
        assert status == 0, f"SIGTERM ended with {status}"
        await until(
            lambda: sum(line["pid"] != first.pid for line in here.journal.read("status")) >= 20
        )
        latest = max(line["at"] for line in here.journal.read("status"))
        await here.until_idle()
        return await here.tally(max(0.0, latest - handed_at))


def redis_goes(number: signal.Signals, fsync: str, away_s: float = 0.5) -> Scenario:
    """Redis ends by this signal and comes back."""

    async def scenario(folder: Path, load: Load, seed: int) -> Tally:
        async with (
            RedisProcess(("--appendfsync", fsync)) as redis,
            world(redis.url, folder, think_s=0.05) as here,
        ):
            await here.start_workers(2)

            async def breaking(here: World, _: random.Random) -> float:
                await redis.kill(number)
                await asyncio.sleep(away_s)
                before = here.answered()
                assert before < load.total, "there was nothing left to break"
                back_at = time.time()
                await redis.start()
                await until(lambda: here.answered() > before)
                return time.time() - back_at

            return await _broken_while_talking(here, load, seed, breaking)

    return scenario


async def long_outage(folder: Path, load: Load, seed: int) -> Tally:
    """Redis is away for longer than a lease while long turns run: none is run again."""
    async with RedisProcess() as redis, world(redis.url, folder) as here:
        await here.start_workers(2)
        for number in range(20):
            await here.say(f"L{number}", f"long:{LEASE_S * 2.5}")
        await until(lambda: len(here.journal.read("status")) >= 20)
        await redis.kill()
        await asyncio.sleep(LEASE_S * 1.5)
        await redis.start()
        back_at = time.time()
        await here.until_idle()
        assert len(here.journal.read("status")) == 20, "a turn was run again"
        return await here.tally(time.time() - back_at)


async def long_turns(folder: Path, load: Load, seed: int) -> Tally:
    """Turns of three leases: none is run again."""
    async with RedisProcess() as redis, world(redis.url, folder) as here:
        await here.start_workers(2)
        for number in range(20):
            await here.say(f"L{number}", f"long:{LEASE_S * 3}")
        await here.until_idle()
        assert len(here.journal.read("status")) == 20, "a turn was run again"
        return await here.tally()


async def frozen_worker(folder: Path, load: Load, seed: int) -> Tally:
    """A worker is stopped in its tracks for two leases and wakes up."""
    async with RedisProcess() as redis, world(redis.url, folder, think_s=0.3) as here:
        await here.start_workers(2)

        async def breaking(here: World, chance: random.Random) -> float:
            victim = chance.choice(here.workers)
            victim.send_signal(signal.SIGSTOP)
            recovery_s = await _until_taken_over(here, victim.pid)
            await asyncio.sleep(LEASE_S)
            victim.send_signal(signal.SIGCONT)
            return recovery_s

        return await _broken_while_talking(here, load, seed, breaking)


async def poison(folder: Path, load: Load, seed: int) -> Tally:
    """A message that kills every worker it is given to; workers are started again, as a supervisor does."""
    async with RedisProcess() as redis, world(redis.url, folder, think_s=0.05) as here:
        await here.start_workers(2)
        over = asyncio.Event()

        async def supervise() -> None:
            while not over.is_set():
                for worker in [one for one in here.workers if one.poll() is not None]:
                    here.workers.remove(worker)
                    here.start_worker()
                await asyncio.sleep(0.1)

        supervisor = asyncio.create_task(supervise())
        await here.say("BAD", "poison")
        await here.talk(load.conversations, load.messages, seed=seed)
        began_at = time.time()
        await until(lambda: here.journal.read("post"), 90, every_s=0.2)
        await here.until_idle()
        over.set()
        await supervisor
        (letter,) = await here.service.dead_letters.list()
        assert letter.incoming is not None
        assert letter.incoming.text == "poison"
        del here.sent["BAD"]
        return await here.tally(time.time() - began_at)


async def cluster_fail_over(folder: Path, load: Load, seed: int) -> Tally:
    """A cluster of three loses a primary, whose replica takes over, and gets it back as a replica.

    WAIT 1 before acknowledging: until it is back, nobody's message is taken in at its half of the pair.
    The lease is longer than a fail-over, as it has to be: what was shown can't be noted meanwhile.
    """
    async with (
        RedisClusterProcesses() as cluster,
        world(
            cluster.url, folder, think_s=0.05, BOT_WAIT_FOR_REPLICAS="1", BOT_LEASE_S="6"
        ) as here,
    ):
        await here.start_workers(2)

        async def breaking(here: World, chance: random.Random) -> float:
            number = chance.randrange(3)
            killed_at = time.time()
            await cluster.nodes[number].kill()
            await until(lambda: cluster.leads(number + 3))
            recovery_s = time.time() - killed_at
            await cluster.nodes[number].start()
            return recovery_s

        return await _broken_while_talking(here, load, seed, breaking)


ALL: dict[str, tuple[Scenario, int]] = {
    "burst": (burst, 1),
    "duplicates": (duplicates, 1),
    "kill -9 of a worker": (kill_worker, 10),
    "SIGTERM, long grace": (terminate_worker, 2),
    "SIGTERM, short grace": (hand_over, 1),
    "Redis restart, everysec": (redis_goes(signal.SIGTERM, "everysec"), 2),
    "Redis kill -9, everysec": (redis_goes(signal.SIGKILL, "everysec"), 2),
    "Redis kill -9, always": (redis_goes(signal.SIGKILL, "always"), 2),
    "Redis away for 1.5 leases": (long_outage, 1),
    "turns of 3 leases": (long_turns, 1),
    "SIGSTOP for two leases": (frozen_worker, 2),
    "poison": (poison, 1),
    "cluster, a primary lost": (cluster_fail_over, 2),
}
"""By name: the scenario, and with how many seeds it runs."""
