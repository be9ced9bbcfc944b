"""App Home: help, one's own conversations, and totals for admins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack import action_ids
from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import get_objects, get_text
from bot.conversation import Address, SessionKey
from bot.errors import PlatformError

if TYPE_CHECKING:
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspace, Workspaces
    from bot.ports import CommandSpec, ConversationSummary, Core

log = structlog.get_logger("keepthread.slack")

Block = dict[str, Any]

MAX_SHOWN = 20
_SETTLE_S = 1.5
_TOTALS_TTL_S = 60.0
_NAMES_WAIT_S = 5.0
_MEMBER_WAIT_S = 1.5
_MAX_PAGES = 5


@dataclass(slots=True)
class AppHome:
    """Publishes the tab anew whenever somebody opens it."""

    core: Core
    workspaces: Workspaces
    users: UserDirectory
    _totals: dict[str, tuple[float, tuple[int, int]]] = field(default_factory=dict)

    async def publish(self, team: str, user: str) -> None:
        """Show `user` their tab. Raises PlatformError, StoreError."""
        speaker = await self.users.speaker(team, user, external=True, wait_s=_NAMES_WAIT_S)
        anywhere = Address(SessionKey(action_ids.PLATFORM, team, "", ""), "channel")
        if not await self.core.allowed(anywhere, speaker):
            view = home_view(self.core.commands(), None, (), None)
        else:
            own = await self.core.conversations_of(action_ids.PLATFORM, speaker)
            there = await self._channels_of(team, user)
            here = [one for one in own if one.session.account == team and _open(one.session, there)]
            # Whoever may reset what many share is an admin.
            is_admin = await self.core.allowed(anywhere, speaker, "reset")
            totals = await self._count(team) if is_admin else None
            view = home_view(self.core.commands(), await self.workspaces.find(team), here, totals)
        client = await self.workspaces.client(team)
        with slack_errors("views.publish"):
            await client.views_publish(user_id=user, view=view)

    async def can_access(self, session: SessionKey, user: str) -> bool:
        """Whether `user` is, today, where that conversation is; False if Slack does not say so in time.

        What a button carries can be forged, so it is asked of direct messages, too.
        """
        try:
            async with asyncio.timeout(_MEMBER_WAIT_S):
                if _is_direct(session):
                    return session.place == await self._direct_channel_of(session.account, user)
                return _open(session, await self._channels_of(session.account, user))
        except (PlatformError, TimeoutError) as error:
            log.warning("where somebody is, is unknown", user=user, error=repr(error))
            return False

    async def _direct_channel_of(self, team: str, user: str) -> str:
        """Id of the direct messages between `user` and us. Raises PlatformError."""
        client = await self.workspaces.client(team)
        with slack_errors("conversations.open"):
            answer = await client.conversations_open(users=user)
        return str((answer.get("channel") or {}).get("id") or "")

    async def _channels_of(self, team: str, user: str) -> set[str]:
        """Channels of ours that `user` is in now; who left a private one reads no more of it."""
        client = await self.workspaces.client(team)
        found: set[str] = set()
        cursor: str | None = None
        try:
            for _ in range(_MAX_PAGES):
                with slack_errors("users.conversations"):
                    page: Any = await client.users_conversations(
                        user=user,
                        types="public_channel,private_channel,mpim",
                        limit=999,
                        cursor=cursor,
                    )
                found |= {get_text(one, "id") for one in get_objects(page, "channels")}
                cursor = (page.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    break
        except PlatformError as error:
            log.warning("in which channels somebody is, is unknown", user=user, error=error.detail)
        return found

    async def _count(self, team: str) -> tuple[int, int]:
        """Conversations and turns; counted once a minute, since that walks all keys."""
        until, totals = self._totals.get(team, (0.0, (0, 0)))
        if until < time.monotonic():
            totals = await self.core.totals(action_ids.PLATFORM, team)
            self._totals[team] = (time.monotonic() + _TOTALS_TTL_S, totals)
        return totals

    async def publish_later(self, team: str, user: str) -> None:
        """Show it again once what was just asked for has happened."""
        await asyncio.sleep(_SETTLE_S)
        await self.publish(team, user)


def home_view(
    commands: Sequence[CommandSpec],
    team: Workspace | None,
    own: Sequence[ConversationSummary],
    totals: tuple[int, int] | None,
) -> dict[str, Any]:
    """The view (https://docs.slack.dev/reference/views/home-tab-views); `team` None: a stranger."""
    blocks: list[Block] = [
        _header("Hello!"),
        _section(
            "Write to me in *Messages*, or mention me in a channel: I answer in a thread, remember what "
            "is said there, and follow it without being mentioned again."
        ),
    ]
    if team is None:
        blocks.append(_section("You are not on the list of people I talk with here."))
        return {"type": "home", "blocks": blocks}
    blocks += [{"type": "divider"}, _header("Your conversations")]
    if not own:
        blocks.append(_section("None yet."))
    for listed in own[:MAX_SHOWN]:
        blocks += _conversation(listed, team)
    if totals is not None:
        conversations, turns = totals
        blocks += [
            {"type": "divider"},
            _header("This workspace"),
            _section(f"*{conversations:,}* conversations, *{turns:,}* turns remembered."),
        ]
    blocks += [{"type": "divider"}, _header("Commands"), _section(_help(commands))]
    return {"type": "home", "blocks": blocks}


def _is_direct(session: SessionKey) -> bool:
    return session.place.startswith("D")


def _open(session: SessionKey, channels: Collection[str]) -> bool:
    return _is_direct(session) or session.place in channels


def _conversation(listed: ConversationSummary, team: Workspace) -> list[Block]:
    session, at = listed.session, listed.used_at
    stamp = int(at.timestamp())
    when = f"<!date^{stamp}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"
    turns = "1 turn" if listed.turns == 1 else f"{listed.turns:,} turns"
    value = action_ids.button_value(session)
    return [
        _section(f"*{_place(session, team)}* · {turns} · {when}"),
        {
            "type": "actions",
            "elements": [
                _button("Export", action_ids.HOME_EXPORT, value),
                _button(
                    "Reset",
                    action_ids.HOME_RESET,
                    value,
                    style="danger",
                    confirm={
                        "title": _plain("Reset?"),
                        "text": _plain("I forget this conversation for good."),
                        "confirm": _plain("Reset"),
                        "deny": _plain("Keep"),
                    },
                ),
            ],
        },
    ]


def _place(session: SessionKey, team: Workspace) -> str:
    name = "Direct messages" if _is_direct(session) else f"<#{session.place}>"
    if not session.thread or not team.url:
        return name
    link = f"{team.url}archives/{session.place}/p{session.thread.replace('.', '')}"
    return f"{name}, <{link}|thread>"


def _help(commands: Sequence[CommandSpec]) -> str:
    lines = [f"`{spec.name}` {spec.summary}" for spec in commands]
    lines.append(
        f"Mention me with one of these words, write `!reset` in a thread, or use `{action_ids.SLASH_COMMAND}`."
    )
    return "\n".join(lines)


def _button(label: str, action: str, value: str, **more: Any) -> Block:
    return {"type": "button", "text": _plain(label), "action_id": action, "value": value, **more}


def _plain(words: str) -> Block:
    return {"type": "plain_text", "text": words}


def _header(words: str) -> Block:
    return {"type": "header", "text": _plain(words)}


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}
