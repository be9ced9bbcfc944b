"""Loopback Slack: the Web API over HTTP on the state of a workspace, with Slack's limits and chosen failures.

The other direction, events, is `tests/fakes/slack/events.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.fakes.slack.failures import Failure, cut_connection, failed_response, take_failure
from tests.fakes.slack.methods import METHODS, SCOPES
from tests.fakes.slack.workspace_state import (
    Channel,
    ChannelKind,
    Json,
    Message,
    SlackRefusal,
    Workspace,
    check_blocks,
    visible_text,
)

BOT_TOKEN = "xoxb-test"
APP_TOKEN = "xapp-1-A1-test"

_OUTSIDE = ("apps.connections.open", "oauth.v2.access", "tooling.tokens.rotate")
_LIMITED_READS = ("conversations.replies", "conversations.history")


@dataclass(slots=True)
class Caller:
    """Identity of a bot token."""

    team_id: str = "T1"
    bot_user: str = "UBOT"
    bot_id: str = "B1"
    app_id: str = "A1"
    team_name: str = "Acme"
    scopes: tuple[str, ...] = SCOPES


@dataclass(slots=True)
class Call:
    """A received call; `error` is the code of its response, "" for ok."""

    method: str
    args: Json
    at: float
    error: str = ""


@dataclass(slots=True)
class _Response:
    channel: str
    user: str
    thread_ts: str
    until: float
    left: int = 5


@dataclass
class SlackServer:
    """`async with SlackServer() as slack`; then `slack.api_url`, `slack.messages("C1")`.

    Attributes:
        socket_url: returns the URL of a WebSocket for apps.connections.open.
        enforce_rates: 429 beyond one post in a channel within `post_every_s`, and beyond each method's tier.
        distributed: the reading limits of apps outside the Marketplace (1 a minute, 15 messages).
        is_agent: whether the app is declared as an agent; `subscribes_stop`: whether it subscribed to its stop button.
        stream_lifetime_s: a stream ends by itself after this; `stream_dies_at`: when it has so many characters.
        stream_holds: most characters of one stream.
        asked_for: paths of requested files; `limit_downloads_s`: Retry-After of downloads, if not 0.
        unknown: methods this Slack does not have.
        refuse: the error code for a call, by its method and arguments; "" lets it pass.
    """

    socket_url: Callable[[], str] | None = None
    enforce_rates: bool = False
    post_burst: int = 1
    post_every_s: float = 1.0
    distributed: bool = False
    is_agent: bool = True
    subscribes_stop: bool = True
    stream_lifetime_s: float | None = 300
    stream_dies_at: int | None = None
    stream_holds: int = 12_000
    status_lifetime_s: float = 120
    unknown: set[str] = field(default_factory=set)
    refuse: Callable[[str, Json], str] = lambda method, args: ""
    tokens: dict[str, Caller] = field(default_factory=lambda: {BOT_TOKEN: Caller()})
    app_tokens: set[str] = field(default_factory=lambda: {APP_TOKEN})
    codes: dict[str, Json] = field(default_factory=dict)
    refresh: dict[str, Json] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    limit_downloads_s: int = 0

    def __post_init__(self) -> None:
        self.space = Workspace()
        self._failures: list[Failure] = []
        self._posted: dict[str, deque[float]] = {}
        self._called: dict[str, deque[float]] = {}
        self._responses: dict[str, _Response] = {}
        self.add_person("U1", "Ada")
        self.add_person("U2", "Ben")
        self.add_person("UADMIN", "Cora", is_admin=True)
        self.add_person("UBOT", "Keepthread", is_bot=True)
        self.add_channel("C1", "channel", {"U1", "U2", "UADMIN"})
        self.add_channel("D1", "private", {"U1"})
        self.add_channel("G1", "group", {"U1", "U2"})

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/api/{method}", self._api)
        app.router.add_get("/api/{method}", self._api)
        app.router.add_get("/files/{id}/{name}", self._download)
        app.router.add_post("/upload/{id}", self._upload)
        app.router.add_post("/response/{id}", self._respond)
        self.extend(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def extend(self, app: web.Application) -> None:
        """For subclasses: add routes."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    # State, as people see it.

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """See `Workspace.messages`."""
        return self.space.messages(channel, thread_ts)

    def answers(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Messages of bots only."""
        return [message for message in self.messages(channel, thread_ts) if message.bot_id]

    def ephemerals(self, channel: str, user: str | None = None) -> list[Message]:
        return self.space.ephemerals(channel, user)

    def status(self, channel: str, thread_ts: str) -> str:
        return self.space.status(channel, thread_ts, self.status_lifetime_s)

    def session(self, channel: str, thread_ts: str) -> str:
        """The status of the agent session there, or ""."""
        return (self.space.sessions.get((channel, thread_ts)) or [""])[-1]

    def called(self, method: str, *, ok: bool = False) -> list[Call]:
        return [call for call in self.calls if call.method == method and not (ok and call.error)]

    # Actions of people.

    def say(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str = "",
        *,
        files: list[Json] | None = None,
    ) -> str:
        """A person posts a message, without an event of it; its `ts`."""
        ts = self.space.new_ts()
        self.space.add_message(
            Message(ts, channel, user, text, text, thread_ts=thread_ts, files=files or [])
        )
        return ts

    def add_person(
        self, id_: str, name: str, *, team_id: str = "T1", is_admin: bool = False, **more: Any
    ) -> None:
        self.space.people[id_] = {
            "id": id_,
            "team_id": team_id,
            "name": name.lower(),
            "real_name": name,
            "profile": {"display_name": name, "real_name": name},
            "is_admin": is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_bot": False,
        } | more

    def add_channel(self, id_: str, kind: ChannelKind, members: set[str]) -> Channel:
        channel = self.space.channels[id_] = Channel(id_, kind, id_.lower(), set(members))
        return channel

    def add_file(self, name: str, content: bytes, mimetype: str, **more: Any) -> Json:
        """A file object whose private URL works."""
        id_ = f"F{uuid.uuid4().hex[:8].upper()}"
        address = f"{self.url}/files/{id_}/{name}"
        described = {
            "id": id_,
            "name": name,
            "title": name,
            "mimetype": mimetype,
            "size": len(content),
            "mode": "hosted",
            "url_private": address,
            "url_private_download": address,
        } | more
        self.space.files[id_] = (described, content)
        return described

    def response_url(
        self, channel: str, user: str, thread_ts: str = "", *, lifetime_s: float = 1800
    ) -> str:
        """A response URL, valid for five messages within half an hour."""
        id_ = uuid.uuid4().hex
        until = time.monotonic() + lifetime_s
        self._responses[id_] = _Response(channel, user, thread_ts, until)
        return f"{self.url}/response/{id_}"

    # Failures.

    def heal(self) -> None:
        """Drop all chosen failures."""
        self._failures.clear()

    def fail(self, method: str, **options: Any) -> None:
        """Let calls of `method` fail; see `Failure`."""
        self._failures.append(Failure(method, **options))

    def limit_posts(self, channel: str) -> None:
        """Raises SlackRefusal beyond about a post a second in a channel."""
        if self.enforce_rates:
            self._limit(
                self._posted.setdefault(channel, deque()), self.post_burst, self.post_every_s
            )

    def _limit(self, times: deque[float], most: int, within_s: float) -> None:
        now = time.monotonic()
        while times and now - times[0] >= within_s:
            times.popleft()
        if len(times) >= most:
            wait_s = max(1, int(within_s - (now - times[0]) + 0.999))
            raise SlackRefusal("ratelimited", retry_after=wait_s)
        times.append(now)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request)
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else ""
        token = str(args.pop("token", "") or token)
        call = Call(method, args, time.monotonic())
        self.calls.append(call)
        failure = take_failure(self._failures, method)
        if failure is not None and not failure.after:
            await asyncio.sleep(failure.delay_s)
            call.error = failure.error or f"status {failure.status}"
            return failed_response(request, failure)
        try:
            body: Json = {"ok": True} | self._run(method, token, args)
        except SlackRefusal as refusal:
            call.error = refusal.code
            body = {"ok": False, "error": refusal.code} | refusal.more
        if failure is not None:
            await asyncio.sleep(failure.delay_s)
            cut_connection(request)
        headers = {"x-oauth-scopes": ",".join(self.tokens.get(token, Caller()).scopes)}
        if body.get("error") == "ratelimited":
            headers["Retry-After"] = str(body.pop("retry_after"))
            return web.json_response(body, status=429, headers=headers)
        return web.json_response(body, headers=headers)

    def _run(self, method: str, token: str, args: Json) -> Json:
        if method in _OUTSIDE:
            return self._without_bot(method, token, args)
        if method not in METHODS or method in self.unknown:
            raise SlackRefusal("unknown_method")
        if not token:
            raise SlackRefusal("not_authed")
        caller = self.tokens.get(token)
        if caller is None:
            raise SlackRefusal("invalid_auth")
        if code := self.refuse(method, args):
            raise SlackRefusal(code)
        run, scope, per_minute = METHODS[method]
        if scope and scope not in caller.scopes:
            raise SlackRefusal("missing_scope", needed=scope, provided=",".join(caller.scopes))
        if self.distributed and method in _LIMITED_READS:
            self._limit(self._called.setdefault(method, deque()), 1, 60)
        elif self.enforce_rates:
            self._limit(self._called.setdefault(method, deque()), per_minute, 60)
        return run(self, caller, args)

    def _without_bot(self, method: str, token: str, args: Json) -> Json:
        if method == "apps.connections.open":
            if token not in self.app_tokens:
                raise SlackRefusal("invalid_auth" if token else "not_authed")
            if self.socket_url is None:
                raise SlackRefusal("internal_error")
            return {"url": self.socket_url()}
        grants = (
            self.refresh if args.get("grant_type") == "refresh_token" or "tooling" in method else {}
        )
        key = str(args.get("refresh_token") or args.get("code") or "")
        answer = (grants or self.codes).pop(key, None)
        if answer is None:
            raise SlackRefusal("invalid_refresh_token" if grants else "invalid_code")
        return answer

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self.asked_for.append(request.path)
        if self.limit_downloads_s:
            return web.Response(status=429, headers={"Retry-After": str(self.limit_downloads_s)})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        caller = self.tokens.get(token)
        found = self.space.files.get(request.match_info["id"])
        if caller is None or "files:read" not in caller.scopes:
            page = "<!DOCTYPE html><html><title>Sign in to Slack</title></html>"
            return web.Response(text=page, content_type="text/html")
        if found is None:
            return web.Response(status=404)
        if "moved_to" in found[0]:
            return web.Response(status=302, headers={"Location": found[0]["moved_to"]})
        return web.Response(body=found[1], content_type=found[0]["mimetype"])

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        name = self.uploads.pop(id_, None)
        if name is None:
            return web.Response(status=404)
        content = await request.read()
        described = {"id": id_, "name": name, "title": name, "size": len(content)}
        self.space.files[id_] = (described, content)
        return web.Response(text=f"OK - {len(content)}")

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(Call("response_url", await request.json(), time.monotonic()))
        failure = take_failure(self._failures, "response_url")
        if failure is not None and not failure.after:
            return failed_response(request, failure)
        answer = self._responses.get(request.match_info["id"])
        if answer is None or time.monotonic() > answer.until:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if not answer.left:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        args = self.calls[-1].args
        try:
            blocks = check_blocks(args.get("blocks") or [])
        except SlackRefusal as refusal:
            return web.json_response({"ok": False, "error": refusal.code}, status=400)
        answer.left -= 1
        text = str(args.get("text") or "")
        hidden = args.get("response_type", "ephemeral") == "ephemeral"
        self.space.add_message(
            Message(
                self.space.new_ts(),
                answer.channel,
                "UBOT",
                visible_text(text, blocks),
                text,
                blocks,
                thread_ts=str(args.get("thread_ts") or answer.thread_ts),
                bot_id="B1",
                visible_to=answer.user if hidden else "",
            )
        )
        if failure is not None:
            cut_connection(request)
        return web.Response(text="ok")


async def _arguments(request: web.Request) -> Json:
    """Query, form or JSON; JSON inside forms is decoded for arguments that Slack takes as JSON."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        args |= json.loads(await request.text() or "{}")
    elif request.method == "POST":
        args |= dict(await request.post())
    for name in ("blocks", "metadata", "view", "files", "prompts", "loading_messages", "chunks"):
        if isinstance(args.get(name), str):
            try:
                args[name] = json.loads(args[name])
            except ValueError:
                args.pop(name)
    return args
