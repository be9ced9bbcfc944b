"""`keepthread doctor`: each failure is named, with its cure, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from bot.cli.output import print_table
from bot.model.doctor import check
from bot.ports import Check
from bot.settings import Settings
from bot.text import readable_json, strip_controls
from tests.fakes.langsmith_server import LangSmithServer
from tests.fakes.model_server import ModelServer, fail, say
from tests.fakes.redis_server import running_redis
from tests.support.chat_process import Program
from tests.support.service_harness import service_settings

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


async def test_addresses_where_nobody_is_are_told_to_programs(
    tmp_path: Path, model: ModelServer
) -> None:
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


async def test_a_misspelt_or_impossible_setting_is_all_there_is_to_say(tmp_path: Path) -> None:
    program = Program(tmp_path, {"BOT_MODLE": "gpt-5-mini"})
    status, out = await doctor(program, "--json")
    (only,) = json.loads(out)
    assert status == 1
    assert (only["name"], only["state"]) == ("settings", "failed")
    assert only["detail"] == "BOT_MODLE is no setting; did you mean BOT_MODEL?"
    assert only["cure"]


@pytest.mark.parametrize(
    ("behaviour", "words", "cure"),
    [
        (fail(404, "model_not_found"), "no", "For example: gpt-5-mini, gpt-5-large"),
        (fail(429, "insufficient_quota"), "no", "Add credit"),
        (fail(500, message="engine on fire"), "engine on fire", "ask the provider"),
        (fail(400, message="unsupported temperature"), "unsupported temperature", "provider"),
    ],
)
async def test_each_failure_of_a_model_has_a_cure_at_the_first_try(
    settings: Settings, model: ModelServer, behaviour: Any, words: str, cure: str
) -> None:
    model.default = behaviour
    (found,) = await check(service_settings(settings, model, bot_model="gpt-5-minni"))
    assert (found.name, found.state) == ("model gpt-5-minni", "failed")
    assert words in found.detail
    assert cure in found.cure
    assert len(model.requests) == 1


async def test_a_fallback_that_would_fail_when_it_is_needed_is_found_before(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("OK"), fail(401)]
    first, second = await check(service_settings(settings, model, bot_fallback_model="other"))
    assert first.state == "ok"
    assert (second.name, second.state) == ("fallback model other", "failed")
    assert "BOT_FALLBACK_API_KEY" in second.cure
    assert "BOT_FALLBACK_MODEL" in second.cure


async def test_an_answer_cut_at_the_few_words_asked_for_is_a_good_one(
    settings: Settings, model: ModelServer
) -> None:
    model.script = [say("Okay, I", reason="length")]
    found = await check(service_settings(settings, model))
    assert found == [Check("model gpt-5-mini", "ok", model.base_url)]


def test_words_in_brackets_are_shown_and_colour_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("what", "cure"), [("a", "pip install 'keepthread[local]'"), ("[/b]", "\x1b[31mx")])
    assert capsys.readouterr().out.splitlines() == [
        "what  cure",
        "a     pip install 'keepthread[local]'",
        "[/b]  [31mx",
    ]


def test_what_is_no_terminal_gets_each_row_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("a", "b"), [("x" * 300, "y" * 300)])
    assert capsys.readouterr().out.splitlines()[1:] == ["x" * 300 + "  " + "y" * 300]


def test_what_steers_a_terminal_is_left_out() -> None:
    words = "a\x1b]0;title\x07b\u202ec\td\ne\r\x9b2J\x7fé"
    assert strip_controls(words) == "a]0;titlebc\td\ne2Jé"
    shown = readable_json({"words": words})
    assert strip_controls(shown) == shown
    assert json.loads(shown) == {"words": words}, "what programs read is whole"
