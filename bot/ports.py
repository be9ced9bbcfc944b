"""The seams: narrow Protocols between the core, the platforms and the outside.

An adapter implements `Adapter` and `Reply` and is given a `Core`. See `adapters/console`, the smallest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from bot.conversation import Address, Attachment, Incoming, SessionKey, Speaker, Turn, Usage

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bot.errors import KeepthreadError
    from bot.settings import Settings, SettingsBase

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. `images` are `data:` or `https:` addresses, for vision models."""

    role: Role
    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given, oldest first.

    Attributes:
        messages: system, summary, turns, the new message.
        tokens: the estimate of their size.
        first_seq: number of the oldest turn in it (what is older was dropped).
        cache_key: the same for all turns of a conversation; steers provider prompt caches.
    """

    messages: tuple[Message, ...]
    tokens: int = 0
    first_seq: int = 0
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer as it arrives; the last one carries the counts."""

    text: str = ""
    usage: Usage | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A turn as history holds it: its number, and its estimated size in tokens."""

    seq: int
    turn: Turn
    tokens: int


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a conversation, as one read gives it.

    Attributes:
        conversation_id: UUID of the talk since the last reset.
        generation: what an append must still find unchanged.
        next_seq: the number the next turn will get.
        summary: of the turns that are no longer in the window, or `""`.
        summarised_to: number of the first turn the summary does not cover.
        first_seq: number of the first turn of the window.
        window: the turns since, oldest first; numbers may have gaps where turns were forgotten.
        calibration: tokens the provider counts over tokens we estimate.
        known: set if the turn asked about is already remembered (a redelivery).
    """

    conversation_id: str
    generation: int
    next_seq: int = 0
    summary: str = ""
    summarised_to: int = 0
    first_seq: int = 0
    window: tuple[Remembered, ...] = ()
    calibration: float = 1.0
    known: Turn | None = None


class History(Protocol):
    """Memory. Every call raises StoreError when Redis fails."""

    async def read(self, session: SessionKey, *, turn_id: str = "", fence: int = 0) -> Past:
        """State and window, in one round trip. Raises Overtaken if a newer worker runs the turn."""
        ...

    async def append(
        self,
        turn: Turn,
        *,
        tokens: int,
        first_seq: int = 0,
        calibration: float = 0,
        fence: int = 0,
        replaces: str = "",
    ) -> None:
        """Write `turn`, in one round trip; writing it again overwrites it.

        Raises:
            Overtaken: a reset or a newer worker came first; nothing was written.
        """
        ...

    async def fold(self, past: Past, session: SessionKey, *, summary: str, to: int) -> bool:
        """Replace everything before turn `to` by `summary`. False: somebody else was faster."""
        ...

    async def between(self, session: SessionKey, first: int, end: int) -> tuple[Remembered, ...]:
        """Turns number `first` up to, not with, `end`."""
        ...

    async def amend(self, session: SessionKey, message_id: str, text: str) -> Turn | None:
        """Change the text of a message. The turn it is in, or None if unknown."""
        ...

    async def forget(self, session: SessionKey, message_id: str) -> Turn | None:
        """Remove a message, and with the last one its turn. The turn it was in, or None."""
        ...

    async def reset(self, session: SessionKey, *, keep: bool = False) -> int:
        """Begin a new generation; `keep` keeps the old turns for export. How many turns it had."""
        ...


class Model(Protocol):
    """A language model. Raises ModelError."""

    def stream(self, prompt: Prompt, trace: TurnTrace | None = None) -> AsyncGenerator[Piece]: ...

    async def aclose(self) -> None: ...


class TurnTrace(Protocol):
    """The trace of one running turn."""

    run_id: str

    def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AbstractAsyncContextManager[StepTrace]:
        """A child run. `started_at` (UTC) if it began before the trace could."""
        ...

    def model_config(self) -> dict[str, Any]:
        """A RunnableConfig that puts a LangChain call under this turn."""
        ...

    def end(self, turn: Turn, error: BaseException | None = None) -> None: ...


class StepTrace(Protocol):
    def end(self, outputs: Any) -> None: ...


class Tracer(Protocol):
    """LangSmith or silence. Never raises, never waits."""

    def turn(self, turn: Turn, *, started_at: datetime) -> AbstractAsyncContextManager[TurnTrace]:
        """The trace of `turn`, which knows its conversation; it began at `started_at` (UTC)."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the finished answer stands: the platform's ids of its messages, in order."""

    message_ids: tuple[str, ...] = ()


class Reply(Protocol):
    """One answer on its way, made by an adapter from an address alone, in any process.

    Calls come in this order: `status`* `show`* then exactly one of `finish` or `fail`, then `aclose`.
    """

    async def status(self, words: str) -> None:
        """Say what is being done ("thinking"), until text comes. Never raises."""
        ...

    async def show(self, piece: str) -> None:
        """Show more of the answer. May pace itself. Never raises: showing is a courtesy."""
        ...

    async def finish(self, turn: Turn) -> Delivery:
        """Hand over `turn.answer`, whole, whatever was shown before. Also for stopped turns.

        Raises:
            PlatformError: it could not be delivered.
        """
        ...

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        """Say what went wrong (`error.user_text`), keeping what was shown. Raises PlatformError."""
        ...

    async def already_there(self, turn: Turn) -> Delivery | None:
        """The delivery, if the platform can tell that it already happened; else None."""
        ...

    async def say(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        """A word of the bot's own (a command's answer, a notice), perhaps with a file (name, content)."""
        ...

    async def aclose(self) -> None:
        """Clear status and typing; stop timers. Always called. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A button under the bot's own words: what it says, and the command it stands for ("" just declines)."""

    label: str
    command: str = ""


@runtime_checkable
class OffersButtons(Protocol):
    """A `Reply` that can show buttons. Where a reply is none, say the words alone."""

    async def offer(self, text: str, offers: Sequence[Offer]) -> Delivery:
        """Say `text`, with buttons that put their command in when pressed. Raises PlatformError."""
        ...


Admission = Literal["queued", "merged", "duplicate", "full", "refused"]


class Core(Protocol):
    """What the core offers an adapter. Every call is safe to repeat."""

    settings: Settings

    async def put(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        """Take `incoming` in, durably. Acknowledge the platform only after this returned.

        `dedupe` holds further ids of the same logical message (`channel:ts`). With `hold_s`, more
        of the same is expected (the next picture of an album, the rest of a long paste): the
        conversation's next turn begins no sooner than so many seconds from now. A later `put`
        replaces the wait by its own; what came together becomes one turn.

        Raises:
            StoreError: not taken in; do not acknowledge, so that the platform sends it again.
        """
        ...

    async def stop(self, session: SessionKey, speaker: Speaker) -> bool:
        """Cancel the running turn, wherever it runs. False: nothing ran."""
        ...

    async def takes_part(self, session: SessionKey) -> bool:
        """Whether the bot has spoken in this conversation, and was not sent away."""
        ...

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        """Ask the one authorizer. `action`: `talk` or a command's name."""
        ...

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        """The platform gave a place a new id: what is remembered and waiting under `old` is `new`'s now.

        What `new` already has comes after it. Raises StoreError.
        """
        ...

    def commands(self) -> tuple[CommandSpec, ...]:
        """What adapters put into menus."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """One adapter's heartbeat: a completed poll, a pong; never the age of the last event."""

    ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A line of `keepthread doctor`."""

    name: str
    state: Literal["ok", "warning", "failed", "off"]
    detail: str = ""
    cure: str = ""


class Adapter(Protocol):
    """A platform. Found through the entry-point group `keepthread.adapters`."""

    name: str
    settings_class: type[SettingsBase]

    def configured(self, settings: Settings) -> bool: ...

    async def open(self, core: Core) -> Connection: ...

    async def check(self, settings: Settings) -> list[Check]: ...


class Connection(Protocol):
    """An adapter at work in one process."""

    def reply(self, address: Address) -> Reply: ...

    async def receive(self) -> None:
        """Take messages in until cancelled. Only processes with an ingress role call it."""
        ...

    def routes(self) -> list[BaseRoute]:
        """What to mount on the shared HTTP server; may be empty."""
        ...

    def health(self) -> Health: ...

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Whether the platform itself calls this person an admin there. May raise PlatformError."""
        ...

    async def load(self, address: Address, attachment: Attachment) -> bytes:
        """The content of an attachment. Raises PlatformError."""
        ...

    async def aclose(self) -> None: ...


AdminCheck = Callable[[Address, Speaker], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command as adapters render it: in menus, manifests and help."""

    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    admin_in_shared: bool = False
    usage: str = field(default="")
