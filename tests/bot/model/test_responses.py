"""Responses that are no event stream, and events that are errors: over a real connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelSetupError,
    PromptRefused,
    PromptTooLong,
)
from bot.model.openai import Endpoint, OpenAIModel
from bot.ports import Message, Prompt
from tests.fakes import model_server as fake
from tests.fakes.model_server import ModelServer

PROMPT = Prompt((Message("user", "hello"),))


@pytest.fixture
async def client(model: ModelServer) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel(Endpoint("m", "key", model.base_url, retries=0))
    yield made
    await made.aclose()


async def ask(client: OpenAIModel) -> str:
    """The text that was shown, and the name of the error it ended with, if any."""
    text = ""
    try:
        async with aclosing(client.stream(PROMPT)) as deltas:
            async for delta in deltas:
                text += delta.text
    except ModelError as error:
        return f"{text}|{type(error).__name__}"
    return text


def chunk(delta: Any, reason: str | None = None, **more: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]})


async def failure(client: OpenAIModel) -> ModelError:
    async with aclosing(client.stream(PROMPT)) as deltas:
        try:
            async for _ in deltas:
                pass
        except ModelError as error:
            return error
    raise AssertionError("it did not fail")


BODIES: list[tuple[int, Any, type[ModelError], str]] = [
    (400, {"error": "the wheels fell off"}, PromptRefused, "the wheels fell off"),
    (400, [{"error": {"message": "API key not valid."}}], ModelKeyRefused, "API key not valid."),
    (422, {"detail": [{"loc": ["body", "x"], "msg": "bad x"}]}, PromptRefused, "body.x: bad x"),
    (500, {"detail": "cuda says no"}, ModelBroken, "cuda says no"),
    (400, {"errors": [{"message": "first"}, {"message": "second"}]}, PromptRefused, "first; second"),
    (503, "plain words", ModelBusy, "plain words"),
    (502, "<html><title>502 Bad Gateway</title></html>", ModelBusy, "502 Bad Gateway"),
    (502, "", ModelBusy, "HTTP 502, without words"),
    (200, {"error": "the wheels fell off"}, ModelBroken, "the wheels fell off"),
    (200, {"error": {"code": 429, "message": "slow down"}}, ModelBusy, "slow down"),
    (200, {"detail": "prompt is too long"}, PromptTooLong, "prompt is too long"),
    (200, "backend is asleep", ModelBroken, "backend is asleep"),
    (200, "<!doctype html><title>Welcome</title>", ModelSetupError, "a web page instead of an answer: Welcome"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "detail"), BODIES)
async def test_an_error_says_what_its_body_says(
    model: ModelServer,
    client: OpenAIModel,
    status: int,
    body: Any,
    kind: type[ModelError],
    detail: str,
) -> None:
    """M3: whatever the shape of the body, and with the status 200 too."""
    text = body if isinstance(body, str) else json.dumps(body)
    model.default = fake.respond(text, status, "text/html" if "<" in text else "application/json")
    found = await failure(client)
    assert (type(found), found.detail) == (kind, detail)


@pytest.mark.parametrize(
    "event",
    [
        '{"error": "the wheels fell off"}',
        '{"object": "error", "message": "the wheels fell off", "code": 500}',
        '{"detail": "the wheels fell off"}',
        '{"errors": [{"message": "the wheels fell off"}]}',
        "the wheels fell off",
        '"the wheels fell off"',
        '[{"error": {"message": "the wheels fell off"}}]',
        chunk({"content": ""}, "error", error={"message": "the wheels fell off", "code": 500}),
    ],
)
async def test_an_error_event_says_what_went_wrong(
    model: ModelServer, client: OpenAIModel, event: str
) -> None:
    """M3: within the stream."""
    model.default = fake.events(chunk({"content": "half"}), event)
    found = await failure(client)
    assert (type(found), found.detail) == (ModelBroken, "the wheels fell off")


async def test_an_error_below_the_events_says_what_went_wrong(
    model: ModelServer, client: OpenAIModel
) -> None:
    model.default = fake.events(chunk({"content": "half"}), after='{"error": "out of memory"}\n')
    assert (await failure(client)).detail == "out of memory"


async def test_an_answer_in_one_piece_is_an_answer(model: ModelServer, client: OpenAIModel) -> None:
    whole = {
        "model": "m",
        "choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    model.default = fake.respond(json.dumps(whole))
    assert await ask(client) == "Yes."


async def test_a_stream_with_another_content_type_is_a_stream(
    model: ModelServer, client: OpenAIModel
) -> None:
    events = f": warming up\n\ndata: {chunk({'content': 'Yes.'}, 'stop')}\n\ndata: [DONE]\n\n"
    model.default = fake.respond(events, content_type="text/plain")
    assert await ask(client) == "Yes."


async def test_a_huge_error_is_read_in_part(model: ModelServer, client: OpenAIModel) -> None:
    model.default = fake.respond("x" * 8_000_000, 500)
    assert len((await failure(client)).detail) <= 500


@pytest.mark.parametrize(
    "reason", ["stop", "STOP", "end_turn", "eos", "eos_token", "stop_sequence", "COMPLETE"]
)
async def test_a_good_end_makes_a_whole_answer(
    model: ModelServer, client: OpenAIModel, reason: str
) -> None:
    """M4: good ends are listed."""
    model.default = fake.events(chunk({"content": "Yes."}), chunk({}, reason))
    assert await ask(client) == "Yes."


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("length", AnswerCut),
        ("MAX_TOKENS", AnswerCut),
        ("model_length", AnswerCut),
        ("insufficient_system_resource", AnswerCut),
        ("error", AnswerCut),
        ("abort", AnswerCut),
        ("network_error", AnswerCut),
        ("tool_calls", AnswerCut),
        ("function_call", AnswerCut),
        ("brand_new", AnswerCut),
        ("null", AnswerCut),
        ("", AnswerCut),
        ("content_filter", AnswerFiltered),
        ("SAFETY", AnswerFiltered),
        ("sensitive", AnswerFiltered),
        ("RECITATION", AnswerFiltered),
        ("refusal", AnswerFiltered),
    ],
)
async def test_any_other_end_cuts_the_answer_off(
    model: ModelServer, client: OpenAIModel, reason: str, kind: type[ModelError]
) -> None:
    """M4: half an answer is none."""
    model.default = fake.events(chunk({"content": "Half"}), chunk({}, reason))
    assert await ask(client) == f"Half|{kind.__name__}"


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([chunk({"content": "Yes."}), chunk(None, "stop")], "Yes."),
        ([chunk({"content": "Half"}), chunk(None, "length")], "Half|AnswerCut"),
        ([chunk({"content": "Yes."}), '{"choices": [{"finish_reason": "stop"}]}'], "Yes."),
        ([chunk({"refusal": "I won't."}), chunk({}, "stop")], "I won't."),
        ([chunk({"refusal": "I ", "content": None}), chunk({"refusal": "won't."}, "stop")], "I won't."),
        ([chunk({"role": "tool", "content": "Yes."}, "stop")], "Yes."),
        ([chunk({"role": "user", "content": "Yes."}), chunk({}, "stop")], "Yes."),
        ([chunk({"content": [{"type": "text", "text": "Yes."}]}, "stop")], "Yes."),
        ([chunk({"content": "Yes."}, "stop"), '{"choices": [], "usage": {"prompt_tokens": null}}'], "Yes."),
        ([chunk({"content": "Yes."}, "stop"), '{"choices": null, "usage": "free"}'], "Yes."),
        (['{"choices": [null]}', chunk({"content": "Yes."}, "stop")], "Yes."),
        (['{"choices": []}', "{}", chunk({"content": "Yes."}, "stop")], "Yes."),
        (['{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}'], "Yes."),
        (
            [chunk({"content": "Yes."}, "stop"), '{"choices":[],"base_resp":{"status_code":0,"status_msg":""}}'],
            "Yes.",
        ),
    ],
)  # fmt: skip
async def test_a_chunk_of_another_shape_is_read(
    model: ModelServer, client: OpenAIModel, chunks: list[str], shown: str
) -> None:
    """M4: an end beside a delta that is null counts, and a refusal is the answer."""
    model.default = fake.events(*chunks)
    assert await ask(client) == shown


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (["Done \ud83d", "\ude00!"], "Done 😀!"),
        (["\ud83d", "\ude00", "\ud83d", "\ude00"], "😀😀"),
        (["a\ud83d", "b"], "a�b"),
        (["a\ude00"], "a�"),
    ],
)
async def test_a_halved_emoji_is_shown_whole_and_once(
    model: ModelServer, client: OpenAIModel, parts: list[str], shown: str
) -> None:
    """M13: each delta is text that every surface can write."""
    model.default = fake.events(*(chunk({"content": part}) for part in parts), chunk({}, "stop"))
    text = await ask(client)
    assert text == shown
    assert text.encode()


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize(
    ("location", "cure"),
    [
        ("https://api.example.org/v1/chat/completions", "Set OPENAI_BASE_URL to https://api.example.org/v1"),
        ("/api/v1/chat/completions", "/api/v1"),
        ("https://example.org/login?next=1", "Check OPENAI_BASE_URL"),
        ("", "Check OPENAI_BASE_URL"),
    ],
)  # fmt: skip
async def test_a_redirect_that_would_become_a_get_names_the_right_address(
    model: ModelServer, client: OpenAIModel, status: int, location: str, cure: str
) -> None:
    """M14: 301 and 302."""
    headers = {"Location": location} if location else {}
    model.default = fake.respond("", status, **headers)
    found = await failure(client)
    assert type(found) is ModelSetupError
    assert cure in found.cure
    assert "moved" in found.detail
    assert len(model.requests) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_stays_a_post_is_followed(
    model: ModelServer, client: OpenAIModel, status: int
) -> None:
    model.script = [fake.respond("", status, Location=f"{model.base_url}/chat/completions")]
    assert await ask(client) == "You said: hello"
