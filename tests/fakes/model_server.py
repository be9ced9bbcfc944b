"""A model on loopback: the streaming wire format of OpenAI's chat completions, and its bad days.

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

Behaviour = Callable[["Exchange"], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Seen:
    """A request as it came over the wire."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


@dataclass(slots=True)
class Exchange:
    request: web.Request
    seen: Seen

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
            "model": self.seen.body["model"],
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
        if (self.seen.body.get("stream_options") or {}).get("include_usage"):
            asked = sum(len(str(message["content"])) // 4 + 4 for message in self.seen.messages)
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
    """Answers `text` in pieces of `size` characters."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text, size, delay_s)
        return await exchange.end(response, reason, text)

    return behave


def fail(
    status: int, code: str = "", message: str = "no", *, retry_after_s: float | None = None
) -> Behaviour:
    """Answers with an error as the vendor writes it."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        error = {"message": message, "type": code or "error", "param": None, "code": code or None}
        return web.json_response({"error": error}, status=status, headers=headers)

    return behave


def hang() -> Behaviour:
    """Accepts and never answers."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return behave


def stall(text: str) -> Behaviour:
    """Says `text` and then nothing more, keeping the line open."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        await asyncio.Event().wait()
        return response

    return behave


def cut(text: str) -> Behaviour:
    """Says `text`; then the connection breaks."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        assert exchange.request.transport is not None
        exchange.request.transport.abort()
        return response

    return behave


def truncated(text: str) -> Behaviour:
    """Ends properly on the wire, but without a finish_reason."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, text)
        await response.write_eof()
        return response

    return behave


def raw(after: str, line: bytes) -> Behaviour:
    """Says `after`, then sends `line` as it is."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open()
        await exchange.pieces(response, after)
        await response.write(line + b"\n\n")
        await response.write_eof()
        return response

    return behave


def garbage(after: str = "") -> Behaviour:
    return raw(after, b"data: {this is no json")


def error_event(after: str = "") -> Behaviour:
    return raw(after, b'data: {"error": {"message": "the engine broke", "code": "server_error"}}')


def tiny_mind(delay_s: float = 0) -> Behaviour:
    """Knows what the conversation says, so that memory can be seen from outside."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        texts = [
            (message["role"], message["content"])
            for message in exchange.seen.messages
            if isinstance(message["content"], str)
        ]
        last = texts[-1][1] if texts else "a picture"
        if texts and texts[0][1].startswith("You keep the notes"):
            answer = "Notes: " + last[-400:]
        elif "my name" in last.lower() and "?" in last:
            said = " ".join(text for role, text in texts if role != "assistant")
            names = re.findall(r"my name is (\w+)", said, re.I)
            answer = f"Your name is {names[-1]}." if names else "I do not know your name."
        else:
            answer = f"You said: {last}"
        return await say(answer, delay_s=delay_s)(exchange)

    return behave


@dataclass
class ModelServer:
    """`async with ModelServer() as server`: then point OPENAI_BASE_URL at `server.base_url`.

    Attributes:
        requests: what came in, in order.
        script: behaviours for the next requests; afterwards `default`.
        heard: what is spoken in every audio file.
        open_streams: requests being answered now.
        cancelled: how many were given up by their client.
    """

    port: int = 0
    default: Behaviour = field(default_factory=tiny_mind)
    script: list[Behaviour] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    heard: str = ""
    open_streams: int = 0
    cancelled: int = 0
    models: tuple[str, ...] = ("gpt-5-mini", "gpt-5-large")
    last_seen_at: float = 0

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
        return web.json_response({"text": self.heard})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(dict(request.headers), await request.json())
        self.requests.append(seen)
        self.last_seen_at = time.monotonic()
        behave = self.script.pop(0) if self.script else self.default
        self.open_streams += 1
        try:
            return await behave(Exchange(request, seen))
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += 1
            raise
        finally:
            self.open_streams -= 1


async def _serve(port: int, delay_s: float) -> None:
    async with ModelServer(port, default=tiny_mind(delay_s)) as server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--delay-s", type=float, default=0)
    given = options.parse_args()
    asyncio.run(_serve(given.port, given.delay_s))
