"""What a turn needs before it can be answered: its attachments read, and what was said before it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from bot.attachments import describe, read_document, too_large
from bot.conversation import Attachment, Incoming, Overheard, Speaker, Turn
from bot.errors import KeepthreadError, ModelError, PlatformError
from bot.memory.history import RedisHistory
from bot.model.transcription import Transcriber
from bot.ports import Connection, ThreadHistory

log = structlog.get_logger("keepthread.preparing")

READ_AT_ONCE = 2
"""Documents; each can keep a core busy for 20 s, and threads that wait for one are missed elsewhere."""
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGES = 10
ReadDocument = Callable[[bytes, Attachment, int], Awaitable[Attachment]]
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What vision models take (platform.openai.com/docs/guides/images-vision)."""


@dataclass(slots=True)
class TurnPreparation:
    """Reads attachments through the platform that has them.

    Attributes:
        max_chars: most characters of one document.
        transcriber: turns speech into words, where the endpoint can.
        sees_images: whether the model takes pictures.
        seeding_s: most seconds for what was said before: a rate-limited platform must keep nobody waiting.
        loading_s: most seconds for an attachment.
        read_document: turns a document into words.
    """

    history: RedisHistory
    transcriber: Transcriber
    max_chars: int
    sees_images: bool = True
    seeding_s: float = 4.0
    loading_s: float = 60.0
    read_document: ReadDocument = read_document
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_AT_ONCE))

    async def prepare(self, turn: Turn, connection: Connection) -> tuple[Turn, tuple[str, ...]]:
        """The turn with everything in words, and its pictures as `data:` addresses. Raises StoreError."""
        if not any(one.attachments or one.address.details.get("seed") for one in turn.incoming):
            return turn, ()
        images: list[str] = []
        incoming: list[Incoming] = []
        for one in turn.incoming:
            seed = await self._seed(one, connection) if not incoming else one.seed
            attachments = [
                await self._read(one, item, connection, images) for item in one.attachments
            ]
            incoming.append(replace(one, seed=seed, attachments=tuple(attachments)))
        return replace(turn, incoming=tuple(incoming)), tuple(images)

    async def _seed(self, one: Incoming, connection: Connection) -> tuple[Overheard, ...]:
        """Earlier messages of the place, once: while nothing is remembered of it."""
        if not one.address.details.get("seed") or not isinstance(connection, ThreadHistory):
            return one.seed
        past = await self.history.read(one.session)
        if past.next_seq:
            return one.seed
        try:
            async with asyncio.timeout(self.seeding_s):
                return await connection.fetch_thread_history(one.address)
        except (TimeoutError, PlatformError) as error:
            log.warning("earlier messages could not be read", error=repr(error))
            return (Overheard(Speaker("", "note"), "earlier messages could not be read"),)

    async def _read(
        self, one: Incoming, item: Attachment, connection: Connection, images: list[str]
    ) -> Attachment:
        if item.text or item.kind == "other":
            return item
        if note := self._refusal(item, images):
            return replace(item, text=note)
        try:
            async with asyncio.timeout(self.loading_s):
                data = await connection.download(one.address, item)
                if item.kind == "image":
                    return _see(item, data, images)
                if item.kind == "audio":
                    words = await self.transcriber.transcribe(data, item)
                    return replace(item, text=words or "[nothing is said in it]")
            async with self._reading:
                return await self.read_document(data, item, self.max_chars)
        except ModelError as error:
            log.warning("speech could not be turned into words", error=repr(error))
            return replace(item, text="[not heard: it could not be turned into words]")
        except (TimeoutError, KeepthreadError) as error:
            log.warning("an attachment could not be read", error=repr(error))
            return replace(item, text=f"[not read: {describe(item)} could not be fetched]")

    def _refusal(self, item: Attachment, images: list[str]) -> str:
        """Why it need not even be fetched, or `""`."""
        if item.kind == "image":
            if not self.sees_images:
                return "[not seen: I cannot see pictures]"
            if len(images) >= MAX_IMAGES:
                return "[not seen: there are too many]"
            if item.media_type not in _IMAGE_TYPES:
                return "[not seen: PNG, JPEG, GIF and WebP I can see]"
            return too_large(item, MAX_IMAGE_BYTES)
        if item.kind == "audio" and not self.transcriber.is_configured:
            return "[not heard: I cannot listen to speech here]"
        return too_large(item)


def _see(item: Attachment, data: bytes, images: list[str]) -> Attachment:
    if len(data) > MAX_IMAGE_BYTES:  # the platform had said nothing of its size
        return replace(item, text=too_large(replace(item, size_bytes=len(data)), MAX_IMAGE_BYTES))
    images.append(f"data:{item.media_type};base64,{base64.b64encode(data).decode()}")
    return item
