"""Turns as prompt messages, and as lines of a transcript."""

from __future__ import annotations

from bot.conversation import Attachment, Incoming, Speaker, Turn
from bot.ports import Message
from bot.prompt.tokens import TOKENS_PER_MESSAGE, count_tokens

_IN_NAMES = str.maketrans({":": " ", "[": "(", "]": ")"})


_TOO_LONG = ("MessageTooLong", "PromptTooLong")
"""Notes of turns that failed because what was said was too long for any prompt."""


_KEPT_CHARS = 400
"""So much of it goes into later prompts: the whole would push out everything said before it."""


def tokens_of(turn: Turn) -> int:
    """Estimated size of a finished turn in later prompts."""
    return sum(count_tokens(message.text) + TOKENS_PER_MESSAGE for message in messages_of(turn))


def messages_of(turn: Turn) -> tuple[Message, ...]:
    """A remembered turn as messages. What was stopped or failed is marked, never passed off as an answer."""
    words = user_text(turn)
    if turn.note in _TOO_LONG and len(words) > _KEPT_CHARS:
        words = f"{words[:_KEPT_CHARS]}…\n[the rest was too long to be read]"
    said = Message("user", words)
    if turn.state == "complete":
        # Some endpoints refuse empty messages.
        return said, Message("assistant", turn.answer if turn.answer.strip() else "[no words]")
    if turn.state == "stopped" and turn.answer:
        return said, Message("assistant", f"{turn.answer}\n\n[stopped here by the user]")
    if turn.state == "stopped":
        return said, Message("assistant", "[stopped by the user before an answer]")
    if turn.state == "failed":
        mark = (
            "[cut off by a technical problem]"
            if turn.answer
            else "[no answer: a technical problem]"
        )
        return said, Message("assistant", f"{turn.answer}\n\n{mark}".strip())
    return (said,)


def user_text(turn: Turn) -> str:
    """What was said, as the model reads it."""
    return "\n\n".join(filter(None, (_words(item) for item in turn.incoming)))


def _words(item: Incoming) -> str:
    quoted = "\n".join(f"> {line}" for line in item.quoted.splitlines())
    own = (quoted, item.text, *(_attached(one) for one in item.attachments))
    text = "\n".join(part for part in own if part)
    if item.address.shared and text:
        text = speaker_line(_name(item.speaker), text)
    if item.seed:
        lines = "\n".join(speaker_line(_name(one.speaker), one.text) for one in item.seed)
        text = f"[earlier messages of this thread]\n{lines}\n[end of earlier messages]\n{text}"
    return text


def speaker_line(name: str, text: str) -> str:
    """`name: text`, its further lines indented: whatever is said, only speakers and marks of ours begin a line."""
    first, *more = text.splitlines() or [""]
    return "\n".join((f"{name}: {first}", *(line and f"  {line}" for line in more)))


def _name(speaker: Speaker) -> str:
    """On one line, and without what stands after names and around our marks."""
    return " ".join(speaker.label.translate(_IN_NAMES).split()) or speaker.id


def _attached(item: Attachment) -> str:
    title = f"[{item.kind}: {' '.join(item.name.split()) or item.media_type or 'unnamed'}]"
    return f"{title}\n{item.text}" if item.text else title
