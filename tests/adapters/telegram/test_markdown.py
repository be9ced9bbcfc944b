"""Entities of messages as Markdown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Message, MessageEntity

from adapters.telegram.inbound.markdown import MAX_ENTITIES, to_markdown
from adapters.telegram.inbound.parse import ParsedMessage, parse_message, without_mention
from adapters.telegram.inbound.routing import BotIdentity
from tests.adapters.telegram.harness import ANNA, furnished
from tests.fakes.telegram.server import BOT_ID, TelegramServer
from tests.support.growth import assert_near_linear

ME = BotIdentity(BOT_ID, "keepthread_bot")


@pytest.fixture
def chats() -> TelegramServer:
    """Only its knowledge of chats and messages; it serves nothing here."""
    return furnished(TelegramServer())


def parse(raw: dict[str, Any], *, edited: bool = False) -> ParsedMessage | None:
    message = Message.de_json(raw, None)
    return parse_message(message, ME, 7, edited=edited)


def parsed(raw: dict[str, Any], *, edited: bool = False) -> ParsedMessage:
    found = parse(raw, edited=edited)
    assert found is not None
    return found


def test_entities_become_markdown(chats: TelegramServer) -> None:
    text = "😀 see code and\nx = 1\n here"
    entities = [
        {"type": "bold", "offset": 3, "length": 3},
        {"type": "code", "offset": 7, "length": 4},
        {"type": "pre", "offset": 16, "length": 5, "language": "python"},
        {"type": "text_link", "offset": 23, "length": 4, "url": "https://x.example/"},
    ]
    incoming = parsed(chats.message(ANNA, ANNA, text, entities=entities)).incoming
    assert (
        incoming.text == "😀 **see** `code` and\n```python\nx = 1\n```\n [here](https://x.example/)"
    )


def test_code_that_holds_a_fence_stays_one_block(chats: TelegramServer) -> None:
    code = "```py\nx\n```"
    entities = [{"type": "pre", "offset": 0, "length": len(code), "language": "md"}]
    incoming = parsed(chats.message(ANNA, ANNA, code, entities=entities)).incoming
    assert incoming.text == f"````md\n{code}\n````"


def entity(kind: str, offset: int, length: int, **more: Any) -> MessageEntity:
    return MessageEntity(kind, offset, length, **more)


LINK = "https://a.example/b"


@pytest.mark.parametrize(
    ("text", "entities", "markdown"),
    [
        ("translate", [entity("text_link", 0, 9, url=LINK), entity("bold", 0, 9)], f"**[translate]({LINK})**"),
        ("translate", [entity("bold", 0, 9), entity("text_link", 0, 9, url=LINK)], f"**[translate]({LINK})**"),
        ("you", [entity("italic", 0, 3), entity("bold", 0, 3)], "**_you_**"),
        ("abc", [entity("italic", 0, 2), entity("bold", 1, 2)], "_a**b**_c"),
        ("a b c", [entity("bold", 0, 5), entity("code", 2, 1)], "**a `b` c**"),
        ("bold ", [entity("bold", 0, 5)], "**bold** "),
        ("one\n\ntwo", [entity("bold", 0, 8)], "**one**\n\n**two**"),
        ("one\n\ntwo\nmine", [entity("blockquote", 0, 8)], "> one\n>\n> two\n\nmine"),
        ("one\ntwo", [entity("expandable_blockquote", 0, 7)], "> one\n> two"),
        ("see: one\ntwo", [entity("blockquote", 5, 7)], "see: \n> one\n> two"),
        ("a\nb\nc", [entity("blockquote", 0, 3), entity("bold", 0, 5)], "> **a**\n> **b**\n\n**c**"),
        ("x = 1\nmine", [entity("blockquote", 0, 5), entity("pre", 0, 5)], "> ```\n> x = 1\n> ```\n\nmine"),
        ("a``b", [entity("code", 0, 4)], "```a``b```"),
        ("`", [entity("code", 0, 1)], "`` ` ``"),
        ("a\nb", [entity("code", 0, 3)], "```\na\nb\n```"),
        ("😀 😀", [entity("bold", 3, 2)], "😀 **😀**"),
        ("here", [entity("text_link", 0, 4, url="https://a.example/(x)")], "[here](<https://a.example/(x)>)"),
        (LINK, [entity("text_link", 0, len(LINK), url=LINK)], LINK),
        ("abc", [entity("bold", 1, 50)], "a**bc**"),
        ("abc", [entity("bold", 3, 5), entity("bold", 0, 0)], "abc"),
    ],
)  # fmt: skip
def test_marks_are_well_nested_and_quotes_marked_line_by_line(
    text: str, entities: list[MessageEntity], markdown: str
) -> None:
    """T10: entities over the same text, overlapping ones, and ones over several lines or paragraphs."""
    assert to_markdown(text, entities) == markdown


def test_any_number_of_marks_over_the_same_words_costs_no_word() -> None:
    """T10: doubled marks are one."""
    marks = [entity(kind, 0, 4) for kind in ("bold", "italic", "spoiler") for _ in range(40)]
    assert to_markdown("word", marks) == "**_||word||_**"


KINDS = ["bold", "italic", "strikethrough", "spoiler", "text_link", "code", "pre", "blockquote"]
ENTITIES = st.lists(
    st.builds(
        entity,
        st.sampled_from(KINDS),
        st.integers(0, 12),
        st.integers(1, 12),
        url=st.just("u:x"),
    ),
    max_size=6,
)


@given(st.text("ab \n😀", max_size=12), ENTITIES)
def test_no_word_is_lost_and_every_mark_is_closed(text: str, entities: list[MessageEntity]) -> None:
    """T10: whatever entities a message has, each mark has its partner, inside the one around it."""
    markdown = to_markdown(text, entities)
    letters = re.sub(r"\]\(u:x\)", "", markdown)
    assert [char for char in letters if char in "ab😀"] == [char for char in text if char in "ab😀"]
    open_: list[str] = []
    for mark in re.findall(r"`+|\*\*|_|~~|\|\||\[|\]\(u:x\)", markdown):
        if open_ and open_[-1].startswith("`") and mark != open_[-1]:
            continue  # within code
        partner = "[" if mark == "](u:x)" else mark
        if open_ and open_[-1] == partner:
            open_.pop()
        else:
            assert mark != "](u:x)"
            open_.append(mark)
    assert not open_


@given(st.text("ab \n", min_size=1, max_size=12))
def test_every_line_of_a_quote_is_marked(text: str) -> None:
    """T10: no line of a quote reads as the person's own words."""
    quoted = to_markdown(text + "\nmine", [entity("blockquote", 0, len(text))])
    mine = quoted.splitlines()[-1]
    assert mine == "mine"
    assert all(line.startswith(">") for line in quoted.split("\n")[:-2])


ENTITY_FAMILIES = {
    "nested": lambda n: ("x" * n, [entity("bold", 0, n - at) for at in range(MAX_ENTITIES)]),
    "overlapping": lambda n: (
        "x" * n,
        [entity(KINDS[at % 4], at * (n // 400), n // 2) for at in range(MAX_ENTITIES)],
    ),
    "quoted lines": lambda n: ("a\n" * n, [entity("blockquote", 0, 2 * n)]),
    "bold lines": lambda n: ("a\n" * n, [entity("bold", 0, 2 * n)]),
    "blank lines": lambda n: (" \n" * n, [entity("bold", 0, 2 * n)]),
    "backticks": lambda n: ("` " * n, [entity("code", 0, 2 * n)]),
}


@pytest.mark.parametrize("family", ENTITY_FAMILIES)
def test_writing_marks_grows_with_the_message(family: str) -> None:
    """T10: no family of entities costs more than the size of its text."""
    assert_near_linear(lambda made: to_markdown(*made), ENTITY_FAMILIES[family], 4_000)


@pytest.mark.parametrize("text", ["{name}" + " " * 10**5 + "x", " " * 10**5, "{name}" * 20_000])
def test_the_bots_name_is_taken_off_in_linear_time(text: str) -> None:
    """T10: also off a message of blanks alone."""
    text = text.format(name="@keepthread_bot")
    assert_near_linear(
        lambda given: without_mention(given, "keepthread_bot"), lambda n: text * n, 1
    )
