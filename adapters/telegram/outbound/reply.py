"""Reply to one message in Telegram."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import structlog

from adapters.shared.answer_text import NO_WORDS, can_answer_again, failed_text, finished_text
from adapters.telegram.outbound.formatted import Formatted
from adapters.telegram.outbound.keyboards import Button, offer_buttons, rating_buttons
from adapters.telegram.outbound.layout import lay_out
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.preview import Preview, PreviewMode
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.outbound.splitting import CAPTION_UNITS
from adapters.telegram.outbound.target import Target
from adapters.telegram.outbound.typing_indicator import TYPING_EVERY_S
from adapters.telegram.texts import with_slashes
from bot.conversation import Address, Turn
from bot.errors import KeepthreadError, PlatformBusy, PlatformError, PlatformUnreachable
from bot.ports import CommandButton, Delivery
from bot.text import utf16_length

log = structlog.get_logger("keepthread.telegram")

MAX_MESSAGES_WITHOUT_FILE = 3
"""An answer of more messages than this comes as a file too."""

AGAIN = CommandButton("🔁 Answer again", "retry")
NO = CommandButton("No")


class TelegramReply:
    """See `bot.ports.Reply`.

    Args:
        mode: how the growing answer is shown.
        rated: whether answers get 👍 👎.
        commands: names of commands, to be written with a slash in the bot's own texts.
        on_drafts_unsupported: called when this Bot API server knows no drafts.
    """

    def __init__(
        self,
        sender: MessageSender,
        sent_messages: SentMessages,
        address: Address,
        *,
        mode: PreviewMode,
        pace_s: float,
        rated: bool,
        commands: Collection[str] = (),
        typing_every_s: float = TYPING_EVERY_S,
        on_drafts_unsupported: Callable[[], None] = lambda: None,
    ) -> None:
        self._sender = sender
        self._sent_messages = sent_messages
        self._session = address.session
        self._target = Target.of(address)
        self._topic = address.session.thread
        self._rated = rated
        self._commands = commands
        self._partial_answer = sent_messages.partial_answer(address)
        self._sent_ids: list[str] = []
        self._is_finished = False
        self.preview = Preview(
            sender,
            self._target,
            mode,
            self._partial_answer,
            pace_s=pace_s,
            typing_every_s=typing_every_s,
            on_drafts_unsupported=on_drafts_unsupported,
        )

    async def set_status(self, text: str) -> None:
        """Typing, and in private chats Telegram's own “Thinking…”: it shows no text of ours."""
        self.preview.start()

    async def show(self, delta: str) -> None:
        self.preview.add(delta)

    async def finish(self, turn: Turn) -> Delivery:
        buttons: list[Button] = []
        if self._rated and turn.state == "complete":
            buttons = rating_buttons(self._topic)
        return await self._deliver_answer(finished_text(turn), buttons)

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        text = failed_text(turn, with_slashes(error.user_text, self._commands))
        offers = (AGAIN,) if can_answer_again(error) else ()
        await self._deliver_answer(text, offer_buttons(self._topic, offers))

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
        caption = "\n".join([piece.text for piece in await lay_out(text)])
        ids.append(str(await self._sender.send_file(self._target, name, content, caption)))
        return Delivery(tuple(ids))

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        if all(button.command for button in buttons):
            buttons = (*buttons, NO)
        text = with_slashes(text, self._commands)
        return await self._deliver(text, offer_buttons(self._topic, buttons))

    async def aclose(self) -> None:
        """End the preview, delete it if it became no answer, and record the sent messages."""
        await self.preview.end()
        unused_id = self.preview.release_message()
        if unused_id is not None:
            try:
                await self._sender.delete(self._target, unused_id)
            except PlatformError as error:
                log.info("preview not deleted", error=error.detail)
        sent_ids, self._sent_ids = self._sent_ids, []
        await self._sent_messages.add_topic(self._session, sent_ids)
        if self._is_finished:
            await self._partial_answer.forget()

    async def _deliver_answer(self, text: str, buttons: Sequence[Button]) -> Delivery:
        """`_deliver` in place of the messages of an earlier try."""
        await self.preview.end()
        await self.preview.delete_leftovers()
        delivery = await self._deliver(text, buttons, is_answer=True)
        self._is_finished = True
        return delivery

    async def _deliver(
        self, text: str, buttons: Sequence[Button] = (), *, is_answer: bool = False
    ) -> Delivery:
        """Send all of `text`; the buttons go under the last message. The preview becomes the first one.

        Raises:
            PlatformError: not all of it could be sent.
        """
        await self.preview.end()
        pieces = await lay_out(text) or [Formatted(NO_WORDS.strip("_"))]
        ids: list[str] = []
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1
            target = self._target if number == 0 else self._target.after_first
            try:
                ids += await self._send_piece(target, piece, buttons if is_last else ())
            except PlatformBusy as error:
                if not ids:
                    raise
                detail = f"{number} of {len(pieces)} messages are there: {error.detail}"
                raise PlatformUnreachable(detail, retry_after_s=error.retry_after_s) from error
            if is_answer and (not is_last or len(pieces) > MAX_MESSAGES_WITHOUT_FILE):
                await self._partial_answer.add(int(ids[-1]))
        if len(pieces) > MAX_MESSAGES_WITHOUT_FILE:
            ids += await self._send_as_file(text)
        self._sent_ids += ids
        return Delivery(tuple(ids))

    async def _send_piece(
        self, target: Target, piece: Formatted, buttons: Sequence[Button]
    ) -> list[str]:
        """Edit the preview's message if it is still there, else send one; its id."""
        ids: list[int] = []
        preview_id = self.preview.message_id
        if preview_id is not None:
            ids = await self._sender.edit(target, preview_id, piece, buttons)
            self.preview.release_message()
        ids = ids or await self._sender.send(target, piece, buttons)
        return [str(id_) for id_ in ids]

    async def _send_as_file(self, text: str) -> list[str]:
        """Send the answer as a file too. Raises nothing: the messages are there, and must not be sent again."""
        caption = "The whole answer as a file."
        try:
            message_id = await self._sender.send_file(
                self._target.after_first, "answer.md", text.encode(), caption
            )
        except PlatformError as error:
            log.warning("answer file not sent", error=error.detail)
            return []
        return [str(message_id)]
