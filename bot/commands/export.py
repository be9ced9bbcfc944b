"""`export`: the conversation as a file.

Where several people talk, admins get all of it, and others what was said since they first wrote there: before that
they perhaps could not read it.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from bot.commands.call import Call
from bot.commands.command import Command
from bot.conversation import Turn
from bot.errors import CommandError
from bot.memory.sessions import SessionInfo
from bot.prompt.transcript import user_text


async def run(call: Call) -> None:
    info = await call.services.sessions.get(call.session)
    if info is None or (not info.turns and not info.earlier):
        raise CommandError("There is nothing to export yet.")
    if call.arguments not in ("", "json"):
        raise CommandError("Say “export” for text or “export json” for programs.")
    conversations, is_whole = await _readable(call, info)
    if not any(conversations.values()):
        raise CommandError(
            "You can export what was said here since you first wrote, and that is nothing yet. "
            "Admins here can export all."
        )
    stem = f"conversation-{info.conversation_id[:8]}"
    if call.arguments == "json":
        # The standard library would hold up all others for a second with a long conversation.
        data = orjson.dumps(_as_json(info, conversations, is_whole), option=orjson.OPT_INDENT_2)
        await call.post("This conversation:", file=(f"{stem}.json", data))
        return
    parts: list[str] = []
    for conversation, turns in conversations.items():
        is_present = conversation == info.conversation_id
        title = (
            f"Conversation of {info.born_at:%Y-%m-%d}" if is_present else "An earlier conversation"
        )
        if turns or is_present:
            parts.append(f"# {title}\n")
        for turn in turns:
            parts += _lines(turn)
    await call.post("This conversation:", file=(f"{stem}.md", "\n".join(parts).encode()))


async def _readable(call: Call, info: SessionInfo) -> tuple[dict[str, list[Turn]], bool]:
    """Turns that the caller may read, by conversation, oldest first; and whether that is all."""
    sessions, speaker = call.services.sessions, call.incoming.speaker
    is_whole = not call.address.shared or await call.services.access.is_admin(call.address, speaker)
    found: dict[str, list[Turn]] = {}
    begun = is_whole
    for conversation in (*reversed(info.earlier), info.conversation_id):
        if conversation == info.conversation_id:
            turns = [turn async for turn in sessions.turns(call.session)]
        else:
            turns = list(await sessions.archived_turns(call.session, conversation))
        found[conversation] = []
        for turn in turns:
            begun = begun or any(
                (item.speaker.id, item.speaker.account) == (speaker.id, speaker.account)
                for item in turn.incoming
            )
            if begun:
                found[conversation].append(turn)
    return found, is_whole


def _as_json(
    info: SessionInfo, conversations: dict[str, list[Turn]], is_whole: bool
) -> dict[str, Any]:
    """The form of `Sessions.export`; the summary, which may tell of anything, is for those who may read all."""
    turns = {name: [turn.to_dict() for turn in turns] for name, turns in conversations.items()}
    return {
        "session": str(info.session),
        "conversation_id": info.conversation_id,
        "summary": info.summary if is_whole else "",
        "turns": turns.pop(info.conversation_id, []),
        "earlier": {name: turns[name] for name in info.earlier if name in turns},
    }


def _lines(turn: Turn) -> Iterator[str]:
    """Question and answer as Markdown."""
    text = user_text(turn)  # where several people talk they are named in it
    yield f"{text}\n" if turn.address.shared else f"**{turn.incoming[0].speaker.label}:** {text}\n"
    if turn.answer:
        mark = "" if turn.state == "complete" else f" ({turn.state})"
        yield f"**Bot{mark}:** {turn.answer}\n"


COMMAND = Command(
    "export",
    "Get all that I remember of this conversation, as a file (`export json` for programs).",
    usage="[json]",
    reads_only=True,
    run=run,
)
