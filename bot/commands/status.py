"""`status`: size, age and model of the conversation."""

from datetime import timedelta

from bot.commands.call import Call
from bot.commands.command import Command
from bot.ports import HistorySnapshot


def _extract_line(past: HistorySnapshot) -> list[str]:
    """A line on turns that left the window and are in no summary yet."""
    if not past.fold.failures or past.first_seq <= past.summarised_to:
        return []
    return [
        "- Some older ones could not be summarised yet: of these I keep the first words, and try again"
    ]


async def run(call: Call) -> None:
    services, settings = call.services, call.services.settings
    info = await services.sessions.get(call.session)
    past = await services.history.read(call.session)
    model = "the local model" if settings.uses_local_model else settings.bot_model
    tokens = sum(item.tokens for item in past.window)
    turns = info.turns if info else 0
    lines = [
        f"- Remembered: **{turns:,}** turn{'s' if turns != 1 else ''}, the newest {len(past.window):,} "
        f"of them word for word (about {tokens:,} of {services.handler.prompt_builder.budget_tokens:,} tokens)"
        + (", older ones as a summary" if past.summary else ""),
        *_extract_line(past),
        f"- Model: {model}",
    ]
    if info is not None:
        until = info.used_at + timedelta(days=settings.bot_history_ttl_days)
        lines.append(
            f"- Begun {info.born_at:%Y-%m-%d %H:%M} UTC, kept until {until:%Y-%m-%d} at least"
        )
        lines.append(f"- Conversation: `{info.conversation_id}`")
    await call.post("\n".join(lines))


COMMAND = Command("status", "Show what I remember of this conversation.", reads_only=True, run=run)
