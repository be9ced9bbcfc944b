"""Reply that refuses to post once this worker's lease on the turn may have run out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bot.conversation import Turn
from bot.errors import KeepthreadError, Overtaken, StoreError
from bot.metrics import Metrics
from bot.ports import CommandButton, Delivery, Reply, RetractableReply
from bot.worker.leases import Lease


class LeasedReply:
    """`Reply` port around an adapter's reply: a process that was frozen must not post for another worker's turn."""

    def __init__(self, reply: Reply, lease: Lease, metrics: Metrics) -> None:
        self._reply = reply
        self._lease = lease
        self._metrics = metrics
        self._started_at = time.monotonic()
        self._has_shown = False
        self._is_retracted = False
        self._held_back = ""
        self._asked_in_vain = False

    async def set_status(self, text: str) -> None:
        if await self._may_show():
            await self._reply.set_status(text)

    async def show(self, delta: str) -> None:
        if not self._has_shown:
            self._has_shown = True
            self._metrics.first_token.observe(time.monotonic() - self._started_at)
        self._held_back += delta
        if await self._may_show():
            text, self._held_back = self._held_back, ""
            await self._reply.show(text)

    async def finish(self, turn: Turn) -> Delivery:
        await self._require_lease()
        return await self._reply.finish(turn)

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        await self._require_lease()
        await self._reply.fail(turn, error)

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        return await self._reply.find_delivery(turn)

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        await self._require_lease()
        return await self._reply.post(text, file=file)

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        await self._require_lease()
        return await self._reply.post_buttons(text, buttons)

    async def aclose(self) -> None:
        """Close the reply; of a withdrawn turn nothing stays that was shown."""
        if self._lease.is_withdrawn and not self._is_retracted:
            self._is_retracted = True
            if isinstance(self._reply, RetractableReply):
                await self._reply.retract()
        await self._reply.aclose()

    async def _may_show(self) -> bool:
        """Whether the lease is valid. In doubt Redis is asked, but not for each delta while it is away."""
        if self._lease.is_valid:
            self._asked_in_vain = False
        elif not self._asked_in_vain:
            try:
                return await self._lease.confirm()
            except StoreError:
                self._asked_in_vain = True
        return self._lease.is_valid

    async def _require_lease(self) -> None:
        try:
            is_valid = await self._lease.confirm()
        except StoreError as error:
            raise Overtaken("the lease ran out, and Redis cannot be asked for it") from error
        if self._lease.is_withdrawn:
            raise Overtaken("a message of the turn was deleted")
        if not is_valid:
            raise Overtaken("no heartbeat for longer than the lease")
