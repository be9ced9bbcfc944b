"""Preparation of a turn: its attachments read, and its thread's history fetched, before it is answered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from bot.attachments import MAX_DOCUMENT_BYTES, describe, identified, read_document, too_large
from bot.conversation import Attachment, Incoming, Overheard, Speaker, Turn
from bot.errors import FileTooLarge, KeepthreadError, ModelError, PlatformError
from bot.memory.edits import message_ids
from bot.memory.history import RedisHistory
from bot.model.transcription import Transcriber
from bot.ports import Connection, HistorySnapshot, ThreadHistory

log = structlog.get_logger("keepthread.turns")

MAX_CONCURRENT_READS = 2
"""Documents read at once; each can keep a core busy for 20 s, and threads that wait for one are missed elsewhere."""
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGES = 10
MAX_SEEDS_READ = 4
"""Earlier messages of a thread whose attachments are read, beside those of its root."""
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Types that vision models take (platform.openai.com/docs/guides/images-vision)."""
_HEIC_TYPES = ("image/heic", "image/heif")
_NOT_SEEN_HEIC = (
    "[not seen: it is a HEIC picture; PNG, JPEG, GIF and WebP I can see. "
    "Sent as a photo, not as a file, most apps convert it]"
)
NO_THREAD_HISTORY = (Overheard(Speaker("", "note"), "earlier messages could not be read"),)

ReadDocument = Callable[[bytes, Attachment, int], Awaitable[Attachment]]


@dataclass(slots=True)
class TurnPreparation:
    """Reads what a turn needs through the connection that it came by.

    Attributes:
        max_chars: most characters of one document.
        transcriber: turns speech into text, where the endpoint can.
        sees_images: whether the model takes pictures.
        thread_history_timeout_s: longest wait for a thread's history: a rate-limited platform must not
            delay the answer.
        download_timeout_s: longest wait for an attachment.
        read_document: turns a document into text.
    """

    history: RedisHistory
    transcriber: Transcriber
    max_chars: int
    sees_images: bool = True
    thread_history_timeout_s: float = 4.0
    download_timeout_s: float = 60.0
    read_document: ReadDocument = read_document
    _reading: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT_READS)
    )

    async def prepare(self, turn: Turn, connection: Connection) -> tuple[Turn, tuple[str, ...]]:
        """The turn with its attachments as text, and its pictures as `data:` addresses. Raises StoreError."""
        first, *others = turn.incoming
        images: list[str] = []
        first = replace(first, seed=await self._thread_history(first, connection))
        first = await self._with_seed_attachments(first, connection, images)
        incoming = [
            await self._with_attachments(message, connection, images)
            for message in (first, *others)
        ]
        return replace(turn, incoming=tuple(incoming)), tuple(images)

    async def read_documents(self, turn: Turn, connection: Connection) -> Turn:
        """The turn with its documents as text; pictures and speech stay unread. For overheard messages."""
        incoming = [
            replace(
                message,
                attachments=tuple(
                    [
                        await self._read(message, item, connection, [], is_addressed=False)
                        if item.kind == "document"
                        else item
                        for item in message.attachments
                    ]
                ),
            )
            for message in turn.incoming
        ]
        return replace(turn, incoming=tuple(incoming))

    async def _thread_history(
        self, incoming: Incoming, connection: Connection
    ) -> tuple[Overheard, ...]:
        """Messages of the thread from before the bot was asked in; only while nothing is remembered."""
        if incoming.seed or not isinstance(connection, ThreadHistory):
            return incoming.seed
        try:
            async with asyncio.timeout(self.thread_history_timeout_s):
                fetched = await connection.fetch_thread_history(incoming.address)
        except (TimeoutError, PlatformError) as error:
            log.warning("thread history not fetched", error=repr(error))
            fetched = NO_THREAD_HISTORY
        # Memory is asked last: most messages have no such history, and need no read for it.
        if not fetched:
            return ()
        return _not_remembered(fetched, await self.history.read(incoming.session))

    async def _with_seed_attachments(
        self, incoming: Incoming, connection: Connection, images: list[str]
    ) -> Incoming:
        """The message with the attachments of its seed read: those of the root, then the newest."""
        unread = [item for item in incoming.seed if any(not a.text for a in item.attachments)]
        if not unread:
            return incoming
        chosen = dict.fromkeys(map(id, (unread[0], *unread[: -MAX_SEEDS_READ - 1 : -1])))
        seed = [
            replace(
                item,
                attachments=tuple(
                    [
                        await self._read(incoming, attachment, connection, images)
                        for attachment in item.attachments
                    ]
                ),
            )
            if id(item) in chosen
            else item
            for item in incoming.seed
        ]
        return replace(incoming, seed=tuple(seed))

    async def _with_attachments(
        self, incoming: Incoming, connection: Connection, images: list[str]
    ) -> Incoming:
        """The message with each attachment read; pictures are added to `images`."""
        attachments = [
            await self._read(incoming, attachment, connection, images)
            for attachment in incoming.attachments
        ]
        return replace(incoming, attachments=tuple(attachments))

    async def _read(
        self,
        incoming: Incoming,
        attachment: Attachment,
        connection: Connection,
        images: list[str],
        *,
        is_addressed: bool = True,
    ) -> Attachment:
        """The attachment as text, or among `images`; pictures and speech only if it `is_addressed`."""
        if attachment.text or attachment.kind == "other":
            return attachment
        if note := self._refusal(attachment, images):
            return replace(attachment, text=note)
        try:
            async with asyncio.timeout(self.download_timeout_s):
                limit = MAX_IMAGE_BYTES if attachment.kind == "image" else MAX_DOCUMENT_BYTES
                data = await connection.download(incoming.address, attachment, limit)
                attachment = identified(attachment, data)
                if not is_addressed and attachment.kind != "document":
                    return attachment
                if note := self._refusal(attachment, images) or _blindness(attachment):
                    return replace(attachment, text=note)
                if attachment.kind == "image":
                    return _add_image(attachment, data, images)
                if attachment.kind == "audio":
                    text = await self.transcriber.transcribe(data, attachment)
                    return replace(attachment, text=text or "[nothing is said in it]")
            async with self._reading:
                return await self.read_document(data, attachment, self.max_chars)
        except ModelError as error:
            log.warning("speech not transcribed", error=repr(error))
            return replace(attachment, text="[not heard: it could not be turned into words]")
        except FileTooLarge as error:
            log.info("attachment not read", error=repr(error))
            return replace(attachment, text=f"[not read: {describe(attachment)} is {error.detail}]")
        except (TimeoutError, KeepthreadError) as error:
            log.warning("attachment not read", error=repr(error))
            return replace(
                attachment, text=f"[not read: {describe(attachment)} could not be fetched]"
            )

    def _refusal(self, attachment: Attachment, images: list[str]) -> str:
        """Note of why an attachment need not even be fetched, or `""`."""
        if attachment.kind == "image":
            if not self.sees_images:
                return "[not seen: I cannot see pictures]"
            if len(images) >= MAX_IMAGES:
                return "[not seen: there are too many]"
            if attachment.media_type in _HEIC_TYPES:
                return _NOT_SEEN_HEIC
            return too_large(attachment, MAX_IMAGE_BYTES)
        if attachment.kind == "audio" and not self.transcriber.is_configured:
            return "[not heard: I cannot listen to speech here]"
        return too_large(attachment)


def _blindness(attachment: Attachment) -> str:
    """Note that a picture is of a type that models do not take, or `""`."""
    is_unseen = attachment.kind == "image" and attachment.media_type not in IMAGE_TYPES
    return "[not seen: PNG, JPEG, GIF and WebP I can see]" if is_unseen else ""


def _not_remembered(fetched: tuple[Overheard, ...], past: HistorySnapshot) -> tuple[Overheard, ...]:
    """The messages that memory lacks: all while it is empty, else those after the last one it holds."""
    if not past.next_seq:
        return fetched
    known = {
        message_id
        for stored in past.window
        for message_id in (*message_ids(stored.turn), *stored.turn.answer_ids)
    }
    last = max((at for at, item in enumerate(fetched) if item.message_id in known), default=None)
    return () if last is None else fetched[last + 1 :]


def _add_image(attachment: Attachment, data: bytes, images: list[str]) -> Attachment:
    if len(data) > MAX_IMAGE_BYTES:  # the platform had not told its size
        sized = replace(attachment, size_bytes=len(data))
        return replace(attachment, text=too_large(sized, MAX_IMAGE_BYTES))
    images.append(f"data:{attachment.media_type};base64,{base64.b64encode(data).decode()}")
    return attachment
