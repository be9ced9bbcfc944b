"""Loopback platform: an adapter whose replies are written to a journal file, line by line, so that a kill loses none.

A reply can be made to fail, to hang, or to kill its process at a chosen step.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from bot.conversation import Address, Attachment, Speaker, Turn
from bot.errors import KeepthreadError
from bot.ports import Check, CommandButton, Connection, Core, Delivery, Health
from bot.settings import Settings, SettingsBase


@dataclass(slots=True)
class Journal:
    """Append-only file of JSON lines, one for each call of a reply: `what` is the kind of the call."""

    path: Path

    def write(self, **line: Any) -> None:
        data = json.dumps({"at": time.time(), "pid": os.getpid(), **line}).encode() + b"\n"
        target = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(target, data)
        finally:
            os.close(target)

    def read(self, what: str = "") -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_text().rpartition("\n")  # the last may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if not what or line["what"] == what]


@dataclass(slots=True)
class LoopbackReply:
    journal: Journal
    address: Address
    platform: LoopbackPlatform
    shown: str = ""
    is_closed: bool = False

    def _write(self, what: str, **more: Any) -> None:
        self.journal.write(what=what, session=str(self.address.session), **more)

    async def set_status(self, text: str) -> None:
        self._write("status", text=text)

    async def show(self, delta: str) -> None:
        self.shown += delta
        if "show" in self.platform.journaled:
            self._write("show", delta=delta)

    async def finish(self, turn: Turn) -> Delivery:
        await self.platform.before("finish", turn)
        texts = [message.text for message in turn.incoming]
        self._write("answer", turn=turn.id, answer=turn.answer, texts=texts, state=turn.state)
        await self.platform.before("delivered", turn)
        return Delivery((f"m-{turn.id}",))

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        texts = [message.text for message in turn.incoming]
        self._write("failure", turn=turn.id, text=error.user_text, shown=self.shown, texts=texts)

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        if not self.platform.can_be_asked:
            return None
        there = any(line["turn"] == turn.id for line in self.journal.read("answer"))
        return Delivery((f"m-{turn.id}",)) if there else None

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        await self.platform.may_post.wait()
        self._write("post", text=text, file=file[0] if file else "")
        return Delivery(("w",))

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        self._write("buttons", text=text, commands=[button.command for button in buttons])
        return Delivery(("o",))

    async def retract(self) -> None:
        self._write("retracted", shown=self.shown)

    async def aclose(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._write("closed")


@dataclass(slots=True)
class LoopbackConnection:
    platform: LoopbackPlatform
    core: Core

    def reply(self, address: Address) -> LoopbackReply:
        return LoopbackReply(self.platform.journal, address, self.platform)

    async def receive(self) -> None:
        await asyncio.Event().wait()

    def routes(self) -> list[BaseRoute]:
        return []

    def health(self) -> Health:
        return self.platform.health

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        return speaker.id in self.platform.admins

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        return self.platform.files[attachment.reference]

    async def aclose(self) -> None:
        pass


class LoopbackSettings(SettingsBase):
    pass


@dataclass(slots=True)
class LoopbackPlatform:
    """`Adapter` of the loopback platform.

    Attributes:
        can_be_asked: whether `find_delivery` looks into the journal.
        journaled: optional kinds of lines that are written.
        faults: by step (`finish`, `delivered`), a function called before it, which may raise or kill.
        may_post: while it is not set, posts wait.
    """

    journal: Journal
    name: str = "loop"
    can_be_asked: bool = False
    admins: frozenset[str] = frozenset({"UADMIN"})
    files: dict[str, bytes] = field(default_factory=dict)
    journaled: frozenset[str] = frozenset({"show"})
    health: Health = field(default_factory=lambda: Health(True))
    faults: dict[str, Callable[[Turn], None]] = field(default_factory=dict)
    may_post: asyncio.Event = field(default_factory=asyncio.Event)
    settings_class: type[LoopbackSettings] = LoopbackSettings
    setup_hint: str = ""

    def __post_init__(self) -> None:
        self.may_post.set()

    async def before(self, step: str, turn: Turn) -> None:
        if step in self.faults:
            self.faults[step](turn)

    def is_configured(self, settings: LoopbackSettings) -> bool:
        return True

    async def open(self, core: Core, settings: LoopbackSettings) -> Connection:
        return LoopbackConnection(self, core)

    async def check(self, core_settings: Settings, settings: LoopbackSettings) -> list[Check]:
        return []


def kill_this_process(_: Turn) -> None:
    """End this process as `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)
