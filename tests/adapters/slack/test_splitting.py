"""Splitting: Markdown of any length arrives whole, and looks right in every message."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.shared.markdown_fences import close_fence
from adapters.slack.outbound.markdown.splitting import MAX_UNITS, split, split_visible
from bot.text import utf16_length


def _times(text: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    return st.tuples(text, st.integers(1, most)).map(lambda pair: pair[0] * pair[1])


CHUNKS = st.one_of(
    _times(
        st.sampled_from(["word ", "x", "😀", "👩‍👩‍👧", "🇩🇪", "é", " ", "\n", "\t", "\r\n"]), 14_000
    ),
    _times(
        st.sampled_from(["A line of words.\n", "- a point\n", "> a quote\n", "A paragraph.\n\n"]),
        900,
    ),
    st.sampled_from(
        ["```python\n", "```\n", "~~~~\n", "  ```js\n", "> ```\n", "````\n", "```a`b\n", "``", "`"]
    ),
    _times(st.just("| a | b |\n|---|:-:|\n" + "| 1 | 2 |\n" * 40), 30),
    st.sampled_from(
        ["| a |\n|---|\n", "|", "\n\n", "# Head\n", "---\n", "<!channel>", "@here", "<@U12"]
    ),
    st.text(max_size=60),
)
MARKDOWN = st.lists(CHUNKS, max_size=14).map("".join)


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
@example("")
@example("\n" * 30_000)
@example("```python\n" + "x = 1\n" * 40_000)
@example("😀" * 60_000)
def test_nothing_is_lost_and_nothing_doubled_by_splitting(text: str) -> None:
    pieces = split(text)
    assert "".join(piece.body for piece in pieces) == text
    assert all(piece.body for piece in pieces)
    assert all(utf16_length(piece.text) <= MAX_UNITS for piece in pieces)
    lost = [piece.body for piece in pieces if not piece.is_visible]
    assert not "".join(lost).strip()


@settings(max_examples=120, deadline=None)
@given(MARKDOWN, st.data())
def test_a_message_shown_while_the_answer_grows_is_the_message_in_the_end(
    text: str, data: st.DataObject
) -> None:
    whole = split(text)
    so_far = text[: data.draw(st.integers(0, len(text)))]
    growing = split(so_far, growing=True)
    assert growing[:-1] == whole[: max(0, len(growing) - 1)]
    if growing:
        assert whole[len(growing) - 1].text.startswith(growing[-1].text)


def test_a_long_code_block_is_code_in_every_message_of_it() -> None:
    lines = "".join(f"value_{number} = {number}\n" for number in range(1_500))
    pieces = split(f"Look:\n\n```python\n{lines}```\n\nThat was it.\n")
    assert len(pieces) > 2
    for piece in pieces:
        assert len(re.findall(r"^```", piece.text, re.MULTILINE)) % 2 == 0
    assert all(piece.lead == "```python\n" for piece in pieces[1:])
    assert all(piece.tail == "```" for piece in pieces[:-1])


def test_a_long_table_has_its_head_in_every_message_and_no_row_is_cut() -> None:
    head = "| number | square |\n|---:|---:|\n"
    rows = [f"| {number} | {number * number} |\n" for number in range(2_000)]
    pieces = split(head + "".join(rows))
    assert len(pieces) > 2
    assert all(piece.text.startswith(head) for piece in pieces)
    assert [line for piece in pieces for line in piece.body.splitlines(True)] == [
        *head.splitlines(True),
        *rows,
    ]


def test_a_table_that_fits_into_the_next_message_is_not_cut() -> None:
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 200
    pieces = split("word " * 1_590 + "\n\n" + table)
    assert [piece.lead for piece in pieces] == ["", ""]
    assert pieces[1].body == table


def test_cuts_fall_between_paragraphs_where_there_are_any() -> None:
    text = "".join(f"Paragraph {number}, of some length.\n\n" for number in range(1_500))
    pieces = split(text)
    assert all(
        piece.body.startswith("Paragraph") and piece.body.endswith("\n\n") for piece in pieces
    )


def test_no_emoji_is_cut_in_two() -> None:
    for symbol in ("👩‍👩‍👧", "🇩🇪", "👍🏽", "e\u0301"):
        for piece in split(symbol * 12_000):
            assert not piece.body.replace(symbol, "")


def test_a_message_of_white_space_is_not_sent() -> None:
    assert split_visible("\n" * 40_000) == []
    assert [piece.is_visible for piece in split_visible("a" + "\n" * 40_000 + "b")] == [True, True]


def test_two_hundred_thousand_characters_take_no_more_messages_than_they_need() -> None:
    text = "A line of an answer without any end.\n" * 5_500
    assert len(text) > 200_000
    assert len(split(text)) <= len(text) / 9_000 + 1


def test_a_line_of_blanks_that_could_begin_a_table_is_split_in_linear_time() -> None:
    """A text made to make regular expressions slow ends within the test's time limit."""
    text = f"a|b\n{' ' * 200_000}x|"
    assert close_fence(text) == text


def test_an_open_fence_is_closed_before_something_else_follows() -> None:
    assert close_fence("```js\nlet a") == "```js\nlet a\n```"
    assert close_fence("  ~~~~\na\n") == "  ~~~~\na\n  ~~~~"
    assert close_fence("```\na\n```\nb") == "```\na\n```\nb"


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
def test_a_continued_code_block_repeats_the_fence_that_opened_it(text: str) -> None:
    pieces = split(text)
    for before, piece in zip([None, *pieces], pieces, strict=False):
        if piece.lead:
            assert piece.lead in text
            assert before is not None
        if before is not None and before.tail:
            marks = before.tail.strip(" \t>\n")
            assert marks[0] * 3 in marks
            assert piece.lead.lstrip(" \t>").startswith(marks)
