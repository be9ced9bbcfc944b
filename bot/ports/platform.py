"""What an adapter implements: a platform, its connection, and the way an answer takes."""

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
    """Where the finished answer stands: the platform's ids of its messages, in order."""

    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandButton:
    """A button under the bot's own words: what it says, and the command it stands for ("" just declines)."""

    label: str
    command: str = ""


class Reply(Protocol):
    """One answer on its way, made by an adapter from an address alone, in any process.

    Calls come in this order: `status`* `show`* then exactly one of `finish` or `fail`, then `aclose`.
    """

    async def set_status(self, text: str) -> None:
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

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """The delivery, if the platform can tell that it already happened; else None."""
        ...

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        """A word of the bot's own (a command's answer, a notice), perhaps with a file (name, content)."""
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

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        """The content of an attachment. Raises PlatformError."""
        ...

    async def aclose(self) -> None: ...


AdminCheck = Callable[[Address, Speaker], Awaitable[bool]]
