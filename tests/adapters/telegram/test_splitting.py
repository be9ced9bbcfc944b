"""Splitting into messages: nothing is lost or doubled, and the limits are kept."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.telegram.outbound.entities import Entity, Formatted, render
from adapters.telegram.outbound.splitting import split
from bot.text import utf16_length
from tests.fakes.telegram.chats import checked_text

TABLE = "| name | age |\n|---|---|\n| Zoë | 7 |\n| Ωmega | 12 |"


CODE = "```python\n" + "".join(f"    print({n})  # 👩‍👩‍👧\n" for n in range(9)) + "```"


def looks(formatted: Formatted) -> list[tuple[str, str]]:
    raw = formatted.text.encode("utf-16-le")
    return [
        (entity.type, raw[2 * entity.offset : 2 * entity.end].decode("utf-16-le"))
        for entity in formatted.entities
    ]


def as_sent(piece: Formatted) -> str:
    """`piece` as Telegram would keep it; it refuses what breaks a limit."""
    entities = [
        {
            "type": entity.type,
            "offset": entity.offset,
            "length": entity.length,
            "url": entity.url,
        }
        for entity in piece.entities
    ]
    return checked_text(piece.text, entities)


fragments = st.sampled_from(
    ["**b** ", "_i_ ", "`c` ", "word ", "😀", "👩‍👩‍👧", "é", "\n", "\n\n", "- a\n", "# H\n", "> q\n",
     "[l](https://x.example) ", "<T>", "||", "```py\n", "```\n", "    ", "| a | b |\n|--|--|\n| 1 | 2 |\n",
     "$x$ ", "\\", "~~s~~ ", "1. x\n", "x" * 30]
)  # fmt: skip


def letters_by_look(pieces: list[Formatted]) -> dict[str, str]:
    """All letters of each look, in order."""
    found: dict[str, str] = {}
    for piece in pieces:
        for kind, text in looks(piece):
            found[kind] = found.get(kind, "") + re.sub(r"\s", "", text)
    return {kind: text for kind, text in found.items() if text}


def test_short_text_is_one_message() -> None:
    assert split(render("hello")) == [Formatted("hello")]


@pytest.mark.parametrize("text", ["", " \n ", "\n\n"])
def test_a_blank_text_is_no_message(text: str) -> None:
    assert split(render(text)) == []


def test_a_code_block_that_fits_in_one_message_is_not_cut() -> None:
    text = "word " * 800 + "\n\n" + CODE + "\n\nend"
    pieces = split(render(text))
    assert [[e.language for e in piece.entities] for piece in pieces] == [[], ["python"]]


def test_a_code_block_that_is_too_long_is_opened_again_in_its_language() -> None:
    lines = [f"line_{n} = {n}  # {'x' * 40}" for n in range(300)]
    pieces = split(render("Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat is all."))
    assert len(pieces) > 3
    assert all(piece.entities[0].language == "python" for piece in pieces)
    in_code = "\n".join(text for piece in pieces for kind, text in looks(piece) if kind == "pre")
    assert in_code.splitlines() == lines


def test_emoji_of_several_characters_are_not_cut_apart() -> None:
    family, flag, thumb = "👩‍👩‍👧‍👦", "🇪🇸", "👍🏽"
    for symbol in (family, flag, thumb):
        pieces = split(Formatted(symbol * 2_000))
        assert "".join(piece.text for piece in pieces) == symbol * 2_000
        assert all(len(piece.text) % len(symbol) == 0 for piece in pieces)


def test_more_than_a_hundred_entities_need_another_message() -> None:
    words = " ".join(f"**b{n}**" for n in range(250))
    pieces = split(render(words))
    assert [len(piece.entities) for piece in pieces] == [100, 100, 50]
    assert " ".join(piece.text for piece in pieces).split() == words.replace("**", "").split()


def test_thirty_thousand_characters_of_everything_stay_whole() -> None:
    part = f"## Part 😀\n\nVec<T> *soft* **hard** `code`\n\n{TABLE}\n\n{CODE}\n\n> quoted\n\n- [x] done\n\n"
    text = part * (30_000 // len(part) + 1)
    whole = render(text)
    pieces = split(whole)
    assert all(utf16_length(piece.text) <= 4096 and len(piece.entities) <= 100 for piece in pieces)
    assert "".join("".join(as_sent(one).split()) for one in pieces) == "".join(whole.text.split())


@settings(max_examples=150, deadline=None)
@given(st.lists(fragments, max_size=120).map("".join), st.integers(24, 300), st.integers(2, 12))
def test_splitting_loses_nothing_doubles_nothing_and_keeps_the_limits(
    markdown: str, limit: int, most: int
) -> None:
    whole = render(markdown)
    pieces = split(whole, limit=limit, max_entities=most)
    joined = "".join(piece.text for piece in pieces)
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", whole.text)
    for piece in pieces:
        assert utf16_length(piece.text) <= limit
        assert len(piece.entities) <= most
        as_sent(piece)
    if len({entity.offset for entity in whole.entities}) == len(whole.entities):
        assert letters_by_look(pieces) == letters_by_look([whole])


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.integers(24, 120))
def test_any_text_can_be_rendered_and_split(text: str, limit: int) -> None:
    whole = render(text)
    pieces = split(whole, limit=limit)
    assert all(utf16_length(piece.text) <= limit for piece in pieces)
    assert "".join("".join(p.text.split()) for p in pieces) == "".join(whole.text.split())


def test_a_cut_link_leads_to_the_same_place_in_both_messages() -> None:
    whole = Formatted("a" * 100, (Entity("text_link", 10, 80, url="https://x.example"),))
    pieces = split(whole, limit=50)
    assert [entity.url for piece in pieces for entity in piece.entities] == [
        "https://x.example"
    ] * 2
