"""What is said in Slack: messages posted, changed, ended, found again.

A post is never made twice: where it is unknown whether one was made, Slack is asked before another is.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from adapters.shared.rate_limit import Priority
from adapters.slack.api.errors import LOST_MESSAGE, code_of
from adapters.slack.api.rate_limiter import Budget
from adapters.slack.api.web_api import PATIENCE_S, TRIES, Calls, ClientOf, Unsure
from adapters.slack.outbound.blocks import Block, fallback, markdown_blocks, section_blocks
from adapters.slack.outbound.message_metadata import Bot, Found, Mark
from adapters.slack.outbound.target import Spot
from bot.errors import PlatformError

log = structlog.get_logger("keepthread.slack")

MAX_PAGES = 5
COURTESY_LOOK_S = 5.0
_BLOCKS_REFUSED = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long")
_STOPPED_ALREADY = "message_not_in_streaming_state"


class Outbound(Calls):
    """Speaks for one process, in every workspace. See `Calls` for what it is made of."""

    def __init__(
        self,
        client_of: ClientOf,
        budget: Budget | None = None,
        *,
        patience_s: float = PATIENCE_S,
        wait_s: float = 0.5,
    ) -> None:
        super().__init__(client_of, budget, patience_s=patience_s, wait_s=wait_s)
        self._bots: dict[str, Bot] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self.lacking: set[tuple[str, str]] = set()
        """Workspaces and the methods that do not work there, so that nobody tries again."""

    async def post(
        self,
        spot: Spot,
        text: str,
        mark: Mark,
        extras: list[Block] | None = None,
        *,
        priority: Priority = "required",
    ) -> str:
        """Say `text`, Markdown of at most 11,000 characters, once; the `ts` of its message.

        Raises:
            PlatformError: it was not said, or (`Unsure`) Slack cannot tell whether it was.
        """
        plainer = _plainer(text, extras)
        args = _message(text, extras) | {
            "thread_ts": spot.thread_ts or None,
            "metadata": mark.metadata(),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        attempt = 0
        while True:
            try:
                return await self._post(spot, args, priority)
            except Unsure as error:
                log.info("was it said?", channel=spot.channel, error=error.detail)
                await asyncio.sleep(self._wait_s)
                look_s = COURTESY_LOOK_S if priority == "best_effort" else None
                for one in await self.ours(spot, patience_s=look_s):
                    if one.mark and one.mark.id == mark.id:
                        return one.ts
                attempt += 1
                if attempt == TRIES or priority == "best_effort":
                    raise
            except PlatformError as error:
                if code_of(error) not in _BLOCKS_REFUSED or not plainer:
                    raise
                log.warning("Slack refuses the blocks", error=error.detail)
                args["blocks"] = plainer.pop(0)

    async def _post(self, spot: Spot, args: dict[str, Any], priority: Priority) -> str:
        answer = await self.call(
            spot.team,
            "chat.postMessage",
            priority=priority,
            channel=spot.channel,
            repeatable=False,
            **args,
        )
        return str(answer["ts"])

    async def settle(
        self,
        spot: Spot,
        ts: str,
        text: str,
        mark: Mark,
        extras: list[Block] | None = None,
        *,
        priority: Priority = "required",
    ) -> bool:
        """Let the message `ts` say `text` and be finished, whatever it says or does now. False: it is gone by now."""
        plainer = _plainer(text, extras)
        args = _message(text, extras) | {"ts": ts, "metadata": mark.metadata()}
        for _ in range(TRIES + len(plainer)):
            try:
                await self.call(
                    spot.team, "chat.update", priority=priority, channel=spot.channel, **args
                )
                return True
            except PlatformError as error:
                code = code_of(error)
                if code in LOST_MESSAGE:
                    await self._clear_away(spot, ts)
                    return False
                if code == "streaming_state_conflict":
                    await self.stop_stream(spot, ts)
                elif code in _BLOCKS_REFUSED and plainer:
                    log.warning("Slack refuses the blocks", error=error.detail)
                    args["blocks"] = plainer.pop(0)
                else:
                    raise
        raise PlatformError(f"chat.update: {ts} does not stay as it is told")

    async def stop_stream(
        self, spot: Spot, ts: str, more: str = "", *, repeatable: bool = True, **args: Any
    ) -> None:
        """End a stream. That it had ended is fine without `more`. Raises PlatformError."""
        try:
            await self.call(
                spot.team,
                "chat.stopStream",
                channel=spot.channel,
                ts=ts,
                markdown_text=more or None,
                repeatable=repeatable,
                **args,
            )
        except PlatformError as error:
            if more or args or code_of(error) != _STOPPED_ALREADY:
                raise

    async def delete(self, spot: Spot, ts: str) -> None:
        """Take a message of ours back. Raises PlatformError."""
        try:
            await self.call(spot.team, "chat.delete", channel=spot.channel, ts=ts)
        except PlatformError as error:
            if code_of(error) not in LOST_MESSAGE:
                raise

    async def _clear_away(self, spot: Spot, ts: str) -> None:
        """Take back what can be edited no more, if it can; else it stands beside what replaces it. Raises nothing."""
        try:
            await self.delete(spot, ts)
        except PlatformError as error:
            log.warning("a message that cannot be edited stays", ts=ts, error=error.detail)

    async def ours(self, spot: Spot, *, patience_s: float | None = None) -> list[Found]:
        """Messages of ours, in order, that are newer than the one that is answered.

        Raises:
            PlatformError: Slack does not tell (all of them).
        """
        bot = await self._bot(spot.team)
        method = "conversations.replies" if spot.thread_ts else "conversations.history"
        found: dict[str, Found] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.call(
                spot.team,
                method,
                channel=spot.channel,
                ts=spot.thread_ts or None,
                oldest=spot.since_ts,
                include_all_metadata=True,
                limit=100,
                cursor=cursor,
                patience_s=patience_s,
            )
            for message in page.get("messages") or ():
                if bot.said(message) and not message.get("files"):
                    found[message["ts"]] = Found(message["ts"], Mark.of(message))
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return [found[ts] for ts in sorted(found, key=float)]
        raise PlatformError(f"{method}: more was said since than can be looked through")

    async def home(self, team: str, user: str) -> str:
        """The channel of the direct messages with somebody. Raises PlatformError."""
        if (team, user) not in self._homes:
            answer = await self.call(team, "conversations.open", users=user)
            self._homes[team, user] = str(answer["channel"]["id"])
        return self._homes[team, user]

    async def _bot(self, team: str) -> Bot:
        if team not in self._bots:
            answer = await self.call(team, "auth.test")
            self._bots[team] = Bot(
                str(answer.get("bot_id") or ""), str(answer.get("user_id") or "")
            )
        return self._bots[team]


def _message(text: str, extras: list[Block] | None) -> dict[str, Any]:
    return {"text": fallback(text), "blocks": markdown_blocks(text) + (extras or [])}


def _plainer(text: str, extras: list[Block] | None) -> list[list[Block]]:
    """What to try in turn where the blocks are refused: all of the words, in the end without buttons."""
    sections = section_blocks(text)
    return [sections + extras, markdown_blocks(text), sections] if extras else [sections]
