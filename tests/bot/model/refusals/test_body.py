"""Bodies of errors, in the shapes that endpoints send."""

from __future__ import annotations

import json

import pytest

from bot.model.refusals.body import MAX_TEXT_CHARS, read_error_body
from tests.support.growth import assert_near_linear

BODIES = {
    "OpenAI": ({"error": {"message": "boom", "type": "t", "code": "c", "param": "top"}}, "boom (top)"),
    "a string": ({"error": "boom"}, "boom"),
    "Gemini's list": (
        [{"error": {"code": 400, "message": "boom", "status": "INVALID_ARGUMENT"}}],
        "boom",
    ),
    "FastAPI's text": ({"detail": "boom"}, "boom"),
    "FastAPI's list": ({"detail": [{"loc": ["body", "n"], "msg": "boom"}]}, "body.n: boom"),
    "Mistral": ({"object": "error", "message": {"detail": [{"loc": ["a"], "msg": "boom"}]}}, "a: boom"),
    "a message": ({"object": "error", "message": "boom", "code": 400}, "boom"),
    "Cloudflare": ({"errors": [{"code": 5006, "message": "boom"}], "success": False}, "boom"),
    "errors as text": ({"errors": ["boom", "bang"]}, "boom; bang"),
    "nested": ({"error": {"error": {"error": {"message": "boom"}}}}, "boom"),
    "OpenRouter": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error":{"message":"boom"}}'}}},
        "Provider returned error; boom",
    ),
    "MiniMax": ({"base_resp": {"status_code": 1008, "status_msg": "boom"}}, "boom"),
    "problem details": ({"title": "Bad Request", "status": 400, "detail": "boom"}, "boom"),
    "only a title": ({"title": "Bad Request", "status": 400}, "Bad Request"),
    "AWS": ({"Message": "boom", "__type": "ValidationException"}, "boom"),
    "Baidu": ({"error_code": 336007, "error_msg": "boom"}, "boom"),
    "only a code": ({"error": {"code": "engine_dead"}}, "engine_dead"),
    "an unknown key": ({"problems": ["boom"]}, "boom"),
    "JSON in a string": ('"boom"', "boom"),
    "JSON in JSON": ({"error": '{"message": "boom"}'}, "boom"),
    "text": ("boom\n  bang", "boom bang"),
    "a page": (
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1><p>nginx</body>",
        "502 Bad Gateway",
    ),
    "a page without a title": ("<!DOCTYPE html><script>if (a<b) x()</script><p>Down &amp; out</p>", "Down & out"),
    "XML": ("<?xml version='1.0'?><Error><Message>boom</Message></Error>", "boom"),
    "nothing": ("", ""),
    "null": ("null", "null"),
    "a number": ("42", "42"),
    "broken JSON": ('{"error": "bo', '{"error": "bo'),
}  # fmt: skip


@pytest.mark.parametrize(("body", "text"), BODIES.values(), ids=BODIES)
def test_a_body_of_any_shape_is_read(body: object, text: str) -> None:
    """M3: what the vendor said is found, as parsed JSON and as text."""
    assert read_error_body(body).text == text
    if not isinstance(body, str):
        assert read_error_body(json.dumps(body)).text == text


def test_codes_and_the_status_are_read() -> None:
    found = read_error_body({"error": {"code": 429, "type": "rate_limit", "message": "m"}})
    assert (found.codes, found.status) == (("429", "rate_limit"), 429)
    assert read_error_body({"code": "Arrearage", "message": "m"}).codes == ("arrearage",)


@pytest.mark.parametrize(
    "body",
    [
        "x" * 1_000_000,
        "[" * 100_000,
        '{"error":' * 20_000 + '"x"' + "}" * 20_000,
        {"errors": [{"message": "m" * 5_000}] * 10_000},
        "<html>" + "<script>" * 100_000,
        {"\ud800": "\ud800"},
    ],
)
def test_a_hostile_body_is_bounded(body: object) -> None:
    assert len(read_error_body(body).text) <= MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "piece", ["<script>", "<title>", "<h1 ", "<a", "<", "[", '{"error":', '"', "&amp;", "x ", "\\u0041"]
)  # fmt: skip
@pytest.mark.parametrize("head", ["<html>", "", "{"])
def test_reading_a_body_takes_time_in_proportion(head: str, piece: str) -> None:
    assert_near_linear(read_error_body, lambda n: head + piece * n, 200)
