"""Fake model server: OpenAI's streaming chat completions on loopback, with the ways in which they fail.

Format: https://platform.openai.com/docs/api-reference/chat/streaming
Run it as a process:  python -m tests.fakes.model_server [--port N] [--delay-s X]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.fakes.chat_templates import STRICT, ChatTemplate
from tests.fakes.endpoint_dialects import OPENAI, Dialect

Behaviour = Callable[["Exchange"], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class ReceivedRequest:
    """A request as it was received."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


@dataclass(slots=True)
class Exchange:
    """One request and the pieces of its response."""

    request: web.Request
    received: ReceivedRequest

    async def open(self) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(self.request)
        await self.send(response, {"role": "assistant", "content": ""})
        return response

    async def send(
        self,
        response: web.StreamResponse,
        delta: dict[str, Any],
        reason: str | None = None,
        **more: Any,
    ) -> None:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.received.body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            **more,
        }
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    async def pieces(
        self, response: web.StreamResponse, text: str, size: int = 12, delay_s: float = 0
    ) -> None:
        for at in range(0, len(text), size):
            await self.send(response, {"content": text[at : at + size]})
            if delay_s:
                await asyncio.sleep(delay_s)

    async def end(self, response: web.StreamResponse, reason: str, text: str) -> web.StreamResponse:
        await self.send(response, {}, reason)
        if (self.received.body.get("stream_options") or {}).get("include_usage"):
            asked = sum(len(str(message["content"])) // 4 + 4 for message in self.received.messages)
            usage = {
                "prompt_tokens": asked,
                "completion_tokens": max(1, len(text) // 4),
                "total_tokens": asked + max(1, len(text) // 4),
                "prompt_tokens_details": {"cached_tokens": asked // 2},
            }
            await self.send(response, {}, usage=usage, choices=[])
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


def say(text: str, *, size: int = 12, delay_s: float = 0, reason: str = "stop") -> Behaviour:
    """Streams `text` in pieces of `size` characters."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text, size, delay_s)
        return await exchange.end(response, reason, text)

    return behave


def say_after(gate: asyncio.Event, text: str) -> Behaviour:
    """Streams the first character of `text`; the rest once `gate` is set."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text[:1])
        await gate.wait()
        await exchange.pieces(response, text[1:])
        return await exchange.end(response, "stop", text)

    return behave


def fail(
    status: int, code: str = "", message: str = "no", *, retry_after_s: float | None = None
) -> Behaviour:
    """Answers with an error in the vendor's format."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        error = {"message": message, "type": code or "error", "param": None, "code": code or None}
        return web.json_response({"error": error}, status=status, headers=headers)

    return behave


def respond(
    body: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str
) -> Behaviour:
    """Answers with these bytes."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        data = body if isinstance(body, bytes) else body.encode()
        return web.Response(
            body=data, status=status, headers={"Content-Type": content_type, **headers}
        )

    return behave


def events(*data: str, after: str = "data: [DONE]\n\n") -> Behaviour:
    """Answers with these events, and the raw text `after` them."""
    lines = "".join(f"data: {item}\n\n" for item in data)
    return respond(lines + after, content_type="text/event-stream")


def hang() -> Behaviour:
    """Accepts the request and never answers."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return behave


def stall(text: str) -> Behaviour:
    """Streams `text`, then nothing; the connection stays open."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        await asyncio.Event().wait()
        return response

    return behave


def cut(text: str) -> Behaviour:
    """Streams `text`, then aborts the connection."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        assert exchange.request.transport is not None
        exchange.request.transport.abort()
        return response

    return behave


def truncated(text: str) -> Behaviour:
    """Streams `text` and ends the response without a finish_reason."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        await response.write_eof()
        return response

    return behave


def raw(after: str, line: bytes) -> Behaviour:
    """Streams `after`, then the bytes `line` as they are."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, after)
        await response.write(line + b"\n\n")
        await response.write_eof()
        return response

    return behave


def garbage(after: str = "") -> Behaviour:
    """Streams `after`, then an event that is not JSON."""
    return raw(after, b"data: {this is no json")


def error_event(after: str = "") -> Behaviour:
    """Streams `after`, then an error event."""
    return raw(after, b'data: {"error": {"message": "the engine broke", "code": "server_error"}}')


def rule_based(delay_s: float = 0) -> Behaviour:
    """Answers by rules: repeats the question, or says the name that the prompt holds, which shows what was remembered."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        texts = [
            (message["role"], message["content"])
            for message in exchange.received.messages
            if isinstance(message["content"], str)
        ]
        last = texts[-1][1] if texts else "a picture"
        if texts and texts[0][1].startswith("You keep the notes"):
            answer = "Notes: " + last[-400:]
        elif "my name" in last.lower() and "?" in last:
            asked = " ".join(text for role, text in texts if role != "assistant")
            names = re.findall(r"my name is (\w+)", asked, re.I)
            answer = f"Your name is {names[-1]}." if names else "I do not know your name."
        else:
            answer = f"You said: {last}"
        return await say(answer, delay_s=delay_s)(exchange)

    return behave


@dataclass
class ModelServer:
    """`async with ModelServer() as server`: then point OPENAI_BASE_URL at `server.base_url`.

    Attributes:
        requests: received requests, in order.
        refused: those of them that the template refused.
        script: behaviours of the next requests; afterwards `default`.
        transcript: transcription of every audio file.
        open_streams: number of requests being answered now.
        cancelled: number of requests whose client disconnected.
        template: chat template that refuses messages in the wrong order; as strict as the strictest.
        dialect: parameters and contents that are refused.
    """

    port: int = 0
    default: Behaviour = field(default_factory=rule_based)
    script: list[Behaviour] = field(default_factory=list)
    requests: list[ReceivedRequest] = field(default_factory=list)
    refused: list[ReceivedRequest] = field(default_factory=list)
    transcript: str = ""
    open_streams: int = 0
    cancelled: int = 0
    models: tuple[str, ...] = ("gpt-5-mini", "gpt-5-large")
    last_request_at: float = 0
    template: ChatTemplate = STRICT
    dialect: Dialect = OPENAI

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"data": [{"id": name, "object": "model"} for name in self.models]}
        )

    async def _transcribe(self, _: web.Request) -> web.Response:
        return web.json_response({"text": self.transcript})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        received = ReceivedRequest(dict(request.headers), await request.json())
        self.requests.append(received)
        self.last_request_at = time.monotonic()
        if refusal := self.template.refusal(received.messages):
            self.refused.append(received)
            return web.json_response(self.template.error(refusal), status=self.template.status)
        if refused := self.dialect.refusal(received.body):
            return web.json_response(refused[1], status=refused[0])
        behave = self.script.pop(0) if self.script else self.default
        self.open_streams += 1
        try:
            return await behave(Exchange(request, received))
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.open_streams -= 1


async def _serve(port: int, delay_s: float) -> None:
    async with ModelServer(port, default=rule_based(delay_s)) as server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--delay-s", type=float, default=0)
    given = options.parse_args()
    asyncio.run(_serve(given.port, given.delay_s))
