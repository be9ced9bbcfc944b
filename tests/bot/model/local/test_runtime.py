"""The runtime of the local model: a real server and model, and processes that share, leave and are killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import psutil
import pytest

from bot.conversation import Usage
from bot.errors import AnswerCut, LocalModelError, PromptTooLong
from bot.model.local.lazy import LOCAL_ANSWER_TOKENS, LazyModel
from bot.model.local.runtime import CONTEXT_TOKENS, PARALLEL_ANSWERS, LocalRuntime
from bot.ports import Message, Prompt
from bot.settings import Settings
from bot.wiring import LOCAL_HISTORY_TOKENS, open_components
from tests.fakes.model_server import ModelServer
from tests.support.wait import wait_until

USER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from bot.logs import configure_logging
    from bot.model.local.runtime import LocalRuntime
    from bot.settings import Settings

    async def main():
        configure_logging("error", "text")  # standard output is for the address
        settings = Settings.load(bot_data_dir=Path(sys.argv[1]), bot_local_model=Path(sys.argv[2]))
        runtime = await LocalRuntime.start(settings)
        print(runtime.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await runtime.aclose()

    asyncio.run(main())
""")


class User:
    """Another process that uses the model until told to leave, or killed."""

    def __init__(self, settings: Settings) -> None:
        assert settings.bot_local_model is not None
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(settings.bot_data_dir), str(settings.bot_local_model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n", timeout=240)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: tuple[type[BaseException] | None, TracebackType | None]) -> None:
        self.kill()


def servers(settings: Settings) -> list[psutil.Process]:
    """The processes that serve from the settings' data folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "model/local/server.py" in line and str(settings.bot_data_dir) in line:
            found.append(process)
    return found


def lazy(settings: Settings, runtime: LocalRuntime) -> LazyModel:
    return LazyModel(settings, runtime.ensure_running)


async def answer(model: LazyModel, text: str, limit: int = 10_000) -> tuple[str, Usage | None]:
    """The answer, cut after `limit` deltas, and its usage."""
    said, usage, deltas = "", None, 0
    prompt = Prompt((Message("user", text),))
    with suppress(AnswerCut):  # so small a model may not come to an end by itself
        async with aclosing(model.stream(prompt)) as stream:
            async for delta in stream:
                said += delta.text
                usage = delta.usage or usage
                deltas += 1
                if deltas >= limit:
                    break
    return said, usage


@pytest.fixture(scope="module")
def shared(gguf: Path) -> Iterator[tuple[Settings, LocalRuntime]]:
    """One runtime for the tests that only ask it."""
    data_dir = Path(tempfile.mkdtemp(prefix="kt-model-"))
    settings = Settings(bot_data_dir=data_dir, bot_local_model=gguf, bot_max_answer_tokens=400)
    with asyncio.Runner() as runner:
        runtime = runner.run(LocalRuntime.start(settings))
        yield settings, runtime
        runner.run(runtime.aclose())
    assert servers(settings) == []
    shutil.rmtree(data_dir)


@pytest.fixture
async def lazy_model(shared: tuple[Settings, LocalRuntime]) -> AsyncIterator[LazyModel]:
    model = lazy(*shared)
    yield model
    await model.aclose()


async def test_an_answer_streams_and_ends_with_its_usage(lazy_model: LazyModel) -> None:
    said, usage = await answer(lazy_model, "What is the capital of France?")
    assert said
    assert usage is not None
    assert usage.input_tokens > 5
    assert usage.output_tokens > 3


async def test_four_answers_stream_at_the_same_time(lazy_model: LazyModel) -> None:
    begun, all_begun = 0, asyncio.Event()

    async def ask(number: int) -> str:
        nonlocal begun
        said, first = "", True
        prompt = Prompt((Message("user", f"Write a long story about {number} foxes."),))
        async with aclosing(lazy_model.stream(prompt)) as stream:
            async for delta in stream:
                said += delta.text
                if first:
                    begun, first = begun + 1, False
                    if begun == 4:
                        all_begun.set()
                if all_begun.is_set():
                    break
        return said

    answers = await asyncio.gather(*(ask(number) for number in range(2, 6)))
    assert all_begun.is_set()  # no answer was over before the last had begun
    assert all(answers)


async def test_an_abandoned_answer_is_stopped(
    shared: tuple[Settings, LocalRuntime],
) -> None:
    settings, runtime = shared
    (server,) = servers(settings)
    model = lazy(settings.model_copy(update={"bot_max_answer_tokens": 2_000}), runtime)
    prompt = Prompt((Message("user", "Count from one to one thousand in words."),))

    async def spent_s() -> float:
        before = server.cpu_times()
        await asyncio.sleep(0.2)
        return server.cpu_times().user - before.user

    async def is_busy() -> bool:
        return await spent_s() > 0.05

    async def is_idle() -> bool:
        return await spent_s() < 0.03

    async def is_left_in_the_middle() -> bool:
        async with aclosing(model.stream(prompt)) as stream:
            assert (await anext(stream)).text
            return await is_busy()

    await wait_until(is_left_in_the_middle)  # so small a model may have little to say
    await wait_until(is_idle)  # 2,000 tokens would take it far longer
    await model.aclose()


async def test_a_prompt_beyond_the_context_is_too_long(lazy_model: LazyModel) -> None:
    with pytest.raises(PromptTooLong):
        await answer(lazy_model, "word " * (CONTEXT_TOKENS + 100))


async def test_requests_to_the_local_model_suit_its_server() -> None:
    async with ModelServer() as server:

        async def place() -> tuple[str, str]:
            return server.base_url, "key"

        model = LazyModel(Settings.load(), place)
        async for _ in model.stream(Prompt((Message("user", "hello"),), cache_key="steady")):
            pass
        await model.aclose()
    (seen,) = server.requests
    assert seen.headers["Connection"] == "close"
    assert "prompt_cache_key" not in seen.body
    assert seen.body["temperature"] == 0.3
    assert seen.body.get("max_completion_tokens", seen.body.get("max_tokens")) == 2_048
    assert LOCAL_ANSWER_TOKENS + LOCAL_HISTORY_TOKENS <= CONTEXT_TOKENS / PARALLEL_ANSWERS


async def test_other_users_of_the_machine_are_refused(
    shared: tuple[Settings, LocalRuntime],
) -> None:
    _, runtime = shared
    async with httpx2.AsyncClient() as client:
        url = f"{runtime.base_url}/models"
        assert (await client.get(url)).status_code == 401
        key = {"Authorization": f"Bearer {runtime.api_key}"}
        assert (await client.get(url, headers=key)).status_code == 200
    assert stat.S_IMODE(runtime.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((runtime.folder / "address").stat().st_mode) == 0o600
    (server,) = servers(shared[0])
    assert runtime.api_key not in " ".join(server.cmdline())


async def test_processes_share_one_server_that_ends_with_its_last_user(local: Settings) -> None:
    progress: list[tuple[str, int, int]] = []
    runtime = await LocalRuntime.start(local, lambda *report: progress.append(report))
    assert progress[0] == ("Loading the model", 0, 0)
    assert progress[-1] == ("Loading the model", 1, 1)
    with User(local) as other:
        assert await asyncio.to_thread(other.wait_for_url) == runtime.base_url
        await runtime.aclose()
        assert len(servers(local)) == 1
        await asyncio.to_thread(other.leave)
    assert servers(local) == []


async def test_killing_the_only_user_leaves_no_server_behind(local: Settings) -> None:
    with User(local) as user:
        assert await asyncio.to_thread(user.wait_for_url)
        assert len(servers(local)) == 1
        user.kill()
    await wait_until(lambda: not servers(local))


async def test_killing_the_user_while_it_loads_leaves_no_server_behind(local: Settings) -> None:
    with User(local) as user:
        await wait_until(lambda: servers(local))
        user.kill()
    await wait_until(lambda: not servers(local))


async def test_a_killed_server_is_replaced_for_all_its_users(local: Settings) -> None:
    first, second = await LocalRuntime.start(local), await LocalRuntime.start(local)
    mine, other = lazy(local, first), lazy(local, second)
    try:
        (server,) = servers(local)
        assert (await answer(mine, "Say hello.", limit=3))[0]
        os.kill(server.pid, signal.SIGKILL)
        await wait_until(lambda: not servers(local))
        assert (await answer(mine, "Say hello.", limit=3))[0]
        assert (await answer(other, "Say hello.", limit=3))[0]
        assert len(servers(local)) == 1
        assert first.base_url == second.base_url
    finally:
        for closing in (mine, other, first, second):
            await closing.aclose()
    assert servers(local) == []


async def test_signals_of_a_terminal_do_not_end_the_server(local: Settings) -> None:
    runtime = await LocalRuntime.start(local)
    (server,) = servers(local)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server.send_signal(number)
    assert await runtime.ensure_running() == (runtime.base_url, runtime.api_key)
    assert server.is_running()
    await runtime.aclose()
    assert servers(local) == []


async def test_a_cancelled_start_leaves_no_server_behind(local: Settings) -> None:
    start = asyncio.create_task(LocalRuntime.start(local))
    await wait_until(lambda: servers(local))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await wait_until(lambda: not servers(local))


async def test_a_file_that_does_not_load_is_an_error_with_the_servers_log(
    tmp_path: Path, gguf: Path
) -> None:
    with gguf.open("rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(1_000_000))
    settings = Settings.load(bot_data_dir=tmp_path / "data", bot_local_model=tmp_path / "cut.gguf")
    with pytest.raises(LocalModelError, match=r"cannot be loaded|exiting due to") as caught:
        await LocalRuntime.start(settings)
    assert str(tmp_path) in caught.value.cure
    assert "OPENAI_API_KEY" in caught.value.cure
    assert servers(settings) == []


async def test_the_components_answer_with_only_a_model_file_set(
    settings: Settings, gguf: Path
) -> None:
    short = {"bot_max_answer_tokens": 30, "bot_temperature": 0.0}
    settings = settings.model_copy(update={"bot_local_model": gguf, **short})
    async with open_components(settings) as bot:
        assert servers(settings) == []  # not before somebody asks
        said = ""
        prompt = Prompt((Message("user", "What is the capital of France?"),), cache_key="x")
        with suppress(AnswerCut):  # it may well have more to say
            async for delta in bot.model.stream(prompt):
                said += delta.text
        assert said
        assert len(servers(settings)) == 1
    assert servers(settings) == []


def test_the_servers_environment_holds_no_secret_of_ours(
    local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-test")

    async def look() -> dict[str, str]:
        runtime = await LocalRuntime.start(local)
        (server,) = servers(local)
        environment = server.environ()
        await runtime.aclose()
        return environment

    environment = asyncio.run(look())
    assert "xoxb-test" not in json.dumps(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
