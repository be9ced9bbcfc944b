"""Token estimates of texts, without the model's tokenizer. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

TOKENS_PER_MESSAGE = 4
"""Role and separators, per message (OpenAI cookbook, "How to count tokens": a little over 3)."""


_PART = re.compile(
    r"[A-Za-z0-9+/_=-]{32,}"  # base64, keys, long addresses: in no vocabulary
    r"|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|\n+|[ ](?=[0-9])|[!-/:-@\[-`{-~]"
)


def count_tokens(text: str) -> int:
    """Tokens of `text`, estimated without a vocabulary, rather too high than too low.

    A word costs one for each four letters begun, digits one for each two, anything else by its length in
    UTF-8. Over what o200k_base counts: 1.2 for English, 1.4 for code and JSON, 1.8 to 2.5 for German,
    Russian and Chinese, 1.1 for base64 and tables (tests/bot/prompt/test_tokens.py has the figures). The
    rest is corrected by `HistorySnapshot.calibration`.
    """
    total = 0
    for part in _PART.findall(text):
        size, first = len(part), part[0]
        if size == 1 or first <= " ":
            total += 1
        elif size >= 32:
            total += size * 3 // 4
        elif first >= "A":
            if part[1] <= "Z":
                total += (size + 2) // 3
            elif size <= 5:
                total += 1
            else:
                total += (size + 3) // 4 if size <= 16 else (size + 1) // 2
        else:
            total += (size + 1) // 2
    if not text.isascii():
        wide = len(text.encode("utf-8", "replace")) - len(text.encode("ascii", "ignore"))
        huge = len(text.encode("utf-16-le", "replace")) // 2 - len(text)
        total += wide * 9 // 20 + huge + 1
    return max(total, len(text) // 6)


count_tokens_cached = lru_cache(maxsize=64)(count_tokens)
"""Cached count, for texts that are counted every turn: the system prompt and summaries."""
