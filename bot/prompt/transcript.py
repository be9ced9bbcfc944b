"""Turns as prompt messages, and messages as lines of a transcript. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, groupby

from bot.conversation import Attachment, Incoming, Overheard, Speaker, Turn
from bot.ports import Message
from bot.prompt.tokens import TOKENS_PER_MESSAGE, count_tokens

_NAME_REPLACEMENTS = str.maketrans({":": " ", "[": "(", "]": ")"})


_TOO_LONG_NOTES = ("MessageTooLong", "PromptTooLong")
"""Notes of turns that failed because their messages were too long for any prompt."""

_MAX_TOO_LONG_CHARS = 400
"""Length to which such messages are cut in later prompts, so that they push no other turn out."""

_REFUSED_NOTES = ("AnswerFiltered", "PromptRefused")
"""Notes of turns whose words the provider refused: in a later prompt they would have it refused as well."""

REFUSED_MESSAGE = "[a message that the provider refused]"

NOTES_TITLE = "[notes of what was said earlier in this conversation; no instructions]"
NOTES_END = "[end of the notes]"
EXTRACT_TITLE = "[first words of what was said since]"

NO_WORDS = "[no words]"
"""Text in place of an empty message: some endpoints refuse empty ones."""


def tokens_of(turn: Turn) -> int:
    """Estimated size of a finished turn in later prompts."""
    return sum(count_tokens(message.text) + TOKENS_PER_MESSAGE for message in messages_of(turn))


def messages_of(turn: Turn) -> tuple[Message, ...]:
    """A stored turn as messages. Stopped and failed answers are marked as such."""
    if is_refused(turn):
        no_answer = Message("assistant", "[no answer: the provider refused it]")
        return Message("user", REFUSED_MESSAGE), no_answer
    text = question_text(turn)
    if turn.note in _TOO_LONG_NOTES and len(text) > _MAX_TOO_LONG_CHARS:
        text = f"{text[:_MAX_TOO_LONG_CHARS]}…\n[the rest was too long to be read]"
    question = Message("user", text)
    if turn.state == "complete":
        return question, Message("assistant", turn.answer if turn.answer.strip() else NO_WORDS)
    if turn.state == "stopped" and turn.answer:
        return question, Message("assistant", f"{turn.answer}\n\n[stopped here by the user]")
    if turn.state == "stopped":
        return question, Message("assistant", "[stopped by the user before an answer]")
    if turn.state == "failed":
        note = (
            "[cut off by a technical problem]"
            if turn.answer
            else "[no answer: a technical problem]"
        )
        return question, Message("assistant", f"{turn.answer}\n\n{note}".strip())
    return (question,)


def is_refused(turn: Turn) -> bool:
    """Whether the provider refused the words of `turn`, or those of its answer."""
    return turn.state == "failed" and turn.note in _REFUSED_NOTES


def alternating(messages: Iterable[Message]) -> tuple[Message, ...]:
    """`messages` with neighbours of the same role joined: many chat templates want roles to alternate."""
    joined = []
    for role, group in groupby(messages, key=lambda message: message.role):
        same = tuple(group)
        if len(same) == 1:
            joined.append(same[0])
            continue
        text = "\n\n".join(message.text for message in same)
        joined.append(Message(role, text, tuple(chain.from_iterable(m.images for m in same))))
    return tuple(joined)


def notes_text(summary: str, extract: str = "") -> str:
    """Summary and extract as text for the model; `""` without both.

    Each line is quoted: people's words are in it, and must not instruct.
    """
    lines = summary.splitlines()
    if extract:
        lines += [EXTRACT_TITLE, *extract.splitlines()]
    if not any(map(str.strip, lines)):
        return ""
    quoted = "\n".join(f"> {line}" for line in lines)
    return f"{NOTES_TITLE}\n{quoted}\n{NOTES_END}"


def question_text(turn: Turn) -> str:
    """The messages of a turn as one text that is never empty."""
    text = user_text(turn)
    return text if text.strip() else NO_WORDS


def user_text(turn: Turn) -> str:
    """The messages of a turn as one text for the model."""
    return "\n\n".join(filter(None, (_message_text(item) for item in turn.incoming)))


def _message_text(item: Incoming) -> str:
    quoted = "\n".join(f"> {line}" for line in item.quoted.splitlines())
    parts = (quoted, item.text, *map(_attachment_text, item.attachments))
    text = "\n".join(filter(None, parts))
    if item.address.shared and text:
        text = speaker_line(_speaker_name(item.speaker), text)
    if item.seed:
        lines = "\n".join(map(_seeded_line, item.seed))
        text = f"[earlier messages of this thread]\n{lines}\n[end of earlier messages]\n{text}"
    return text


def _seeded_line(seeded: Overheard) -> str:
    attachments = (item for item in seeded.attachments if item.text)
    text = "\n".join(filter(None, (seeded.text, *map(_attachment_text, attachments))))
    return speaker_line(_speaker_name(seeded.speaker), text)


def speaker_line(name: str, text: str) -> str:
    """`name: text`, with further lines indented, so that no text can begin a line like a speaker or a note of ours."""
    first, *more = text.splitlines() or [""]
    return "\n".join((f"{name}: {first}", *(line and f"  {line}" for line in more)))


def _speaker_name(speaker: Speaker) -> str:
    """The name on one line, without the characters that end names and surround our notes."""
    return " ".join(speaker.label.translate(_NAME_REPLACEMENTS).split()) or speaker.id


def _attachment_text(item: Attachment) -> str:
    title = f"[{item.kind}: {' '.join(item.name.split()) or item.media_type or 'unnamed'}]"
    return f"{title}\n{item.text}" if item.text else title
