"""App Home: help, the person's own conversations, and totals for admins."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack import action_ids
from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import get_objects, get_text
from bot.cache import TTLCache
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
_MAX_WORKSPACES = 1_000
_NAMES_WAIT_S = 5.0
_MEMBER_WAIT_S = 1.5
_MAX_PAGES = 5


@dataclass(slots=True)
class AppHome:
    """App Home tab, published anew whenever a person opens it."""

    core: Core
    workspaces: Workspaces
    users: UserDirectory
    _totals: TTLCache[str, tuple[int, int]] = field(
        default_factory=lambda: TTLCache(_MAX_WORKSPACES, _TOTALS_TTL_S)
    )

    async def publish(self, team: str, user: str) -> None:
        """Publish the tab of `user`. Raises PlatformError, StoreError."""
        speaker = await self.users.speaker(team, user, external=True, wait_s=_NAMES_WAIT_S)
        anywhere = Address(SessionKey(action_ids.PLATFORM, team, "", ""), "channel")
        if not await self.core.allowed(anywhere, speaker):
            view = home_view(self.core.commands(), None, (), None)
        else:
            own = await self.core.conversations_of(action_ids.PLATFORM, speaker)
            channels = await self._channels_of(team, user)
            here = [
                conversation
                for conversation in own
                if conversation.session.account == team
                and _is_accessible(conversation.session, channels)
            ]
            # Only admins may reset shared conversations.
            is_admin = await self.core.allowed(anywhere, speaker, "reset")
            totals = await self._totals_of(team) if is_admin else None
            view = home_view(self.core.commands(), await self.workspaces.find(team), here, totals)
        client = await self.workspaces.client(team)
        with slack_errors("views.publish"):
            await client.views_publish(user_id=user, view=view)

    async def can_access(self, session: SessionKey, user: str) -> bool:
        """Whether `user` is now a member of the conversation's channel; False if Slack does not answer in time.

        Direct messages are checked, too, since the value of a button can be forged.
        """
        try:
            async with asyncio.timeout(_MEMBER_WAIT_S):
                if _is_direct(session):
                    return session.place == await self._direct_channel_of(session.account, user)
                return _is_accessible(session, await self._channels_of(session.account, user))
        except (PlatformError, TimeoutError) as error:
            log.warning("membership unknown", user=user, error=repr(error))
            return False

    async def _direct_channel_of(self, team: str, user: str) -> str:
        """Id of the direct messages between `user` and the bot. Raises PlatformError."""
        client = await self.workspaces.client(team)
        with slack_errors("conversations.open"):
            response = await client.conversations_open(users=user)
        return str((response.get("channel") or {}).get("id") or "")

    async def _channels_of(self, team: str, user: str) -> set[str]:
        """The bot's channels that `user` is a member of now; people who left a private one may read it no more."""
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
                found |= {get_text(channel, "id") for channel in get_objects(page, "channels")}
                cursor = (page.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    break
        except PlatformError as error:
            log.warning("channels of user unknown", user=user, error=error.detail)
        return found

    async def _totals_of(self, team: str) -> tuple[int, int]:
        """Numbers of conversations and turns; cached, since counting reads all keys."""
        totals = self._totals.get(team)
        if totals is None:
            totals = self._totals[team] = await self.core.totals(action_ids.PLATFORM, team)
        return totals

    async def publish_later(self, team: str, user: str) -> None:
        """Publish the tab again once the command that was just pressed has run."""
        await asyncio.sleep(_SETTLE_S)
        await self.publish(team, user)


def home_view(
    commands: Sequence[CommandSpec],
    workspace: Workspace | None,
    own: Sequence[ConversationSummary],
    totals: tuple[int, int] | None,
) -> dict[str, Any]:
    """The view (https://docs.slack.dev/reference/views/home-tab-views); `workspace` None: the person is not admitted."""
    blocks: list[Block] = [
        _header("Hello!"),
        _section(
            "Write to me in *Messages*, or mention me in a channel: I answer in a thread, remember what "
            "is said there, and follow it without being mentioned again."
        ),
    ]
    if workspace is None:
        blocks.append(_section("You are not on the list of people I talk with here."))
        return {"type": "home", "blocks": blocks}
    blocks += [{"type": "divider"}, _header("Your conversations")]
    if not own:
        blocks.append(_section("None yet."))
    for listed in own[:MAX_SHOWN]:
        blocks += _conversation_blocks(listed, workspace)
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


def _is_accessible(session: SessionKey, channels: Collection[str]) -> bool:
    return _is_direct(session) or session.place in channels


def _conversation_blocks(listed: ConversationSummary, workspace: Workspace) -> list[Block]:
    session, used_at = listed.session, listed.used_at
    stamp = int(used_at.timestamp())
    when = f"<!date^{stamp}^{{date_short_pretty}} {{time}}|{used_at:%Y-%m-%d %H:%M} UTC>"
    turns = "1 turn" if listed.turns == 1 else f"{listed.turns:,} turns"
    value = action_ids.button_value(session)
    return [
        _section(f"*{_place_link(session, workspace)}* · {turns} · {when}"),
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


def _place_link(session: SessionKey, workspace: Workspace) -> str:
    name = "Direct messages" if _is_direct(session) else f"<#{session.place}>"
    if not session.thread or not workspace.url:
        return name
    link = f"{workspace.url}archives/{session.place}/p{session.thread.replace('.', '')}"
    return f"{name}, <{link}|thread>"


def _help(commands: Sequence[CommandSpec]) -> str:
    lines = [f"`{spec.name}` {spec.summary}" for spec in commands]
    lines.append(
        f"Mention me with one of these words, write `!reset` in a thread, or use `{action_ids.SLASH_COMMAND}`."
    )
    return "\n".join(lines)


def _button(label: str, action: str, value: str, **more: Any) -> Block:
    return {"type": "button", "text": _plain(label), "action_id": action, "value": value, **more}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text)}


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}
