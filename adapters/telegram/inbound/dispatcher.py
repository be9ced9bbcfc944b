"""Dispatcher of updates: into the inbox, remembered as overheard, answered at once, or ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog
from telegram import ChatMemberUpdated, Message, Update

from adapters.shared.notices import post_notice
from adapters.telegram.inbound.callbacks import Callbacks
from adapters.telegram.inbound.media_groups import MediaGroupBuffer
from adapters.telegram.inbound.parse import ParsedMessage, parse_message
from adapters.telegram.inbound.routing import BotIdentity, foreign_place
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.texts import (
    ADMINS_ONLY,
    ASK_FOR_QUESTION,
    FORGET_HOW,
    FORGOTTEN,
    cannot_read,
    greeting,
    stranger_line,
)
from bot.background import BackgroundTasks
from bot.cache import Throttle
from bot.conversation import Address, Attachment
from bot.ports import Admission, Core, Reply

log = structlog.get_logger("keepthread.telegram")

OWN_COMMANDS = ("start", "forget")
"""Commands of this adapter besides the registry's."""

REFUSE_EVERY_S = 3600.0

MAX_EDIT_AGE = timedelta(hours=24)
"""Age up to which an edited message counts as new if it was not taken in before; ids are known for longer."""

ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "callback_query",
    "message_reaction",
    "my_chat_member",
    "stopped_message_generation",
)
"""Kinds of updates to receive (core.telegram.org/bots/api#getupdates, `allowed_updates`)."""


@dataclass(slots=True)
class Dispatcher:
    """Handles updates, one after the other.

    Attributes:
        reply: makes the reply for an address.
        refusals: limits the lines to strangers, by place.
    """

    core: Core
    me: BotIdentity
    sender: MessageSender
    reply: Callable[[Address], Reply]
    background: BackgroundTasks
    callbacks: Callbacks
    media_groups: MediaGroupBuffer = field(default_factory=MediaGroupBuffer)
    refusals: Throttle = field(default_factory=lambda: Throttle(REFUSE_EVERY_S))

    async def dispatch(self, update: Update) -> None:
        """Handle `update`. When it returns, Telegram may forget the update.

        Raises:
            StoreError: it was not taken in; it must come again.
        """
        message = update.message or update.edited_message
        field_ = foreign_place(message) if message is not None else ""
        if field_:
            log.warning("message of a place unknown to this bot ignored", field=field_)
        elif update.message is not None:
            await self._message(update.message, update.update_id)
        elif update.edited_message is not None:
            await self._edit(update.edited_message, update.update_id)
        elif update.callback_query is not None:
            await self.callbacks.press(update.callback_query, update.update_id)
        elif update.message_reaction is not None:
            await self.callbacks.react(update.message_reaction, update.update_id)
        elif update.my_chat_member is not None:
            _log_membership(update.my_chat_member)
        elif "stopped_message_generation" in update.api_kwargs:
            await self.callbacks.stop_draft(update.api_kwargs["stopped_message_generation"])

    async def _message(self, message: Message, update_id: int) -> None:
        if message.migrate_to_chat_id is not None:
            await self.sender.move_chat(message.chat.id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await self.sender.move_chat(message.migrate_from_chat_id, message.chat.id)
        parsed = parse_message(message, self.me, update_id)
        if parsed is None or parsed.addressee == "other_bot":
            return
        if not await self._is_for_us(parsed):
            if not self.media_groups.hold_back(parsed):
                await self._overhear(parsed)
            return
        incoming = parsed.incoming
        if not await self.core.allowed(incoming.address, incoming.speaker):
            self._refuse(parsed)
        elif incoming.kind == "command":
            await self._command(parsed)
        elif not parsed.is_empty:
            for part in self.media_groups.admit(parsed):
                await self._enqueue(part, dedupe=part.overheard_dedupe)
            await self._enqueue(parsed)
        elif parsed.unsupported:
            self._post(parsed, cannot_read(parsed.unsupported))
        elif parsed.addressee == "this_bot" and parsed.has_words:
            self._post(parsed, ASK_FOR_QUESTION)

    async def _is_for_us(self, parsed: ParsedMessage) -> bool:
        if parsed.addressee == "nobody":
            return self.media_groups.is_continuation(parsed)
        incoming = parsed.incoming
        if parsed.is_bare_command and incoming.address.shared:
            # Every bot in the group gets it. Telegram sends it on purpose only if we spoke last.
            is_known = incoming.text.partition(" ")[0] in self._known_commands()
            return is_known and (
                not self.me.reads_all or await self.core.takes_part(incoming.session)
            )
        return True

    async def _enqueue(self, parsed: ParsedMessage, *, dedupe: tuple[str, ...] = ()) -> Admission:
        """Enqueue it, unless it is known by its id or by one of `dedupe`."""
        incoming = parsed.incoming
        if parsed.unsupported:
            note = Attachment("other", parsed.unsupported, text="[I cannot read it]")
            incoming = replace(incoming, attachments=(*incoming.attachments, note))
        return await self.core.enqueue(
            incoming,
            dedupe=(*parsed.dedupe, *dedupe),
            hold_s=self.media_groups.hold_s(parsed),
        )

    async def _overhear(self, parsed: ParsedMessage) -> None:
        """Remember a message that is not for the bot, where the bot takes part."""
        incoming = parsed.incoming
        if incoming.kind != "message" or parsed.is_empty:
            return
        is_allowed = await self.core.allowed(incoming.address, incoming.speaker)
        if is_allowed and await self.core.takes_part(incoming.session):
            await self.core.enqueue(
                replace(incoming, kind="overheard"), dedupe=parsed.overheard_dedupe
            )

    async def _edit(self, message: Message, update_id: int) -> None:
        """Take in an edit, which memory follows; one that adds the bot's mention, as a new message.

        A message edited into a command runs nothing.
        """
        parsed = parse_message(message, self.me, update_id, edited=True)
        if parsed is None or not parsed.has_words:
            return
        incoming = parsed.incoming
        if not await self.core.allowed(incoming.address, incoming.speaker):
            return
        is_for_us = parsed.addressee == "this_bot"
        is_recent = incoming.sent_at - (message.date or incoming.sent_at) <= MAX_EDIT_AGE
        if is_for_us and is_recent and incoming.address.shared:
            as_new = replace(parsed, incoming=replace(incoming, kind="message"))
            if await self._enqueue(as_new) != "duplicate":
                return  # it was not for the bot before the edit
        if is_for_us or await self.core.takes_part(incoming.session):
            await self.core.enqueue(incoming)

    async def _command(self, parsed: ParsedMessage) -> None:
        name = parsed.incoming.text.partition(" ")[0]
        if name == "start":
            is_shared = parsed.incoming.address.shared
            self._post(parsed, greeting(self.core.commands(), is_shared=is_shared))
        elif name == "forget":
            await self._forget(parsed)
        else:
            await self._enqueue(parsed)

    async def _forget(self, parsed: ParsedMessage) -> None:
        """`/forget` as a reply to a message: a person's own, or, where several talk, anybody's for admins."""
        incoming, replied_to = parsed.incoming, parsed.replied_to
        if replied_to is None:
            self._post(parsed, FORGET_HOW)
            return
        author = replied_to.from_user
        is_own = author is not None and str(author.id) == incoming.speaker.id
        needed = "talk" if is_own or not incoming.address.shared else "undo"
        if not await self.core.allowed(incoming.address, incoming.speaker, needed):
            self._post(parsed, ADMINS_ONLY)
            return
        deletion = replace(
            incoming,
            message_id=str(replied_to.message_id),
            kind="delete",
            text="",
            quoted="",
            attachments=(),
        )
        admission = await self.core.enqueue(deletion, dedupe=parsed.dedupe)
        if admission in ("queued", "merged"):
            self._post(parsed, FORGOTTEN)

    def _refuse(self, parsed: ParsedMessage) -> None:
        """Post one polite line an hour and place, with the id to ask for."""
        incoming = parsed.incoming
        is_shared = incoming.address.shared
        target = incoming.session.place if is_shared else incoming.speaker.id
        log.info("not on the list", person=incoming.speaker.id, pattern=f"telegram:{target}")
        if self.refusals.allow(f"{incoming.session.place}:{target}"):
            self._post(parsed, stranger_line(target, is_shared=is_shared))

    def _post(self, parsed: ParsedMessage, text: str) -> None:
        self.background.add("post notice", post_notice(self.reply(parsed.incoming.address), text))

    def _known_commands(self) -> set[str]:
        names = {name for spec in self.core.commands() for name in spec.names}
        return names.union(OWN_COMMANDS)


def _log_membership(change: ChatMemberUpdated) -> None:
    """Joined, left, blocked: so that the operator sees where the bot is."""
    log.info(
        "my membership changed",
        chat=change.chat.id,
        kind=change.chat.type,
        was=change.old_chat_member.status,
        now=change.new_chat_member.status,
    )
