"""Decides what an update means for the bot: taken in, overheard, answered at once, or none of its business."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from telegram import ChatMemberUpdated, Message, Update

from adapters.telegram.inbound.callbacks import Callbacks
from adapters.telegram.inbound.media_groups import MediaGroupBuffer
from adapters.telegram.inbound.parse import BotIdentity, ParsedMessage, parse_message
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
from bot.conversation import Address, Attachment
from bot.ports import Core, Reply

log = structlog.get_logger("keepthread.telegram")

OWN_COMMANDS = ("start", "forget")
"""Commands that this adapter knows besides the registry's."""

TELL_STRANGERS_EVERY_S = 3600.0

ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "callback_query",
    "message_reaction",
    "my_chat_member",
    "stopped_message_generation",
)
"""What is asked for (core.telegram.org/bots/api#getupdates, `allowed_updates`)."""


@dataclass(slots=True)
class Dispatcher:
    """Takes updates, one after the other.

    Attributes:
        reply: makes the reply for an address.
        told: when a stranger was last told whom to ask.
    """

    core: Core
    me: BotIdentity
    sender: MessageSender
    reply: Callable[[Address], Reply]
    background: BackgroundTasks
    callbacks: Callbacks
    media_groups: MediaGroupBuffer = field(default_factory=MediaGroupBuffer)
    told: dict[str, float] = field(default_factory=dict)

    async def take(self, update: Update) -> None:
        """Deal with `update`. When it returns, Telegram may forget the update.

        Raises:
            StoreError: it could not be taken in; it must come again.
        """
        if update.message is not None:
            await self._message(update.message, update.update_id)
        elif update.edited_message is not None:
            await self._edit(update.edited_message, update.update_id)
        elif update.callback_query is not None:
            await self.callbacks.press(update.callback_query, update.update_id)
        elif update.message_reaction is not None:
            await self.callbacks.react(update.message_reaction, update.update_id)
        elif update.my_chat_member is not None:
            _note_membership(update.my_chat_member)
        elif "stopped_message_generation" in update.api_kwargs:
            await self.callbacks.stop_draft(update.api_kwargs["stopped_message_generation"])

    async def _message(self, message: Message, update_id: int) -> None:
        if message.migrate_to_chat_id is not None:
            await self.sender.moved(message.chat.id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await self.sender.moved(message.migrate_from_chat_id, message.chat.id)
        parsed = parse_message(message, self.me, update_id)
        if parsed is None or parsed.addressing == "other":
            return
        if not await self._is_for_me(parsed):
            if not self.media_groups.keep_for_later(parsed):
                await self._overhear(parsed)
            return
        if not await self.core.allowed(parsed.incoming.address, parsed.incoming.speaker):
            self._refuse(parsed)
            return
        if parsed.incoming.kind == "command":
            await self._command(parsed)
        elif parsed.cannot_read and parsed.is_empty:
            self._say(parsed, cannot_read(parsed.cannot_read))
        elif parsed.is_empty:
            if parsed.addressing == "mine" and message.text:
                self._say(parsed, ASK_FOR_QUESTION)
        else:
            for part in (*self.media_groups.admit(parsed), parsed):
                await self._put(part)

    async def _is_for_me(self, parsed: ParsedMessage) -> bool:
        if parsed.addressing == "nobody":
            return self.media_groups.is_continued(parsed)
        one = parsed.incoming
        if parsed.is_bare_command and one.address.shared:
            # Every bot in the group gets it. Telegram sends it on purpose only if we spoke last.
            is_known = one.text.partition(" ")[0] in self._known_commands()
            return is_known and (not self.me.reads_all or await self.core.takes_part(one.session))
        return True

    async def _put(self, parsed: ParsedMessage) -> None:
        incoming = parsed.incoming
        if parsed.cannot_read:
            note = Attachment("other", parsed.cannot_read, text="[I cannot read it]")
            incoming = replace(incoming, attachments=(*incoming.attachments, note))
        await self.core.enqueue(
            incoming, dedupe=parsed.dedupe, hold_s=self.media_groups.hold_s(parsed)
        )

    async def _overhear(self, parsed: ParsedMessage) -> None:
        """Remember what was said to others, where the bot takes part."""
        one = parsed.incoming
        if one.kind != "message" or parsed.is_empty:
            return
        if await self.core.allowed(one.address, one.speaker) and await self.core.takes_part(
            one.session
        ):
            await self.core.enqueue(replace(one, kind="overheard"), dedupe=parsed.dedupe)

    async def _edit(self, message: Message, update_id: int) -> None:
        """Memory follows what people change. A command that is edited into being runs nothing."""
        if message.text is None and message.caption is None:
            return
        parsed = parse_message(message, self.me, update_id, edited=True)
        if parsed is None:
            return
        one = parsed.incoming
        if await self.core.allowed(one.address, one.speaker) and (
            parsed.addressing == "mine" or await self.core.takes_part(one.session)
        ):
            await self.core.enqueue(one)

    async def _command(self, parsed: ParsedMessage) -> None:
        name = parsed.incoming.text.partition(" ")[0]
        if name == "start":
            self._say(
                parsed, greeting(self.core.commands(), is_shared=parsed.incoming.address.shared)
            )
        elif name == "forget":
            await self._forget(parsed)
        else:
            await self._put(parsed)

    async def _forget(self, parsed: ParsedMessage) -> None:
        """`/forget` as an answer to a message: one's own, or, where several talk, anybody's for admins."""
        one, target = parsed.incoming, parsed.target
        if target is None:
            self._say(parsed, FORGET_HOW)
            return
        is_own = target.from_user is not None and str(target.from_user.id) == one.speaker.id
        needed = "talk" if is_own or not one.address.shared else "undo"
        if not await self.core.allowed(one.address, one.speaker, needed):
            self._say(parsed, ADMINS_ONLY)
            return
        wish = replace(one, kind="delete", text="", quoted="", attachments=())
        admission = await self.core.enqueue(
            replace(wish, message_id=str(target.message_id)), dedupe=parsed.dedupe
        )
        if admission in ("queued", "merged"):
            self._say(parsed, FORGOTTEN)

    def _refuse(self, parsed: ParsedMessage) -> None:
        """One polite line an hour and place, with the id to ask for."""
        one = parsed.incoming
        place = one.session.place
        log.info("not on the list", person=one.speaker.id, pattern=f"telegram:{place}")
        now = time.monotonic()
        if now - self.told.get(place, -TELL_STRANGERS_EVERY_S) < TELL_STRANGERS_EVERY_S:
            return
        if len(self.told) >= 10_000:
            self.told.clear()
        self.told[place] = now
        self._say(parsed, stranger_line(place, is_shared=one.address.shared))

    def _say(self, parsed: ParsedMessage, text: str) -> None:
        self.background.add("say", self._said(parsed.incoming.address, text))

    async def _said(self, address: Address, text: str) -> None:
        reply = self.reply(address)
        try:
            await reply.post(text)
        finally:
            await reply.aclose()

    def _known_commands(self) -> set[str]:
        names = {name for spec in self.core.commands() for name in spec.names}
        return names.union(OWN_COMMANDS)


def _note_membership(change: ChatMemberUpdated) -> None:
    """Joined, left, blocked: for the log, so that the operator sees where the bot is."""
    log.info(
        "my membership changed",
        chat=change.chat.id,
        kind=change.chat.type,
        was=change.old_chat_member.status,
        now=change.new_chat_member.status,
    )
