"""Decides what an update means for the bot: taken in, overheard, answered at once, or none of its business."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from telegram import ChatMemberUpdated, Message, Update

from adapters.telegram.inbound.callbacks import Presses
from adapters.telegram.inbound.media_groups import Together
from adapters.telegram.inbound.parse import Heard, Me, parse_message
from adapters.telegram.outbound.messages import Outbound
from adapters.telegram.texts import (
    ADMINS_ONLY,
    FORGET_HOW,
    FORGOTTEN,
    SAY_MORE,
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
class Intake:
    """Takes updates, one after the other.

    Attributes:
        reply: makes the reply for an address.
        told: when a stranger was last told whom to ask.
    """

    core: Core
    me: Me
    outbound: Outbound
    reply: Callable[[Address], Reply]
    background: BackgroundTasks
    presses: Presses
    together: Together = field(default_factory=Together)
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
            await self.presses.press(update.callback_query, update.update_id)
        elif update.message_reaction is not None:
            await self.presses.react(update.message_reaction, update.update_id)
        elif update.my_chat_member is not None:
            _note_membership(update.my_chat_member)
        elif "stopped_message_generation" in update.api_kwargs:
            await self.presses.stop_draft(update.api_kwargs["stopped_message_generation"])

    async def _message(self, message: Message, update_id: int) -> None:
        if message.migrate_to_chat_id is not None:
            await self.outbound.moved(message.chat.id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await self.outbound.moved(message.migrate_from_chat_id, message.chat.id)
        heard = parse_message(message, self.me, update_id)
        if heard is None or heard.addressing == "other":
            return
        if not await self._is_for_me(heard):
            if not self.together.keep_for_later(heard):
                await self._overhear(heard)
            return
        if not await self.core.allowed(heard.incoming.address, heard.incoming.speaker):
            self._refuse(heard)
            return
        if heard.incoming.kind == "command":
            await self._command(heard)
        elif heard.cannot_read and heard.is_empty:
            self._say(heard, cannot_read(heard.cannot_read))
        elif heard.is_empty:
            if heard.addressing == "mine" and message.text:
                self._say(heard, SAY_MORE)
        else:
            for part in (*self.together.admit(heard), heard):
                await self._put(part)

    async def _is_for_me(self, heard: Heard) -> bool:
        if heard.addressing == "nobody":
            return self.together.is_continued(heard)
        one = heard.incoming
        if heard.is_bare_command and one.address.shared:
            # Every bot in the group gets it. Telegram sends it on purpose only if we spoke last.
            is_known = one.text.partition(" ")[0] in self._known_commands()
            return is_known and (not self.me.reads_all or await self.core.takes_part(one.session))
        return True

    async def _put(self, heard: Heard) -> None:
        incoming = heard.incoming
        if heard.cannot_read:
            note = Attachment("other", heard.cannot_read, text="[I cannot read it]")
            incoming = replace(incoming, attachments=(*incoming.attachments, note))
        await self.core.enqueue(incoming, dedupe=heard.dedupe, hold_s=self.together.hold_s(heard))

    async def _overhear(self, heard: Heard) -> None:
        """Remember what was said to others, where the bot takes part."""
        one = heard.incoming
        if one.kind != "message" or heard.is_empty:
            return
        if await self.core.allowed(one.address, one.speaker) and await self.core.takes_part(
            one.session
        ):
            await self.core.enqueue(replace(one, kind="overheard"), dedupe=heard.dedupe)

    async def _edit(self, message: Message, update_id: int) -> None:
        """Memory follows what people change. A command that is edited into being runs nothing."""
        if message.text is None and message.caption is None:
            return
        heard = parse_message(message, self.me, update_id, edited=True)
        if heard is None:
            return
        one = heard.incoming
        if await self.core.allowed(one.address, one.speaker) and (
            heard.addressing == "mine" or await self.core.takes_part(one.session)
        ):
            await self.core.enqueue(one)

    async def _command(self, heard: Heard) -> None:
        name = heard.incoming.text.partition(" ")[0]
        if name == "start":
            self._say(
                heard, greeting(self.core.commands(), is_shared=heard.incoming.address.shared)
            )
        elif name == "forget":
            await self._forget(heard)
        else:
            await self._put(heard)

    async def _forget(self, heard: Heard) -> None:
        """`/forget` as an answer to a message: one's own, or, where several talk, anybody's for admins."""
        one, target = heard.incoming, heard.target
        if target is None:
            self._say(heard, FORGET_HOW)
            return
        is_own = target.from_user is not None and str(target.from_user.id) == one.speaker.id
        needed = "talk" if is_own or not one.address.shared else "undo"
        if not await self.core.allowed(one.address, one.speaker, needed):
            self._say(heard, ADMINS_ONLY)
            return
        wish = replace(one, kind="delete", text="", quoted="", attachments=())
        admission = await self.core.enqueue(
            replace(wish, message_id=str(target.message_id)), dedupe=heard.dedupe
        )
        if admission in ("queued", "merged"):
            self._say(heard, FORGOTTEN)

    def _refuse(self, heard: Heard) -> None:
        """One polite line an hour and place, with the id to ask for."""
        one = heard.incoming
        place = one.session.place
        log.info("not on the list", person=one.speaker.id, pattern=f"telegram:{place}")
        now = time.monotonic()
        if now - self.told.get(place, -TELL_STRANGERS_EVERY_S) < TELL_STRANGERS_EVERY_S:
            return
        if len(self.told) >= 10_000:
            self.told.clear()
        self.told[place] = now
        self._say(heard, stranger_line(place, is_shared=one.address.shared))

    def _say(self, heard: Heard, text: str) -> None:
        self.background.add("say", self._said(heard.incoming.address, text))

    async def _said(self, address: Address, text: str) -> None:
        reply = self.reply(address)
        try:
            await reply.post(text)
        finally:
            await reply.aclose()

    def _known_commands(self) -> set[str]:
        names = {name for spec in self.core.commands() for name in (spec.name, *spec.aliases)}
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
