"""Background tasks: bounded, logged when they fail, and ended with their owner."""

from __future__ import annotations

import asyncio

import structlog

from bot.background import BackgroundTasks
from bot.errors import PlatformError


async def test_tasks_beyond_the_limit_are_dropped_and_the_caller_knows() -> None:
    gate = asyncio.Event()
    tasks = BackgroundTasks(max_tasks=1)
    with structlog.testing.capture_logs() as logs:
        assert tasks.add("first", gate.wait())
        assert not tasks.add("second", gate.wait())
    assert [line["event"] for line in logs] == ["background task dropped"]
    assert len(tasks) == 1
    gate.set()
    await tasks.join()
    assert tasks.add("third", gate.wait())
    await tasks.aclose(grace_s=60)


async def test_joining_waits_also_for_tasks_that_a_task_adds() -> None:
    tasks, done = BackgroundTasks(), []

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        tasks.add("second", second())
        done.append("first")

    tasks.add("first", first())
    await tasks.join()
    assert done == ["first", "second"]


async def test_a_failure_is_logged_under_the_name_of_its_task() -> None:
    async def fail() -> None:
        raise PlatformError("no", cure="Wait.")

    tasks = BackgroundTasks()
    with structlog.testing.capture_logs() as logs:
        tasks.add("notice", fail())
        await tasks.join()
    (line,) = logs
    assert (line["event"], line["task"], line["cure"]) == (
        "background task failed",
        "notice",
        "Wait.",
    )


async def test_closing_cancels_running_tasks() -> None:
    tasks, cancelled = BackgroundTasks(), asyncio.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tasks.add("waiting", wait_for_ever())
    await asyncio.sleep(0)
    await tasks.aclose()
    assert cancelled.is_set()
    assert len(tasks) == 0
