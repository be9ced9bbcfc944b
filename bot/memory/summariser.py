"""Summariser: the notes of a conversation, by the model, from earlier notes and the turns since."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.errors import ModelBroken
from bot.ports import Message, Model, Prompt, StoredTurn
from bot.prompt.builder import PromptBuilder
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import REFUSED_MESSAGE, messages_of, speaker_line

INSTRUCTION = (
    "You keep the notes of a long conversation. Write down, in the conversation's language and in "
    "at most {words} words, all that later messages may need: names, facts, wishes, decisions, open "
    "questions, in order of time. Merge it with the earlier notes, if there are any. "
    "Write the notes only, no introduction."
)
MIN_SUMMARY_WORDS = 30
MAX_SUMMARY_WORDS = 400
TOKENS_PER_WORD = 2
SUMMARY_SHARE = 0.1
"""Share of the token budget that a summary may fill."""
TURNS_SHARE = 0.7
"""Share of the token budget for the turns of one summary, counted as they are stored."""
TRANSCRIPT_SHARE = 0.75
"""Share of the token budget for the transcript of these turns."""
ANSWER_TOKENS = 4_000
"""Limit of the model's answer, with room for its thinking; that of people's answers may be much lower."""
MIN_ANSWER_TOKENS = 400
MAX_CHARS_PER_TOKEN = 6


@dataclass(frozen=True, slots=True)
class Summariser:
    """Maker of summaries that fit into the prompts of `prompt_builder`."""

    model: Model
    prompt_builder: PromptBuilder

    @property
    def limit_tokens(self) -> int:
        """Size of the longest summary."""
        return int(self.prompt_builder.budget_tokens * SUMMARY_SHARE)

    def fitting(self, turns: Sequence[StoredTurn], share: float) -> Sequence[StoredTurn]:
        """The oldest turns that fit into `share` of a whole prompt, at least one."""
        room_tokens = int(self.prompt_builder.budget_tokens * TURNS_SHARE * share)
        end = 0
        while end < len(turns) and (end == 0 or turns[end].tokens <= room_tokens):
            room_tokens -= turns[end].tokens
            end += 1
        return turns[:end]

    async def summarise(
        self, earlier: str, turns: Sequence[StoredTurn], share: float, *, refused: int = 0
    ) -> str:
        """Summary of `turns`, merged with the `earlier` one. Raises ModelError, also if it is empty.

        Args:
            share: part of the prompt's budget that it may take; the answer's limit shrinks with it.
            refused: number of messages before `turns` whose words the provider refused.
        """
        budget_tokens = self.prompt_builder.budget_tokens
        lines = [speaker_line("user", REFUSED_MESSAGE)] * refused
        lines += [
            speaker_line(message.role, message.text)
            for item in turns
            for message in messages_of(item.turn)
        ]
        text = shorten("\n".join(lines), int(budget_tokens * TRANSCRIPT_SHARE * share))
        if earlier:
            text = f"Earlier notes:\n{earlier}\n\nConversation since:\n{text}"
        answer_tokens = max(MIN_ANSWER_TOKENS, int(ANSWER_TOKENS * share))
        words = min(self.limit_tokens, answer_tokens // 2) // TOKENS_PER_WORD
        words = max(MIN_SUMMARY_WORDS, min(MAX_SUMMARY_WORDS, words))
        prompt = Prompt(
            (Message("system", INSTRUCTION.format(words=words)), Message("user", text)),
            tokens=count_tokens(text),
            answer_tokens=answer_tokens,
        )
        async with aclosing(self.model.stream(prompt)) as stream:
            deltas = [delta async for delta in stream]
        begin = max((at for at, delta in enumerate(deltas) if delta.retracts), default=0)
        summary = shorten(
            "".join(delta.text for delta in deltas[begin:]).strip(), self.limit_tokens
        )
        if not summary:
            raise ModelBroken("the summary is empty")
        return summary


def shorten(text: str, limit_tokens: int) -> str:
    """`text`, cut at a line or sentence if it is longer than `limit_tokens`."""
    text = text[: (limit_tokens + 1) * MAX_CHARS_PER_TOKEN]
    while (tokens := count_tokens(text)) > limit_tokens:
        keep = min(int(len(text) * limit_tokens / tokens), len(text) - 1)
        cut = max(text.rfind("\n", 0, keep), text.rfind(". ", 0, keep))
        text = text[: cut if cut > keep // 2 else keep].rstrip()
    return text
