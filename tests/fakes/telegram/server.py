"""Bot API on loopback: real offset semantics, long polls, webhooks, limits, topics, migration, files.

Format: https://core.telegram.org/bots/api
People act by `say`, `edit`, `press`, `react` …; what they see is in `chat(id).messages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.telegram.chats import (
    Chat,
    Flood,
    Refusal,
    Shown,
    bad,
    checked_buttons,
    checked_text,
    units,
)
from tests.fakes.telegram.methods import METHODS
from tests.fakes.telegram.tdlib import kept_entities

BOT_ID = 7000
ANONYMOUS_ADMIN = {
    "id": 1087968824,
    "is_bot": True,
    "first_name": "Group",
    "username": "GroupAnonymousBot",
}
CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
WEBHOOK_ACTIVE = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"


@dataclass(slots=True)
class Fault:
    """Failure of the next calls of a method (`*`: any)."""

    method: str
    refusal: Refusal | None
    times: int
    after: bool = False  # the call is done, but its response is lost
    hangs: bool = False  # nothing is done, and no response comes
    later: int = 0  # so many calls go well before


@dataclass(slots=True)
class TelegramServer:
    token: str = f"{BOT_ID}:loopback"
    username: str = "keepthread_bot"
    file_limit: int = 20 * 1024 * 1024
    drafts: bool = True
    reads_all_group_messages: bool = False
    flood: Flood = field(default_factory=Flood)
    url: str = ""
    chats: dict[int, Chat] = field(default_factory=dict)
    people: dict[int, dict[str, Any]] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    local_files: dict[str, str] = field(default_factory=dict)
    cut_files: bool = False
    file_bytes_sent: int = 0
    commands: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhook: dict[str, Any] = field(default_factory=dict)
    webhook_posts: int = 0
    dropped_entities: int = 0
    confirmed: int = 0
    polls: int = 0
    allowed: list[str] = field(default_factory=list)
    _next_update: int = 500
    _next_message: int = 10
    _open_queries: set[str] = field(default_factory=set)
    _poll: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _senders: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _runner: web.AppRunner | None = None
    _port: int = 0

    # -- running -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_get("/file/bot{token}/{path:.*}", self._serve_file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Stop listening; the state stays, and `start` listens on the same port again."""
        for task in self._senders.values():
            task.cancel()
        await asyncio.gather(*self._senders.values(), return_exceptions=True)
        self._senders.clear()
        self._poll += 1
        self._changed.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- actions of people -----------------------------------------------------------------------

    def person(self, id: int, name: str, **more: Any) -> dict[str, Any]:  # noqa: A002
        self.people[id] = {"id": id, "is_bot": False, "first_name": name, **more}
        if id not in self.chats:
            self.chats[id] = Chat(id, title=name)
        return self.people[id]

    def group(self, id: int, title: str = "Group", **more: Any) -> Chat:  # noqa: A002
        chat = self.chats[id] = Chat(id, "supergroup", title, **more)
        chat.members.setdefault(BOT_ID, "member")
        return chat

    def chat(self, id: int) -> Chat:  # noqa: A002
        return self.chats[id]

    def seen(self, chat: int, thread: int | None = None) -> list[Shown]:
        """The messages of the bot in a chat or topic, as they are now."""
        return self.chats[chat].seen(thread, sender=BOT_ID)

    def texts(self, chat: int, thread: int | None = None) -> list[str]:
        return [message.text for message in self.seen(chat, thread)]

    def message(self, chat: int, who: int, text: str | None = None, **more: Any) -> dict[str, Any]:
        """A message as it is in updates. `thread`: a topic. `reply_to`: a message id. Else raw fields."""
        room = self.chats[chat]
        id_ = more.pop("message_id", None) or self._take_message_id()
        data: dict[str, Any] = {"message_id": id_, "date": int(time.time()), "chat": room.raw()}
        if who in self.people:
            data["from"] = self.people[who]
        elif who == chat:
            data |= {"from": ANONYMOUS_ADMIN, "sender_chat": room.raw()}
        thread = more.pop("thread", None)
        data |= self._topic(room, thread)
        reply_to = more.pop("reply_to", None)
        if reply_to is not None:
            data["reply_to_message"] = room.messages[reply_to].raw
        if text is not None:
            data["text"] = text
            data["entities"] = more.pop("entities", None) or self._found_entities(text)
            if not data["entities"]:
                del data["entities"]
        data |= more
        shown = Shown(id_, who, text or more.get("caption", ""), thread, raw=data)
        room.messages[id_] = shown
        return data

    def say(self, chat: int, who: int, text: str | None = None, **more: Any) -> int:
        """A person writes; the id of the message."""
        data = self.message(chat, who, text, **more)
        self.push({"message": data})
        return int(data["message_id"])

    def edit(self, chat: int, message_id: int, text: str) -> None:
        shown = self.chats[chat].messages[message_id]
        shown.text = text
        shown.raw = {**shown.raw, "text": text, "edit_date": int(time.time())}
        shown.raw["entities"] = self._found_entities(text)
        self.push({"edited_message": shown.raw})

    def press(self, chat: int, message_id: int, who: int, data: str, **more: Any) -> str:
        """A person presses a button of a message; the id of the query."""
        id_ = f"q{self._next_update}"
        self._open_queries.add(id_)
        message = {"message": self.chats[chat].messages[message_id].raw, **more}
        query = {"id": id_, "from": self.people[who], "chat_instance": "c", "data": data, **message}
        self.push({"callback_query": query})
        return id_

    def react(self, chat: int, message_id: int, who: int, *emoji: str) -> None:
        self.push(
            {
                "message_reaction": {
                    "chat": self.chats[chat].raw(),
                    "message_id": message_id,
                    "user": self.people[who],
                    "date": int(time.time()),
                    "old_reaction": [],
                    "new_reaction": [{"type": "emoji", "emoji": symbol} for symbol in emoji],
                }
            }
        )

    def stop_draft(self, chat: int, thread: int | None = None) -> None:
        """The person presses the stop button that Telegram shows beside a draft."""
        draft = self.chats[chat].drafts[thread]
        assert draft.get("can_stop"), "the draft has no stop button"
        event = {"chat": self.chats[chat].raw(), "draft_id": draft["draft_id"]}
        if thread is not None:
            event["message_thread_id"] = thread
        self.push({"stopped_message_generation": event})

    def migrate(self, old: int, new: int) -> None:
        """A group becomes a supergroup, with a new id."""
        before = self.chats[old]
        before.migrated_to = new
        self.group(new, before.title, members=dict(before.members))
        self.push({"message": self.message(old, next(iter(self.people)), migrate_to_chat_id=new)})
        self.push({"message": self.message(new, next(iter(self.people)), migrate_from_chat_id=old)})

    def upload(self, name: str, data: bytes) -> str:
        id_ = f"file-{len(self.files)}"
        self.files[id_] = (name, data)
        return id_

    def push(self, update: dict[str, Any]) -> int:
        """Add an update, kept until it is confirmed; its id."""
        id_ = self._next_update
        self._next_update += 1
        kind = next(iter(update))
        if self.allowed and kind not in self.allowed:
            return id_
        self.updates.append({"update_id": id_, **json.loads(json.dumps(update))})
        self._changed.set()
        self._post_updates()
        return id_

    def fail(
        self,
        method: str,
        status: int,
        description: str,
        times: int = 1,
        later: int = 0,
        **parameters: Any,
    ) -> None:
        """So many calls are refused, after `later` that go well."""
        refusal = Refusal(status, description, **parameters)
        self.faults.append(Fault(method, refusal, times, later=later))

    def lose_response(self, method: str, times: int = 1) -> None:
        """The call is done, and the connection ends before its response."""
        self.faults.append(Fault(method, None, times, after=True))

    def hang(self, method: str, times: int = 1) -> None:
        """The call gets no response, as long as its caller waits."""
        self.faults.append(Fault(method, None, times, hangs=True))

    def called(self, method: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == method]

    # -- the wire ------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        parameters = await _parameters(request)
        self.calls.append((method, parameters))
        try:
            if request.match_info["token"] != self.token:
                raise Refusal(401, "Unauthorized")
            fault = self._fault_of(method)
            if fault is not None and fault.hangs:
                await asyncio.Event().wait()
            if fault is not None and fault.refusal is not None:
                self._close_chat(parameters, fault.refusal)
                raise fault.refusal
            handler = METHODS.get(method)
            if handler is None or (method == "sendMessageDraft" and not self.drafts):
                raise Refusal(404, "Not Found")
            result = await handler(self, parameters)
            if fault is not None and fault.after:
                assert request.transport is not None
                request.transport.abort()
        except Refusal as refusal:
            body = {"ok": False, "error_code": refusal.status, "description": refusal.description}
            if refusal.parameters:
                body["parameters"] = refusal.parameters
            return web.json_response(body, status=refusal.status)
        return web.json_response({"ok": True, "result": result})

    def _close_chat(self, parameters: dict[str, Any], refusal: Refusal) -> None:
        """Who comes back before the time that a refusal names is counted in `flood.ignored`."""
        wait_s = refusal.parameters.get("retry_after")
        if wait_s is not None and "chat_id" in parameters:
            closed_until = time.monotonic() + wait_s - 0.005
            self.chats[int(parameters["chat_id"])].closed_until = closed_until

    def _fault_of(self, method: str) -> Fault | None:
        """The fault that this call of `method` gets, or None."""
        for fault in self.faults:
            if fault.times and fault.method in (method, "*"):
                if fault.later:
                    fault.later -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    async def _serve_file(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return web.json_response({"ok": False}, status=401)
        if self.cut_files and request.transport is not None:
            request.transport.abort()
        if request.match_info["path"] == "documents/endless":
            return await self._serve_endless_file(request)
        id_ = request.match_info["path"].split("/")[0]
        self.calls.append(("file", {"file_id": id_}))
        if id_ not in self.files:
            return web.json_response({"ok": False}, status=404)
        return web.Response(body=self.files[id_][1])

    async def _serve_endless_file(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while self.file_bytes_sent < 200_000_000:
            await response.write(bytes(1 << 16))
            self.file_bytes_sent += 1 << 16
        return response

    async def take_updates(self, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        if self.webhook.get("url"):
            raise Refusal(409, WEBHOOK_ACTIVE)
        self._poll += 1
        mine = self._poll
        self._changed.set()
        self.allowed = parameters.get("allowed_updates", self.allowed)
        offset = int(parameters.get("offset", 0))
        self.updates = [u for u in self.updates if u["update_id"] >= offset]
        self.confirmed = max(self.confirmed, offset - 1)
        self.polls += 1
        deadline = asyncio.get_running_loop().time() + float(parameters.get("timeout", 0))
        while not self.updates:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._changed.wait(), deadline - asyncio.get_running_loop().time()
                )
            if mine != self._poll:
                raise Refusal(409, CONFLICT)
            if asyncio.get_running_loop().time() >= deadline:
                break
        return self.updates[: int(parameters.get("limit", 100))]

    def set_webhook(self, parameters: dict[str, Any]) -> bool:
        self.webhook = dict(parameters)
        self.allowed = parameters.get("allowed_updates", self.allowed)
        self._post_updates()
        return True

    def _post_updates(self) -> None:
        """One sender a chat, as Telegram: updates of one chat come one after the other."""
        if not self.webhook.get("url") or self._runner is None:
            return
        for update in self.updates:
            chat = _chat_of(update)
            if chat not in self._senders or self._senders[chat].done():
                self._senders[chat] = asyncio.create_task(self._send_updates(chat))

    async def _send_updates(self, chat: int) -> None:
        async with aiohttp.ClientSession() as session:
            while waiting := [u for u in self.updates if _chat_of(u) == chat]:
                if not self.webhook.get("url"):
                    return
                headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook.get("secret_token", "")}
                self.webhook_posts += 1
                try:
                    async with session.post(
                        self.webhook["url"], json=waiting[0], headers=headers
                    ) as response:
                        ok = response.status == 200
                        self.webhook["last_error_message"] = (
                            "" if ok else f"Wrong response from the webhook: {response.status}"
                        )
                except aiohttp.ClientError as error:
                    ok = False
                    self.webhook["last_error_message"] = repr(error)
                if ok:
                    self.updates.remove(waiting[0])
                    self.confirmed = max(self.confirmed, waiting[0]["update_id"])
                else:
                    await asyncio.sleep(0.05)

    # -- messages ------------------------------------------------------------------------------

    def room(self, parameters: dict[str, Any]) -> Chat:
        chat = self.chats.get(int(parameters["chat_id"]))
        if chat is None:
            raise bad("chat not found")
        if chat.migrated_to:
            raise Refusal(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.migrated_to,
            )
        if chat.gone:
            raise Refusal(403, f"Forbidden: {chat.gone}")
        return chat

    def post(
        self, parameters: dict[str, Any], text: str, file: tuple[str, bytes] | None = None
    ) -> Any:
        """Keep a message of the bot's, if everything about it is right."""
        chat = self.room(parameters)
        key = "entities" if file is None else "caption_entities"
        entities = self.counted(parameters.get(key, []))
        if file is None or text:
            text = checked_text(text, entities, 4096 if file is None else 1024)
            entities = kept_entities(entities)
        buttons = checked_buttons(parameters.get("reply_markup"))
        reply_to = self._replied(chat, parameters)
        self.flood.check(chat)
        thread = chat.thread_of(parameters)
        if thread is None and reply_to is not None and chat.messages[reply_to].thread is not None:
            thread = None if chat.is_forum else chat.messages[reply_to].thread
        chat.drafts.pop(thread, None)
        shown = Shown(
            self._take_message_id(), BOT_ID, text, thread, entities, buttons, reply_to, file
        )
        chat.messages[shown.id] = shown
        shown.raw = self._raw(chat, shown)
        return shown.raw

    def change(self, parameters: dict[str, Any], *, text: str | None) -> Any:
        chat = self.room(parameters)
        shown = chat.messages.get(int(parameters["message_id"]))
        if shown is None:
            raise bad("message to edit not found")
        if shown.sender != BOT_ID:
            raise bad("message can't be edited")
        entities = (
            self.counted(parameters.get("entities", [])) if text is not None else shown.entities
        )
        text = checked_text(text, entities) if text is not None else shown.text
        entities = kept_entities(entities)
        buttons = checked_buttons(parameters.get("reply_markup"))
        if (text, entities, buttons) == (shown.text, shown.entities, shown.buttons):
            raise bad(
                "message is not modified: specified new message content and reply markup are exactly "
                "the same as a current content and reply markup of the message"
            )
        self.flood.check(chat, is_edit=True)
        shown.text, shown.entities, shown.buttons = text, entities, buttons
        shown.edits += 1
        shown.raw = self._raw(chat, shown)
        return shown.raw

    def _raw(self, chat: Chat, shown: Shown) -> dict[str, Any]:
        raw: dict[str, Any] = {
            "message_id": shown.id,
            "date": int(time.time()),
            "chat": chat.raw(),
            "from": self.me(),
            ("text" if shown.file is None else "caption"): shown.text,
        }
        return raw | self._topic(chat, shown.thread)

    def _topic(self, chat: Chat, thread: int | None) -> dict[str, Any]:
        """The fields of a message that tell its topic."""
        if thread is None:
            return {}
        if chat.direct_topics:
            owner = self.people[chat.direct_topics[thread]]
            return {"direct_messages_topic": {"topic_id": thread, "user": owner}}
        return {"message_thread_id": thread, "is_topic_message": True}

    def _replied(self, chat: Chat, parameters: dict[str, Any]) -> int | None:
        wanted = parameters.get("reply_parameters")
        if not wanted:
            return None
        if wanted["message_id"] in chat.messages:
            return int(wanted["message_id"])
        if not wanted.get("allow_sending_without_reply"):
            raise bad("message to be replied not found")
        return None

    def counted(self, entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.dropped_entities += max(0, len(entities) - 100)
        return entities[:100]

    def me(self) -> dict[str, Any]:
        return {
            "id": BOT_ID,
            "is_bot": True,
            "first_name": "Keepthread",
            "username": self.username,
            "can_join_groups": True,
            "can_read_all_group_messages": self.reads_all_group_messages,
            "supports_inline_queries": False,
        }

    def answer_query(self, parameters: dict[str, Any]) -> bool:
        id_ = parameters["callback_query_id"]
        if id_ not in self._open_queries:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        self._open_queries.discard(id_)
        self.answered[id_] = parameters
        return True

    def _take_message_id(self) -> int:
        self._next_message += 1
        return self._next_message

    def _found_entities(self, text: str) -> list[dict[str, Any]]:
        """Mentions and commands, as Telegram marks them."""
        found = []
        for match in re.finditer(r"(?<!\w)@\w{3,}|^/\w+(?:@\w+)?", text):
            kind = "mention" if match[0].startswith("@") else "bot_command"
            place = {"offset": units(text[: match.start()]), "length": units(match[0])}
            found.append({"type": kind, **place})
        return found


def _chat_of(update: dict[str, Any]) -> int:
    body = next(value for key, value in update.items() if key != "update_id")
    body = body.get("message", body)
    return int((body.get("chat") or {"id": 0})["id"])


async def _parameters(request: web.Request) -> dict[str, Any]:
    found: dict[str, Any] = dict(request.query)
    for key, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            found[key] = (value.filename, value.file.read())
        else:
            found[key] = value
    for key, value in found.items():
        if isinstance(value, str) and (value[:1] in "[{" or value in ("true", "false")):
            with contextlib.suppress(ValueError):
                found[key] = json.loads(value)
    return found
