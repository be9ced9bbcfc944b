"""`keepthread doctor`: each failure is named, with its cure, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from tests.fakes.langsmith_server import LangSmithServer
from tests.fakes.model_server import ModelServer, fail
from tests.fakes.redis_server import running_redis
from tests.support.chat_process import Program

PASSWORD, KEY = "pass-of-a-test", "key-of-a-test-model"


async def doctor(program: Program, *options: str) -> tuple[int, str]:
    """Exit status and standard output; nothing may be on standard error."""
    status, out, err = await asyncio.to_thread(program.run, "doctor", *options)
    assert err == ""
    return status, out


async def test_every_server_that_refuses_us_is_named_with_its_cure(
    tmp_path: Path, model: ModelServer
) -> None:
    model.default = fail(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")
    async with (
        running_redis("--requirepass", PASSWORD, password=PASSWORD) as redis,
        LangSmithServer(api_key="another") as langsmith,
    ):
        program = Program(
            tmp_path,
            {
                "REDIS_URL": f"redis://:not{PASSWORD}@127.0.0.1:{redis.port}/0",
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": KEY,
                "LANGSMITH_TRACING": "true",
                "LANGSMITH_ENDPOINT": langsmith.url,
                "LANGSMITH_API_KEY": "key-of-a-test-tracer",
            },
        )
        status, out = await doctor(program)
    assert status == 1
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert "failed" in lines["redis"]
    assert "Correct user and password in REDIS_URL." in lines["redis"]
    assert "failed" in lines["model gpt-5-mini"]
    assert "Check OPENAI_API_KEY" in lines["model gpt-5-mini"]
    assert "failed" in lines["LangSmith"]
    assert "LANGSMITH_API_KEY" in lines["LangSmith"]
    assert langsmith.paths == ["/sessions"], "asking the model is no turn: it is not traced"
    for secret in (PASSWORD, KEY, "key-of-a-test-tracer"):
        assert secret not in out


async def test_unreachable_addresses_are_listed_as_json(tmp_path: Path, model: ModelServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
        program = Program(
            tmp_path,
            {
                "REDIS_URL": "redis://localhost:port/0",
                "OPENAI_BASE_URL": f"http://{dead}/v1",
                "BOT_FALLBACK_MODEL": "gpt-5-large",
                "BOT_FALLBACK_BASE_URL": model.base_url,
                "LANGSMITH_TRACING": "true",
                "LANGSMITH_ENDPOINT": f"http://{dead}",
            },
        )
        status, out = await doctor(program, "--json")
    assert status == 1
    checks: dict[str, dict[str, Any]] = {check["name"]: check for check in json.loads(out)}
    assert {name for name, check in checks.items() if check["state"] == "failed"} == {
        "redis",
        "model gpt-5-mini",
        "LangSmith",
    }
    assert "port that is no number" in checks["redis"]["detail"]
    assert "redis://:password@localhost:6379/0" in checks["redis"]["cure"]
    assert dead in checks["model gpt-5-mini"]["detail"]
    assert "OPENAI_BASE_URL" in checks["model gpt-5-mini"]["cure"]
    assert "LANGSMITH_ENDPOINT" in checks["LangSmith"]["cure"]
    assert checks["fallback model gpt-5-large"]["state"] == "ok"


async def test_a_misspelt_setting_is_the_only_check(tmp_path: Path) -> None:
    program = Program(tmp_path, {"BOT_MODLE": "gpt-5-mini"})
    status, out = await doctor(program, "--json")
    (only,) = json.loads(out)
    assert status == 1
    assert (only["name"], only["state"]) == ("settings", "failed")
    assert only["detail"] == "BOT_MODLE is no setting; did you mean BOT_MODEL?"
    assert only["cure"]
