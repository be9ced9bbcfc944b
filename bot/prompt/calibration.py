"""Corrects our token estimate by the provider's real counts."""

from __future__ import annotations

from dataclasses import dataclass

from bot.ports import HistorySnapshot, Prompt, ProvenPrompt

MIN_TOKENS = 500
"""A smaller prompt says little of how our estimate compares with the provider's count."""
MAX_BYTES_PER_TOKEN = 8
"""No tokenizer makes so few tokens: a lower report leaves something out, as of a prompt that was cut."""
MIN_GROWTH = 0.25
"""Least share of an estimate's growth that a report has to follow, else the prompt was cut."""
SMOOTHING = 0.5
HEADROOM = 1.1
"""Factor by which a prompt may exceed the largest one that is proven to be read whole."""
MIN_RATIO, MAX_RATIO = 0.5, 3.0
"""Bounds of the correction, against replies with wrong usage."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a report of the provider teaches.

    Attributes:
        ratio: tokens the provider counts over tokens we estimate, smoothed.
        proven: the largest prompt that was read whole.
    """

    ratio: float
    proven: ProvenPrompt


def calibrated(past: HistorySnapshot, prompt: Prompt, reported_tokens: int) -> Calibration | None:
    """The calibration after a report; None if the report is no measure of the whole prompt."""
    if prompt.tokens < MIN_TOKENS or any(message.images for message in prompt.messages):
        return None
    size_bytes = sum(len(message.text.encode(errors="replace")) for message in prompt.messages)
    if reported_tokens * MAX_BYTES_PER_TOKEN < size_bytes:
        return None
    proven, ratio = past.proven, reported_tokens / prompt.tokens
    if prompt.tokens > proven.tokens:
        grown = prompt.tokens - proven.tokens
        if reported_tokens - proven.reported < MIN_GROWTH * min(1, ratio) * grown:
            return None
        proven = ProvenPrompt(prompt.tokens, reported_tokens)
    return Calibration(SMOOTHING * past.calibration + (1 - SMOOTHING) * ratio, proven)


def calibrated_budget(budget_tokens: int, past: HistorySnapshot) -> int:
    """The budget in estimated tokens; above `budget_tokens` only as far as is proven."""
    budget = int(budget_tokens / max(MIN_RATIO, min(MAX_RATIO, past.calibration)))
    return min(budget, max(budget_tokens, int(past.proven.tokens * HEADROOM)))
