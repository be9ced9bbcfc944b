"""The local model's server, real, with a small real model, and processes that share, leave and are killed."""

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
from bot.model.local import doctor, hardware
from bot.model.local.lazy import LOCAL_ANSWER_TOKENS, LazyModel
from bot.model.local.runtime import CONTEXT_TOKENS, PARALLEL_ANSWERS, LocalRuntime
from bot.ports import Message, Prompt
from bot.settings import Settings
from bot.wiring import LOCAL_HISTORY_TOKENS, open_components
from tests.fakes.model_server import ModelServer
from tests.fakes.small_model import small_model
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
    """What it says, up to so many pieces, and what that took."""
    said, usage, pieces = "", None, 0
    prompt = Prompt((Message("user", text),))
    with suppress(AnswerCut):  # so small a model may not come to an end by itself
        async with aclosing(model.stream(prompt)) as stream:
            async for piece in stream:
                said += piece.text
                usage = piece.usage or usage
                pieces += 1
                if pieces >= limit:
                    break
    return said, usage


@pytest.fixture(scope="session")
def gguf() -> Path:
    return small_model()


@pytest.fixture
def local(tmp_path: Path, gguf: Path) -> Settings:
    return Settings.load(bot_data_dir=tmp_path / "data", bot_local_model=gguf)


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
async def model(shared: tuple[Settings, LocalRuntime]) -> AsyncIterator[LazyModel]:
    model = lazy(*shared)
    yield model
    await model.aclose()


async def test_an_answer_streams_and_is_counted(model: LazyModel) -> None:
    said, usage = await answer(model, "What is the capital of France?")
    assert said
    assert usage is not None
    assert usage.input_tokens > 5
    assert usage.output_tokens > 3


async def test_four_are_answered_at_the_same_time(model: LazyModel) -> None:
    begun, all_begun = 0, asyncio.Event()

    async def ask(number: int) -> str:
        nonlocal begun
        said, first = "", True
        prompt = Prompt((Message("user", f"Write a long story about {number} foxes."),))
        async with aclosing(model.stream(prompt)) as stream:
            async for piece in stream:
                said += piece.text
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


async def test_an_answer_nobody_reads_any_more_is_stopped(
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


async def test_a_prompt_beyond_its_room_is_refused_in_our_words(model: LazyModel) -> None:
    with pytest.raises(PromptTooLong):
        await answer(model, "word " * (CONTEXT_TOKENS + 100))


async def test_what_is_asked_of_the_local_model_fits_its_server() -> None:
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


async def test_processes_share_one_server_that_ends_with_the_last(local: Settings) -> None:
    told: list[tuple[str, int, int]] = []
    runtime = await LocalRuntime.start(local, lambda *heard: told.append(heard))
    assert told[0] == ("Loading the model", 0, 0)
    assert told[-1] == ("Loading the model", 1, 1)
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


async def test_a_file_that_does_not_load_is_told_with_what_the_server_said(
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


async def test_the_bot_answers_with_nothing_set_but_a_file(settings: Settings, gguf: Path) -> None:
    short = {"bot_max_answer_tokens": 30, "bot_temperature": 0.0}
    settings = settings.model_copy(update={"bot_local_model": gguf, **short})
    async with open_components(settings) as bot:
        assert servers(settings) == []  # not before somebody asks
        said = ""
        prompt = Prompt((Message("user", "What is the capital of France?"),), cache_key="x")
        with suppress(AnswerCut):  # it may well have more to say
            async for piece in bot.model.stream(prompt):
                said += piece.text
        assert said
        assert len(servers(settings)) == 1
    assert servers(settings) == []


def cpu(tmp_path: Path, flags: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu sse2 {flags}\n\nprocessor\t: 1\n")
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_a_processor_without_avx2_is_told_before_it_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    with pytest.raises(LocalModelError, match="no AVX2") as caught:
        hardware.check_hardware(cpu(tmp_path, "avx fma f16c"))
    assert "OPENAI_API_KEY" in caught.value.cure
    assert "OPENAI_BASE_URL" in caught.value.cure
    hardware.check_hardware(cpu(tmp_path, "avx avx2 fma f16c"))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "aarch64")
    hardware.check_hardware(cpu(tmp_path, ""))


async def test_without_the_runtime_both_ways_out_are_named(
    local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(LocalModelError, match="not installed") as caught:
        await LocalRuntime.start(local)
    assert "pip install 'keepthread[local]'" in caught.value.cure
    assert "OPENAI_API_KEY" in caught.value.cure
    (runtime, file, _) = await doctor.check(local)
    assert (runtime.state, file.state) == ("failed", "ok")


async def test_doctor_tells_of_a_model_that_is_not_fetched_and_fetches_nothing(
    tmp_path: Path,
) -> None:
    settings = Settings.load(bot_data_dir=tmp_path / "data")
    runtime, file, memory = await doctor.check(settings)
    assert runtime.state == "ok"
    assert (file.state, file.detail) == ("warning", "not fetched yet (1,117 MB)")
    assert "keepthread model fetch" in file.cure
    assert memory.state in ("ok", "warning", "off")
    assert not (tmp_path / "data").exists()


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
