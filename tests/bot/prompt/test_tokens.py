"""Token estimates err on the safe side, and take time in proportion to the text."""

from __future__ import annotations

import base64
import random

import pytest

from bot.prompt.tokens import count_tokens

# Counted with tiktoken 0.14's o200k_base (offline here); the tokenizer of OpenAI's present models.
COUNTED: dict[str, tuple[str, int]] = {
    "english": (
        (
            "The quick brown fox jumps over the lazy dog. Nobody expected the conversation to last so "
            "long, but here we are: three hours later, still talking about the weather, the harvest "
            "and the price of bread."
        ),
        42,
    ),
    "german": (
        (
            "Die Donaudampfschifffahrtsgesellschaft bedauert, dass die Überweisung erst am kommenden "
            "Donnerstag ausgeführt werden kann. Bitte prüfen Sie die Rechnungsanschrift und "
            "bestätigen Sie uns Größe und Menge."
        ),
        43,
    ),
    "russian": (
        (
            "Никто не ожидал, что разговор продлится так долго, но вот мы здесь: три часа спустя, "
            "всё ещё говорим о погоде, об урожае и о ценах на хлеб."
        ),
        42,
    ),
    "chinese": (
        (
            "没有人想到这次谈话会持续这么久,但是三个小时之后,我们还在谈论天气、收成和面包的价格。"
            "请记住我的名字叫艾达。"
        ),
        41,
    ),
    "json": (
        (
            '{"id": 12345, "items": [{"name": "a", "price": 9.99}, {"name": "b", "price": 12.5}], '
            '"ok": true, "at": "2026-01-02T03:04:05Z"}'
        ),
        61,
    ),
    "code": (
        (
            "function a(b,c){for(var d=0;d<b.length;d++)if(b[d]===c)return!0;return!1}"
            "var xQz=document.getElementById('kLmN').innerHTML;"
        ),
        48,
    ),
    "emoji": ("😀😃😄😁🥳👩‍👩‍👧‍👦🇩🇪🏳️‍🌈👍🏽✨🔥💯", 36),
    "base64": (base64.b64encode(random.Random(1).randbytes(600)).decode(), 544),
    "digits in russian": ("Счёт 3141592653589793238462643383279502884197169399375105820974", 23),
    "table": ("\n".join(f"| {i} | {i * 37 % 101}.{i * 13 % 97:02d} |" for i in range(40)), 360),
    "capitals": ("THIS IS WRITTEN IN CAPITAL LETTERS BECAUSE SOMEBODY IS ANGRY ABOUT IT", 20),
}


@pytest.mark.parametrize("name", COUNTED)
def test_estimates_err_on_the_safe_side_and_not_by_much(name: str) -> None:
    text, counted = COUNTED[name]
    assert counted <= count_tokens(text) <= 3 * counted


def test_counting_takes_time_in_proportion_to_the_text() -> None:
    """A text made to make regular expressions slow ends within the test's time limit."""
    for text in (" " * 400_000, "\n" * 400_000, "a-" * 200_000, "A" * 400_000, "a" * 31 + " " * 9):
        assert count_tokens(text) >= len(text) // 6
