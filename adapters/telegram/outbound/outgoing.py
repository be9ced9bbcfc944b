"""Outgoing message, and what is left of it once Telegram refuses one of its parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

from telegram import MessageEntity

from adapters.telegram.api.errors import PartRefused
from adapters.telegram.outbound.formatted import Entity, Formatted
from adapters.telegram.outbound.keyboards import Button
from adapters.telegram.outbound.rendering import links
from adapters.telegram.outbound.splitting import MESSAGE_UNITS, split
from adapters.telegram.outbound.target import Target
from bot.cache import TTLCache
from bot.text import utf16_length, utf16_slice

REFUSED_URLS_TTL_S = 3600.0
REFUSED_THREADS_TTL_S = 60.0
"""A closed topic may be opened again."""
_MAX_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Message to be sent: where to, its text, its buttons."""

    target: Target
    formatted: Formatted
    buttons: tuple[Button, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple({entity.url: None for entity in self.formatted.entities if entity.url})

    @property
    def entities(self) -> list[MessageEntity]:
        """The SDK's entities."""
        return [
            MessageEntity(
                entity.type, entity.offset, entity.length, url=entity.url, language=entity.language
            )
            for entity in self.formatted.entities
        ]

    @property
    def pieces(self) -> list[Self]:
        """The messages that it takes: more than one, if addresses that were written out made it too long."""
        if utf16_length(self.formatted.text) <= MESSAGE_UNITS:
            return [self]
        texts = split(self.formatted)
        last = len(texts) - 1
        return [
            replace(
                self,
                target=self.target.after_first if number else self.target,
                formatted=text,
                buttons=self.buttons if number == last else (),
            )
            for number, text in enumerate(texts)
        ]

    def without(self, error: PartRefused) -> Self | None:
        """The message without the part that `error` is about; None if it has none, or nothing is left to drop."""
        reduced: Self = self
        match error.part:
            case "thread":
                reduced = replace(self, target=self.target.without_thread)
            case "reply" | "quote":
                reduced = replace(self, target=self.target.without_reply)
            case "keyboard":
                reduced = replace(self, buttons=())
            case "entity":
                reduced = self._without_entity(error.detail)
        return self._bare() if reduced == self else reduced

    def with_urls_written_out(self, urls: Collection[str]) -> Self:
        """The message with so many of its links as words. It may be longer than one message then."""
        return replace(self, formatted=with_urls_written_out(self.formatted, urls))

    def _without_entity(self, detail: str) -> Self:
        """Without the links whose address Telegram names; else without all links; else without entities."""
        named = [url for url in self.urls if url in detail]
        if self.urls:
            return self.with_urls_written_out(named or self.urls)
        return replace(self, formatted=Formatted(self.formatted.text))

    def _bare(self) -> Self | None:
        """The words alone; if it already is that, outside of the thread; None if there it is."""
        target = self.target.without_reply
        if self.formatted.entities or self.buttons or self.target.reply_to is not None:
            words = self.with_urls_written_out(self.urls).formatted.text
            return replace(self, target=target, formatted=Formatted(words), buttons=())
        return replace(self, target=target.without_thread) if target.thread_id is not None else None


class Refusals:
    """Memory of what Telegram has refused, so that it is not sent again."""

    def __init__(self) -> None:
        self._urls: TTLCache[str, None] = TTLCache(_MAX_KEPT, REFUSED_URLS_TTL_S)
        self._threads: TTLCache[tuple[int, int], None] = TTLCache(_MAX_KEPT, REFUSED_THREADS_TTL_S)

    def add(self, message: OutgoingMessage, error: PartRefused) -> None:
        if error.part == "entity":
            for url in message.urls:
                if url in error.detail:
                    self._urls[url] = None
        if error.part == "thread" and message.target.thread_id is not None:
            self._threads[message.target.chat_id, message.target.thread_id] = None

    def applied(self, message: OutgoingMessage) -> OutgoingMessage:
        """`message` without what is known to be refused."""
        refused = [url for url in message.urls if url in self._urls]
        if refused:
            message = message.with_urls_written_out(refused)
        target = message.target
        if target.thread_id is not None and (target.chat_id, target.thread_id) in self._threads:
            message = replace(message, target=target.without_thread)
        return message


def with_urls_written_out(formatted: Formatted, urls: Collection[str]) -> Formatted:
    """`formatted` with the addresses of some links behind their words instead of under them."""
    inserts = _inserts(formatted, urls)
    if not inserts:
        return formatted
    parts: list[str] = []
    at = 0
    for offset, text in inserts:
        parts += (utf16_slice(formatted.text, at, offset), text)
        at = offset
    parts.append(utf16_slice(formatted.text, at, utf16_length(formatted.text)))
    kept = (entity for entity in formatted.entities if entity.url not in urls)
    return Formatted("".join(parts), tuple(_moved(entity, inserts) for entity in kept))


def _inserts(formatted: Formatted, urls: Collection[str]) -> Sequence[tuple[int, str]]:
    """What is written at which offset, in order."""
    found = []
    for entity in formatted.entities:
        if entity.url is None or entity.url not in urls:
            continue
        label = utf16_slice(formatted.text, entity.offset, entity.end)
        if not links.shows(label, entity.url):
            found.append((entity.end, f" ({links.written_out(entity.url)})"))
        else:
            found.append((entity.end, ""))
    return sorted(found)


def _moved(entity: Entity, inserts: Sequence[tuple[int, str]]) -> Entity:
    """`entity` where its words are after the inserts; one that goes on behind an insert holds it."""
    before = sum(utf16_length(text) for offset, text in inserts if offset <= entity.offset)
    within = sum(
        utf16_length(text) for offset, text in inserts if entity.offset < offset < entity.end
    )
    return replace(entity, offset=entity.offset + before, length=entity.length + within)
