"""One answer on its way to Telegram."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from adapters.telegram.outbound.entities import Formatted, closed, render
from adapters.telegram.outbound.keyboards import Button, offer_buttons, rating_buttons
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.preview import TYPING_EVERY_S, Preview, PreviewMode
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.outbound.splitting import CAPTION_UNITS, split
from adapters.telegram.outbound.target import Target
from adapters.telegram.texts import with_slashes
from bot.conversation import Address, Turn
from bot.errors import KeepthreadError, PlatformBusy, PlatformError, PlatformUnreachable
from bot.ports import CommandButton, Delivery
from bot.text import utf16_length

log = structlog.get_logger("keepthread.telegram")

MANY_MESSAGES = 3
"""An answer of more messages than this comes as a file too."""

STOPPED = "_Stopped._"
NO_WORDS = "_(The answer has no words.)_"
AGAIN = CommandButton("🔁 Answer again", "retry")
NO = CommandButton("No")


class TelegramReply:
    """See `bot.ports.Reply`.

    Args:
        way: how the growing answer is shown.
        rated: whether answers get 👍 👎.
        commands: names of commands, to be written with a slash in the bot's own words.
    """

    def __init__(
        self,
        sender: MessageSender,
        sent_messages: SentMessages,
        address: Address,
        *,
        way: PreviewMode,
        pace_s: float,
        rated: bool,
        commands: Collection[str] = (),
        typing_every_s: float = TYPING_EVERY_S,
    ) -> None:
        self._sender = sender
        self._sent_messages = sent_messages
        self._session = address.session
        self._spot = Target.of(address)
        self._topic = address.session.thread
        self._rated = rated
        self._commands = commands
        self._partial_answer = sent_messages.partial_answer(address)
        self._said: list[str] = []
        self._is_finished = False
        self.preview = Preview(
            sender,
            self._spot,
            way,
            self._partial_answer,
            pace_s=pace_s,
            typing_every_s=typing_every_s,
        )

    async def set_status(self, text: str) -> None:
        """Typing, and in private chats Telegram's own “Thinking…”; the words are Telegram's."""
        self.preview.begin()

    async def show(self, delta: str) -> None:
        self.preview.add(delta)

    async def finish(self, turn: Turn) -> Delivery:
        text = turn.answer
        if not text.strip():
            text = STOPPED if turn.state == "stopped" else NO_WORDS
        buttons: list[Button] = []
        if self._rated and turn.state == "complete":
            buttons = rating_buttons(self._topic)
        return await self._answer(text, buttons)

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        words = f"⚠️ {with_slashes(error.user_text, self._commands)}"
        text = f"{closed(turn.answer)}\n\n{words}" if turn.answer.strip() else words
        offers = (AGAIN,) if error.can_retry else ()
        await self._answer(text, offer_buttons(self._topic, offers))

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """None: a bot cannot read what it has sent."""
        return None

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        text = with_slashes(text, self._commands)
        if file is None:
            return await self._deliver(text)
        ids: list[str] = []
        if utf16_length(text) > CAPTION_UNITS:
            ids += (await self._deliver(text)).message_ids
            text = ""
        await self.preview.end()
        name, content = file
        caption = render(text).text.strip()
        ids.append(str(await self._sender.send_file(self._spot, name, content, caption)))
        return Delivery(tuple(ids))

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        if all(button.command for button in buttons):
            buttons = (*buttons, NO)
        text = with_slashes(text, self._commands)
        return await self._deliver(text, offer_buttons(self._topic, buttons))

    async def aclose(self) -> None:
        """Nothing keeps typing; a preview that became no answer is taken back; what is known is noted."""
        await self.preview.end()
        left, self.preview.message_id = self.preview.message_id, None
        if left is not None:
            try:
                await self._sender.delete(self._spot, left)
            except PlatformError as error:
                log.info("a preview stays behind", error=error.detail)
        said, self._said = self._said, []
        await self._sent_messages.note_topic(self._session, said)
        if self._is_finished:
            await self._partial_answer.close()

    async def _answer(self, text: str, buttons: Sequence[Button]) -> Delivery:
        """`_deliver`, instead of whatever an earlier try has said of it."""
        await self.preview.end()
        await self.preview.take_back_earlier()
        delivery = await self._deliver(text, buttons, is_answer=True)
        self._is_finished = True
        return delivery

    async def _deliver(
        self, text: str, buttons: Sequence[Button] = (), *, is_answer: bool = False
    ) -> Delivery:
        """Say `text` whole; the buttons go under the last message. The preview becomes the first one.

        Raises:
            PlatformError: not all of it could be said.
        """
        await self.preview.end()
        pieces = split(render(text)) or [Formatted(NO_WORDS.strip("_"))]
        ids: list[str] = []
        for number, piece in enumerate(pieces):
            under = buttons if number == len(pieces) - 1 else ()
            target = self._spot if number == 0 else self._spot.after_first
            try:
                ids.append(str(await self._say_piece(target, piece, under, is_first=number == 0)))
            except PlatformBusy as error:
                if not ids:
                    raise
                detail = f"{number} of {len(pieces)} messages are there: {error.detail}"
                raise PlatformUnreachable(detail, retry_after_s=error.retry_after_s) from error
            is_more_to_come = number + 1 < len(pieces) or len(pieces) > MANY_MESSAGES
            if is_answer and is_more_to_come:
                await self._partial_answer.add(int(ids[-1]))
        if len(pieces) > MANY_MESSAGES:
            ids += await self._send_whole(text)
        self._said += ids
        return Delivery(tuple(ids))

    async def _say_piece(
        self, target: Target, piece: Formatted, buttons: Sequence[Button], *, is_first: bool
    ) -> int:
        preview_id = self.preview.message_id
        if is_first and preview_id is not None:
            is_there = await self._sender.edit(target, preview_id, piece, buttons)
            self.preview.message_id = None
            if is_there:
                return preview_id
        return await self._sender.send(target, piece, buttons)

    async def _send_whole(self, text: str) -> list[str]:
        """The answer as a file besides. It was said already: that this fails must not say it again."""
        caption = "The whole answer as a file."
        try:
            sent = await self._sender.send_file(
                self._spot.after_first, "answer.md", text.encode(), caption
            )
        except PlatformError as error:
            log.warning("a long answer comes without its file", error=error.detail)
            return []
        return [str(sent)]
