"""Renderer of answers: laws about words, blocks and control characters."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.console.render import error_text, finished_length
from bot.errors import CommandError, ModelKeyRefused
from bot.text import strip_controls
from tests.adapters.console.harness import rendered, unhurried

PIECES = st.sampled_from(
    [
        *(
            "word",
            "a",
            "Ω",
            "日本",
            " ",
            "    ",
            "\n",
            "\n\n",
            "# ",
            "- ",
            "1. ",
            "> ",
            "```",
            "```py\n",
        ),
        *(
            "---",
            "===",
            "|",
            "| a | b |\n|---|---|\n| c | d |\n",
            "**",
            "_",
            "`",
            "~~~",
            "[x](http://y)",
        ),
        *("<b>", "<!-- ", "-->", "[r]: /u\n", "![p](q)", "\\", "&amp;", "\t", "+++", "* ", "~~"),
    ]
)


MARKDOWN = st.lists(PIECES, max_size=25).map("".join)


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@unhurried
@given(st.text(), st.text())
def test_stripping_the_parts_strips_the_whole(one: str, other: str) -> None:
    assert strip_controls(one) + strip_controls(other) == strip_controls(one + other)


@unhurried
@given(st.text())
def test_no_control_character_passes(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", strip_controls(text))
    printable = "".join(c for c in text if c.isprintable() or c in "\n\t ")
    assert [c for c in strip_controls(text) if c in printable] == list(printable)


@unhurried
@given(MARKDOWN)
@example("para\n#hashtag\n")
@example("- a\n\n      code\n\n- b\n")
def test_a_finished_part_looks_the_same_whatever_follows(text: str) -> None:
    """Written for good block by block, an answer is what it would be written at once."""
    ends = [finished_length(text[:cut]) for cut in range(len(text) + 1)]
    assert all(0 <= end <= cut for cut, end in enumerate(ends))
    whole = rendered(text).split()
    for end in set(ends):
        assert rendered(text[:end], text[end:]).split() == whole


@unhurried
@given(MARKDOWN)
def test_a_finished_part_stays_finished(text: str) -> None:
    ends = [finished_length(text[:cut]) for cut in range(len(text) + 1)]
    assert ends == sorted(ends)


SENTENCE = st.lists(st.from_regex(r"[a-zé]{1,12}", fullmatch=True), min_size=1, max_size=8).map(
    " ".join
)


BLOCK = st.one_of(
    SENTENCE,
    SENTENCE.map("# {}".format),
    SENTENCE.map("> {}".format),
    SENTENCE.map("<div>{}</div>".format),
    SENTENCE.map("one <kbd>{}</kbd> two".format),
    SENTENCE.map("![{}](http://example.org/picture)".format),
    SENTENCE.map("[{}](http://example.org/page)".format),
    SENTENCE.map("[note]: {}".format),
    SENTENCE.map("**{}**".format),
    st.lists(SENTENCE, min_size=1, max_size=4).map(
        lambda items: "\n".join(f"- {i}" for i in items)
    ),
    st.lists(SENTENCE, min_size=1, max_size=4).map(lambda items: "\n".join(items)),
    st.lists(SENTENCE, min_size=1, max_size=4).map(
        lambda lines: "```\n" + "\n".join(lines) + "\n```"
    ),
    st.tuples(SENTENCE, SENTENCE).map(
        lambda cells: f"| a | b |\n|---|---|\n| {cells[0]} | {cells[1]} |"
    ),
)


@unhurried
@given(st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join))
def test_rendering_loses_no_word(text: str) -> None:
    assert words_in(rendered(text, width=400)) == words_in(text)


def test_lines_stay_broken_and_code_is_not_indented() -> None:
    seen = rendered("Roses are red\nViolets are blue\n\n```python\nif x:\n    y()\n```\n")
    assert seen.splitlines() == ["Roses are red", "Violets are blue", "", "if x:", "    y()"]


def test_an_error_is_shown_with_its_cure_once() -> None:
    text = error_text(ModelKeyRefused("401 \x1b[2Jno", cure="Check the key."))
    assert text.splitlines()[1:] == ["401 [2Jno", "Check the key."]
    assert error_text(CommandError("There is nothing.")) == "There is nothing."
