"""Telegram at work in one process."""

from __future__ import annotations

import asyncio

import structlog
from starlette.routing import BaseRoute
from telegram import ChatMember
from telegram.error import EndPointNotFound, InvalidToken, TelegramError

from adapters.telegram.api.client import make_client
from adapters.telegram.api.errors import TOKEN_CURE, in_our_words, telegram_errors, without_token
from adapters.telegram.api.rate_limiter import Budget
from adapters.telegram.command_menu import set_menus
from adapters.telegram.inbound.callbacks import Presses
from adapters.telegram.inbound.dispatcher import Intake
from adapters.telegram.inbound.parse import Me
from adapters.telegram.outbound.messages import Outbound
from adapters.telegram.outbound.preview import Way
from adapters.telegram.outbound.reply import TelegramReply
from adapters.telegram.outbound.sent_messages import Marks
from adapters.telegram.outbound.target import Spot
from adapters.telegram.settings import TelegramSettings
from adapters.telegram.transport.heartbeat import Pulse
from adapters.telegram.transport.polling import Polling
from adapters.telegram.transport.updates import Take
from adapters.telegram.transport.webhook import Webhook
from bot.attachments import MAX_DOCUMENT_BYTES, too_large
from bot.background import BackgroundTasks
from bot.conversation import Address, Attachment, Speaker
from bot.errors import PlatformError, PlatformRefused, PlatformUnreachable
from bot.ports import Core, Health
from bot.text import size

log = structlog.get_logger("keepthread.telegram")

KNOW_ONESELF_AGAIN_S = 2.0


class TelegramConnection:
    """See `bot.ports.Connection`.

    Attributes:
        ask_s: messages wait no longer for an answer about their author's rights.
        menu_again_s: pause after the first failure to set the menu of commands; it doubles with each.
    """

    ask_s = 10.0
    menu_again_s = 5.0

    def __init__(self, core: Core, settings: TelegramSettings) -> None:
        self._core = core
        self._settings = settings
        self._budget = Budget(settings.telegram_chat_interval_s, settings.telegram_group_per_minute)
        self.client, self._request = make_client(settings, self._budget)
        self.outbound = Outbound(self.client, self._budget, core.migrate)
        self._marks = Marks(core.key_values, str(settings.bot_id))
        self._commands = frozenset(
            name for one in core.commands() for name in (one.name, *one.aliases)
        )
        self._background = BackgroundTasks()
        self._pulse = Pulse()
        self._drafts = settings.telegram_streaming == "auto"
        self._intake: Intake | None = None
        self._webhook: Webhook | None = None
        if settings.webhook_url:
            self._webhook = Webhook(
                self.client,
                self._take,
                self._pulse,
                url=settings.webhook_url,
                secret=settings.webhook_secret,
            )

    async def begin(self) -> None:
        """Learn who we are. A dead line is no reason not to start; a refused token is.

        Raises:
            PlatformRefused: the token is not, or no longer, valid.
        """
        try:
            await self._know_oneself()
        except (InvalidToken, EndPointNotFound) as error:
            await self.aclose()
            detail = without_token(str(error))
            raise PlatformRefused(
                f"Telegram refuses TELEGRAM_BOT_TOKEN: {detail}", cure=TOKEN_CURE
            ) from None
        except TelegramError as error:
            log.warning("Telegram cannot be reached yet", error=in_our_words(error).detail)

    def reply(self, address: Address) -> TelegramReply:
        reply = TelegramReply(
            self.outbound,
            self._marks,
            address,
            way=self._way(address),
            pace_s=self._settings.telegram_chat_interval_s,
            rated=self._settings.telegram_feedback,
            commands=self._commands,
        )
        reply.preview.drafts_fail = self._do_without_drafts
        return reply

    async def receive(self) -> None:
        self._pulse.begin()
        while self._intake is None:
            try:
                await self._know_oneself()
            except TelegramError as error:
                ours = in_our_words(error)
                self._pulse.trouble(f"Telegram cannot be reached: {ours.detail}")
                await asyncio.sleep(KNOW_ONESELF_AGAIN_S)
        menu = asyncio.create_task(self._set_menus(), name="menu")
        try:
            await self._hear(self._intake)
        finally:
            menu.cancel()
            for outcome in await asyncio.gather(menu, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("the menu of commands is not set", error=without_token(repr(outcome)))

    def routes(self) -> list[BaseRoute]:
        return [self._webhook.route()] if self._webhook is not None else []

    def health(self) -> Health:
        return self._pulse.health()

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Administrators of a group, for that group; anonymous ones speak as the group itself."""
        if not address.shared:
            return False
        if speaker.id == address.session.place:
            return True
        if not speaker.id.isdecimal():  # a channel speaks; it is nobody's administrator
            return False
        try:
            async with asyncio.timeout(self.ask_s):
                status = await self.outbound.at(
                    Spot.of(address),
                    lambda spot: self.client.status_of(spot.chat_id, int(speaker.id)),
                    is_edit=True,
                )
        except TimeoutError:
            raise PlatformUnreachable("Telegram does not say who is an administrator") from None
        return status in (ChatMember.OWNER, ChatMember.ADMINISTRATOR)

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        note = too_large(attachment)
        if note:
            raise PlatformError(note)
        with telegram_errors():
            try:
                file = await self.client.get_file(attachment.reference)
                if (file.file_size or 0) > MAX_DOCUMENT_BYTES:
                    raise PlatformError(f"larger than {size(MAX_DOCUMENT_BYTES)}")
                return bytes(await file.download_as_bytearray())
            except (
                InvalidToken
            ):  # what the SDK makes of a 404: the file is gone, or not ours to see
                raise PlatformError("the file cannot be fetched any more") from None

    async def aclose(self) -> None:
        await self._background.aclose(grace_s=2)
        await self._request.shutdown()

    async def _know_oneself(self) -> None:
        user = await self.client.get_me()
        me = Me(user.id, user.username or "", bool(user.can_read_all_group_messages))
        presses = Presses(self._core, me, self.outbound, self._marks, self._background)
        self._intake = Intake(self._core, me, self.outbound, self.reply, self._background, presses)
        log.info("connected", username=me.username, reads_all=me.reads_all)

    async def _hear(self, intake: Intake) -> None:
        """Take in what happens, until cancelled."""
        if self._webhook is not None:
            await self._webhook.run()
        else:
            poll_s = self._settings.telegram_poll_s
            await Polling(self.client, intake.take, self._pulse, poll_s=poll_s).run()

    def _take(self) -> Take | None:
        return self._intake.take if self._intake is not None else None

    def _way(self, address: Address) -> Way:
        if self._settings.telegram_streaming == "off":
            return "off"
        return "draft" if self._drafts and not address.shared else "edit"

    def _do_without_drafts(self) -> None:
        if self._drafts:
            log.info("this Bot API server knows no drafts; answers grow by edits")
        self._drafts = False

    async def _set_menus(self) -> None:
        pause_s = self.menu_again_s
        while True:
            try:
                return await set_menus(
                    self.client, self._core.commands(), self._core.settings.bot_admins
                )
            except PlatformError as error:
                log.warning("the menu of commands is not set yet", error=error.detail)
                await asyncio.sleep(max(pause_s, error.retry_after_s or 0))
                pause_s = min(300, pause_s * 2)
