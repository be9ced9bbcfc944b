"""Connection of one process to Telegram: its client, its transport and its replies."""

from __future__ import annotations

import asyncio

import structlog
from starlette.routing import BaseRoute
from telegram import ChatMember
from telegram.error import EndPointNotFound, InvalidToken, TelegramError

from adapters.telegram.api.client import make_client
from adapters.telegram.api.errors import TOKEN_CURE, redact_token, translate_error
from adapters.telegram.api.files import Files
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.command_menu import set_menus
from adapters.telegram.inbound.callbacks import Callbacks
from adapters.telegram.inbound.dispatcher import Dispatcher
from adapters.telegram.inbound.media_groups import HOLD_S, MediaGroupBuffer
from adapters.telegram.inbound.routing import BotIdentity
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.preview import PreviewMode
from adapters.telegram.outbound.reply import TelegramReply
from adapters.telegram.outbound.sent_messages import SentMessages
from adapters.telegram.outbound.target import Target
from adapters.telegram.settings import TelegramSettings
from adapters.telegram.transport.heartbeat import Heartbeat
from adapters.telegram.transport.polling import Polling
from adapters.telegram.transport.updates import UpdateHandler
from adapters.telegram.transport.webhook import Webhook
from bot.background import BackgroundTasks
from bot.conversation import Address, Attachment, Speaker
from bot.errors import PlatformError, PlatformRefused, PlatformUnreachable
from bot.ports import Core, Health

log = structlog.get_logger("keepthread.telegram")

IDENTITY_RETRY_S = 2.0


class TelegramConnection:
    """See `bot.ports.Connection`.

    Attributes:
        admin_check_timeout_s: messages wait no longer for an answer about their author's rights.
        part_wait_s: how long a turn waits for the next part of an album or of a long text.
        menu_retry_s: pause after the first failure to set the menu of commands; it doubles with each.
    """

    admin_check_timeout_s = 10.0
    part_wait_s = HOLD_S
    menu_retry_s = 5.0

    def __init__(self, core: Core, settings: TelegramSettings) -> None:
        self._core = core
        self._settings = settings
        self.limiter = RateLimiter(
            settings.telegram_chat_interval_s, settings.telegram_group_per_minute
        )
        self.client, self._request = make_client(settings, self.limiter)
        self._files = Files(self.client, settings)
        self.sender = MessageSender(self.client, core.migrate)
        self._sent_messages = SentMessages(core.key_values, str(settings.bot_id))
        self._commands = frozenset(name for spec in core.commands() for name in spec.names)
        self._background = BackgroundTasks()
        self._heartbeat = Heartbeat()
        self._has_drafts = settings.telegram_streaming == "auto"
        self._dispatcher: Dispatcher | None = None
        self._webhook: Webhook | None = None
        if settings.webhook_url:
            self._webhook = Webhook(
                self.client,
                self._update_handler,
                self._heartbeat,
                url=settings.webhook_url,
                secret=settings.webhook_secret,
            )

    async def connect(self) -> None:
        """Fetch the bot's identity. Starting without a connection is fine, with a refused token not.

        Raises:
            PlatformRefused: the token is not, or no longer, valid.
        """
        try:
            await self._fetch_identity()
        except (InvalidToken, EndPointNotFound) as error:
            await self.aclose()
            detail = redact_token(str(error))
            raise PlatformRefused(
                f"Telegram refuses TELEGRAM_BOT_TOKEN: {detail}", cure=TOKEN_CURE
            ) from None
        except TelegramError as error:
            log.warning("Telegram cannot be reached yet", error=translate_error(error).detail)

    def reply(self, address: Address) -> TelegramReply:
        return TelegramReply(
            self.sender,
            self._sent_messages,
            address,
            mode=self._preview_mode(address),
            pace_s=self._settings.telegram_chat_interval_s,
            rated=self._settings.telegram_feedback,
            commands=self._commands,
            on_drafts_unsupported=self._disable_drafts,
        )

    async def receive(self) -> None:
        self._heartbeat.start()
        while self._dispatcher is None:
            try:
                await self._fetch_identity()
            except TelegramError as error:
                detail = translate_error(error).detail
                self._heartbeat.fail(f"Telegram cannot be reached: {detail}")
                await asyncio.sleep(IDENTITY_RETRY_S)
        menu = asyncio.create_task(self._set_menus(), name="menu")
        try:
            await self._receive_updates(self._dispatcher)
        finally:
            menu.cancel()
            for outcome in await asyncio.gather(menu, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("the menu of commands is not set", error=redact_token(repr(outcome)))

    def routes(self) -> list[BaseRoute]:
        return [self._webhook.route()] if self._webhook is not None else []

    def health(self) -> Health:
        return self._heartbeat.health()

    async def is_admin(self, address: Address, speaker: Speaker) -> bool:
        """Administrators of a group, for that group; anonymous ones speak as the group itself."""
        if not address.shared:
            return False
        if speaker.id == address.session.place:
            return True
        if not speaker.id.isdecimal():  # a channel, which is nobody's administrator
            return False
        try:
            async with asyncio.timeout(self.admin_check_timeout_s):
                status = await self.sender.call_at(
                    Target.of(address),
                    lambda target: self.client.fetch_status(target.chat_id, int(speaker.id)),
                    is_repeatable=True,
                )
        except TimeoutError:
            raise PlatformUnreachable("Telegram does not say who is an administrator") from None
        return status in (ChatMember.OWNER, ChatMember.ADMINISTRATOR)

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        return await self._files.download(attachment.reference, max_bytes)

    async def aclose(self) -> None:
        await self._background.aclose(grace_s=2)
        await self._files.aclose()
        await self._request.shutdown()

    async def _fetch_identity(self) -> None:
        user = await self.client.get_me()
        me = BotIdentity(user.id, user.username or "", bool(user.can_read_all_group_messages))
        callbacks = Callbacks(self._core, me, self.sender, self._sent_messages, self._background)
        self._dispatcher = Dispatcher(
            self._core,
            me,
            self.sender,
            self.reply,
            self._background,
            callbacks,
            MediaGroupBuffer(self.part_wait_s, self._settings.telegram_comment_wait_s),
        )
        log.info("connected", username=me.username, reads_all=me.reads_all)

    async def _receive_updates(self, dispatcher: Dispatcher) -> None:
        """Receive until cancelled."""
        if self._webhook is not None:
            await self._webhook.run()
        else:
            poll_s = self._settings.telegram_poll_s
            await Polling(self.client, dispatcher.dispatch, self._heartbeat, poll_s=poll_s).run()

    def _update_handler(self) -> UpdateHandler | None:
        return self._dispatcher.dispatch if self._dispatcher is not None else None

    def _preview_mode(self, address: Address) -> PreviewMode:
        if self._settings.telegram_streaming == "off":
            return "off"
        has_drafts = self._has_drafts and not (address.shared or Target.of(address).is_direct)
        return "draft" if has_drafts else "edit"

    def _disable_drafts(self) -> None:
        if self._has_drafts:
            log.info("this Bot API server knows no drafts; answers grow by edits")
        self._has_drafts = False

    async def _set_menus(self) -> None:
        pause_s = self.menu_retry_s
        while True:
            try:
                return await set_menus(
                    self.client, self._core.commands(), self._core.settings.bot_admins
                )
            except PlatformError as error:
                log.warning("the menu of commands is not set yet", error=error.detail)
                await asyncio.sleep(max(pause_s, error.retry_after_s or 0))
                pause_s = min(300, pause_s * 2)
