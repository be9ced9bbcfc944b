"""`export`: the conversation as a file."""

from collections.abc import Iterator

import orjson

from bot.commands.call import Call
from bot.commands.command import Command
from bot.conversation import Turn
from bot.errors import CommandError
from bot.prompt.transcript import user_text


async def run(call: Call) -> None:
    sessions = call.services.sessions
    info = await sessions.get(call.session)
    if info is None or (not info.turns and not info.earlier):
        raise CommandError("There is nothing to export yet.")
    stem = f"conversation-{info.conversation_id[:8]}"
    if call.arguments == "json":
        # The standard library would hold up all others for a second with a long conversation.
        data = orjson.dumps(await sessions.export(call.session), option=orjson.OPT_INDENT_2)
        await call.post("This conversation:", file=(f"{stem}.json", data))
        return
    if call.arguments:
        raise CommandError("Say “export” for text or “export json” for programs.")
    parts: list[str] = []
    for conversation in reversed(info.earlier):
        parts.append("# An earlier conversation\n")
        for turn in await sessions.archived_turns(call.session, conversation):
            parts += _lines(turn)
    parts.append(f"# Conversation of {info.born_at:%Y-%m-%d}\n")
    async for turn in sessions.turns(call.session):
        parts += _lines(turn)
    await call.post("This conversation:", file=(f"{stem}.md", "\n".join(parts).encode()))


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
