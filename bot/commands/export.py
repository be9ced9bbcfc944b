"""Get all that I remember of this conversation, as a file (`export json` for programs)."""

import json

from bot.commands.registry import Call
from bot.context import words_of
from bot.errors import CommandError

READS_ONLY = True
USAGE = "[json]"


async def run(call: Call) -> None:
    sessions = call.services.sessions
    info = await sessions.look(call.session)
    if info is None or (not info.turns and not info.earlier):
        raise CommandError("There is nothing to export yet.")
    stem = f"conversation-{info.conversation_id[:8]}"
    if call.arguments == "json":
        data = json.dumps(await sessions.export(call.session), ensure_ascii=False, indent=2)
        await call.say("This conversation:", file=(f"{stem}.json", data.encode()))
        return
    if call.arguments:
        raise CommandError("Say “export” for text or “export json” for programs.")
    parts = [f"# Conversation of {info.born_at:%Y-%m-%d}\n"]
    async for turn in sessions.turns(call.session):
        parts.append(f"**{turn.incoming[0].speaker.label}:** {words_of(turn)}\n")
        if turn.answer:
            mark = "" if turn.state == "complete" else f" ({turn.state})"
            parts.append(f"**Bot{mark}:** {turn.answer}\n")
    await call.say("This conversation:", file=(f"{stem}.md", "\n".join(parts).encode()))
