"""Platform ports: the adapter, its connection, and the reply that shows an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from bot.conversation import Address, Attachment, Overheard, Speaker, Turn
from bot.ports.health import Check, Health

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bot.errors import KeepthreadError
    from bot.ports.core import Core
    from bot.settings import Settings, SettingsBase

SettingsT = TypeVar("SettingsT", bound="SettingsBase")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Receipt of a finished answer: the platform's ids of its messages, in order."""

    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandButton:
    """Button below a notice: its label, and the command it sends; without one it only declines."""

    label: str
    command: str = ""


class Reply(Protocol):
    """One answer in the platform, made from an address alone, in any process.

    Calls come in this order: `set_status`* `show`*, then exactly one of `finish` and `fail`, then
    `aclose`. `post` and `post_buttons` may come at any time before it.
    """

    async def set_status(self, text: str) -> None:
        """Show a status ("thinking") until text comes. Never raises."""
        ...

    async def show(self, delta: str) -> None:
        """Show more of the answer; may be paced. Never raises: `finish` delivers it all."""
        ...

    async def finish(self, turn: Turn) -> Delivery:
        """Deliver `turn.answer`, whole, whatever was shown before. Also for stopped turns.

        Raises:
            PlatformError: it could not be delivered.
        """
        ...

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        """Show `error.user_text` below what was shown of the answer. Raises PlatformError."""
        ...

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """Receipt of an earlier delivery, if the platform can be asked for it; else None."""
        ...

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        """Post a notice or a command's answer, perhaps with a file (name, content). Raises PlatformError."""
        ...

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        """Post `text` with buttons that send their command; without them where the platform has none.

        Raises:
            PlatformError: it could not be posted.
        """
        ...

    async def aclose(self) -> None:
        """Clear status and typing; stop timers. Always called. Never raises."""
        ...


@runtime_checkable
class RetractableReply(Protocol):
    """`Reply` that can take back what it showed of an answer that is not finished."""

    async def retract(self) -> None:
        """Remove all that was shown and posted: its question was deleted. Before `aclose`. Never raises."""
        ...


@runtime_checkable
class ThreadHistory(Protocol):
    """`Connection` that can fetch a thread's messages from before the bot was asked in."""

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        """Earlier messages of the thread, oldest first; `()` where there are none to fetch.

        Asked for every turn: answers at once where the thread is known to have none. The caller waits a
        few seconds at most. Raises PlatformError.
        """
        ...


class Adapter(Protocol[SettingsT]):
    """Adapter of one platform, found through the entry-point group `keepthread.adapters`.

    The core loads the adapter's settings, once a process, and passes them to each call.

    Attributes:
        name: the platform's name: first part of session keys, and of patterns in `BOT_ALLOW`.
        settings_class: type of the adapter's own settings.
        setup_hint: names of the settings that switch the platform on; `""` if none can.
    """

    name: str
    settings_class: type[SettingsT]
    setup_hint: str

    def is_configured(self, settings: SettingsT) -> bool:
        """Whether `keepthread serve` opens the platform."""
        ...

    async def open(self, core: Core, settings: SettingsT) -> Connection:
        """Connect. Raises SettingsError, PlatformRefused."""
        ...

    async def check(self, core_settings: Settings, settings: SettingsT) -> list[Check]:
        """Lines of `keepthread doctor` about the platform."""
        ...


class Connection(Protocol):
    """Connection of one process to a platform."""

    def reply(self, address: Address) -> Reply:
        """A reply to `address`; each answer needs its own."""
        ...

    async def receive(self) -> None:
        """Enqueue messages until cancelled. Called in processes with an ingress role only.

        Returns at once where messages come through `routes` alone.
        """
        ...

    def routes(self) -> list[BaseRoute]:
        """Routes to mount on the shared HTTP server; may be empty.

        A handler looks at headers before it reads a body, and sets `request.state.is_genuine` once the
        request has proved to be the platform's: its connection is then kept for longest when there are too many.
        """
        ...

    def health(self) -> Health: ...

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Whether the platform itself calls `speaker` an admin there. Raises PlatformError."""
        ...

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        """Content of an attachment, read in pieces.

        Raises:
            FileTooLarge: it has more than `max_bytes`, whatever was said of its size.
            PlatformError: it cannot be fetched.
        """
        ...

    async def aclose(self) -> None: ...


AdminCheck = Callable[[Address, Speaker], Awaitable[bool]]
"""`Connection.is_admin` of one platform."""
