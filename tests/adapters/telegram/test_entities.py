"""Rendering of Markdown: marks become entities, and every word is shown."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.shared.markdown_fences import close_fence
from adapters.telegram.outbound.entities import Entity, Formatted, render


def looks(formatted: Formatted) -> list[tuple[str, str]]:
    raw = formatted.text.encode("utf-16-le")
    return [
        (entity.type, raw[2 * entity.offset : 2 * entity.end].decode("utf-16-le"))
        for entity in formatted.entities
    ]


ONCE = (
    "{w} ", "**{w}** ", "***{w}*** ", "<{w}> ", "</{w}>", "<{w} a='{w}'>", "\n<{w}>\n\n", "[{w}](https://x.example) ",
    "[{w}](x y) ", "[{w}]() ", "\n```lang\n", "```\n", "\n```py\n{w}\n```\n", "\n| {w} | {w} |\n|---|---|\n| {w} | |\n",
    "| {w} || {w} |\n", "[^{w}] ", "\n[^{w}]: {w}\n", "![{w}](https://x.example/a.png) ", "<!-- {w} --> ", "\n<!--\n",
    "-->", "\n> {w}\n", "\n>> {w}\n", "||{w}|| ", "$${w}$$ ", "\n# {w}\n", "\n- [ ] {w}\n", "\n- {w}\n  - {w}\n",
    "\n1. {w}\n", "\\{w} ", "\\<{w} ", "&{w}; ", "`{w}` ", "\n~~~lang\n", "\n[{w}]: https://x.example\n", "[{w}][{w}] ",
    "<https://{w}.example> ", "\n{w}\n===\n", "\n    {w}\n", "~~{w}~~ ", "\n---\n", "{w}\\\n", "{w}  \n", "\n\n",
    "\n<div>\n{w}\n</div>\n", "<?{w}?>", "<![CDATA[{w}]]>", "<!{w}>", "@{w} ", "\n{w}\n: {w}\n", "^{w}^ ", "=={w}== ",
    "[[{w}]] ", "${w}^2$ ", "${w}:${w} ", "\\({w}\\) ", "\\[{w}\\] ", "| $\\frac{{{w}}}{{2}}$ | {w} |\n", "\n> [!NOTE]\n> {w}\n", "{{{w}}}", "\n---\n{w}: {w}\n---\n", "[{w}](tg://user?id=4) ", "\r\n",
)  # fmt: skip
"""Marks of every kind. Each `{w}` becomes a word of its own."""


code_lines = st.text(
    st.sampled_from("ab $\\|[]()<>*_~#`!-+=.:{}^&😀\t")
    | st.characters(exclude_categories=["Cc", "Cs"]),
    max_size=40,
)


def test_marks_become_entities_and_not_text() -> None:
    formatted = render("# Title\n\n**bold** _it_ `x<y>` [link](https://a.example) 😀 ~~no~~")
    assert formatted.text == "Title\n\nbold it x<y> link 😀 no"
    assert looks(formatted) == [
        ("bold", "Title"),
        ("bold", "bold"),
        ("italic", "it"),
        ("code", "x<y>"),
        ("text_link", "link"),
        ("strikethrough", "no"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Vec<T> and Map<K, V>",
        "<div>\nx\n\n</div>",
        "<!-- a remark --> stays",
        "<details><summary>a</summary>\nb\n</details>",
        "<script>\n\nalert(1)\n</script>",
        "a || b || c",
        "see[^1]\n\n[^1]: note",
        "5 < 6 and 7 > 3",
        "<?php echo 1 ?>",
    ],
)
def test_text_like_html_or_a_footnote_or_a_spoiler_is_kept(text: str) -> None:
    assert render(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "1*2 and 3*4",
        "5*3*2 = 30, a*b*c, f(x)=2*x*y",
        "2**10 = 1024 and 3**2 = 9",
        "x**2 + y**2 = z**2, x**n+y**n",
        "Leser*innen und Nutzer*innen",
        "__init__.py and __main__.py",
        "https://a.example/5*3*2 and https://a.example/_x_/y",
    ],
)
def test_stars_and_bars_that_are_no_emphasis_are_kept(text: str) -> None:
    assert render(text) == Formatted(text)


def test_stars_of_a_product_are_kept_in_tables_and_within_bold() -> None:
    assert render("**Note 5*3*2**") == Formatted("Note 5*3*2", (Entity("bold", 0, 10),))
    assert "2*3*4 | 2**3 and 4**5" in render("| a | b |\n|-|-|\n| 2*3*4 | 2**3 and 4**5 |").text


def test_emphasis_stays_emphasis_also_within_words_and_without_blanks() -> None:
    assert looks(render("un**glaub**lich, **Donau**dampf, *5*th, 2*3 is *six*, __very__ bold")) == [
        ("bold", "glaub"),
        ("bold", "Donau"),
        ("italic", "5"),
        ("italic", "six"),
    ]
    assert looks(render("这是*重点*内容 **重点**内容")) == [("italic", "重点"), ("bold", "重点")]


def test_a_list_of_sources_that_no_text_refers_to_is_kept() -> None:
    formatted = render("See [1] and [b][2].\n\n[1]: https://a.example\n[2]: https://b.example")
    assert looks(formatted) == [("text_link", "1"), ("text_link", "b")]
    sources = "[1]: https://a.example\n- [2]: https://b.example\n> [3]: https://c.example"
    assert re.findall(r"\[(\d)\]: https://(.)\.example", render(sources).text) == [
        ("1", "a"),
        ("2", "b"),
        ("3", "c"),
    ]


def test_cells_beyond_the_last_column_of_a_table_are_kept() -> None:
    table = "| sign | means |\n|---|---|\n| `a || b` | or | often |\n| `&` | and |"
    rows = [" ".join(line.split()) for line in render(table).text.splitlines()]
    assert rows == ["sign | means", "-------+-----------", "a || b | or | often", "& | and"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ONCE), max_size=25).map("".join))
def test_every_word_that_a_model_writes_is_shown_once_whatever_marks_are_around_it(
    template: str,
) -> None:
    numbers = itertools.count()
    markdown = re.sub(r"\{w\}", lambda _: f"W{next(numbers)}x", template)
    words = [f"W{number}x" for number in range(next(numbers))]
    shown = render(markdown)
    links = [one.url or "" for one in shown.entities]
    for word in words:
        assert shown.text.count(word) == 1 or any(word in link for link in links)
    places = [shown.text.find(word) for word in words if word in shown.text]
    assert places == sorted(places)


def test_code_keeps_characters_that_are_escaped_elsewhere() -> None:
    formatted = render("`a||b<c>`\n\n```js\nx = a || b || <i>\n```\n\n    indented <b>")
    assert looks(formatted) == [
        ("code", "a||b<c>"),
        ("pre", "x = a || b || <i>"),
        ("pre", "indented <b>"),
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(code_lines, min_size=1, max_size=6))
def test_code_is_shown_letter_by_letter(lines: list[str]) -> None:
    code = "\n".join(["first", *lines, "last"]).replace("```", "")
    block = render(f"Look:\n\n```tex\n{code}\n```\n\nbye")
    assert looks(block) == [("pre", code)]
    assert block.text == f"Look:\n\n{code}\n\nbye"


def test_latex_within_code_is_left_alone_and_elsewhere_made_readable() -> None:
    source = "\\[ x = \\frac{a}{b} \\] and \\( \\alpha \\to \\beta \\)"
    assert render(f"```latex\n{source}\n```").text == source
    assert render(f"`{source}`").text == source
    assert render("Let \\( \\alpha \\to \\beta \\) be $x^2$.").text == "Let α → β be x^2."


@pytest.mark.parametrize(
    "text", ["set $PATH:$HOME first", "$$ is the shell and $$ too", "from $5/$10 up", "$A:$B:$C:$D"]
)
def test_dollars_that_hold_no_formula_are_dollars(text: str) -> None:
    assert render(text).text == text


def test_a_formula_in_a_table_stays_in_its_cell() -> None:
    table = "| a | b |\n|---|---|\n| $\\frac{1}{2}$ | $$|x|^2$$ |"
    assert render(table).text.splitlines()[-1].split() == ["1/2", "|", "|x|^2"]


def test_a_table_with_empty_cells_stays_a_table() -> None:
    formatted = render("| a || b |\n|---|---|---|\n| 1 || 3 |")
    assert [kind for kind, _ in looks(formatted)] == ["pre"]


def test_a_quote_within_a_quote_is_one_quote() -> None:
    formatted = render("> first\n>> second\n> third\n\n> other")
    assert looks(formatted) == [("blockquote", "first\nsecond\nthird"), ("blockquote", "other")]


def test_a_lone_surrogate_stops_nothing() -> None:
    assert render("a \ud83d b").text == "a � b"


@pytest.mark.parametrize(
    "cut",
    [
        "```js\nlet a",
        "```js\nlet a\n",
        "~~~~\n```\n~~~",
        "a\n- b\n  ```\n  c",
        "``` `\n```\nb",
        "> ```\n> c",
    ],
)
def test_text_after_an_answer_that_was_cut_off_stands_in_no_code_block(cut: str) -> None:
    formatted = render(f"{close_fence(cut)}\n\nIt was cut off.")
    assert formatted.text.endswith("\n\nIt was cut off.")
    assert not any("cut off" in words for _, words in looks(formatted))


@pytest.mark.parametrize("whole", ["", "a", "```\na\n```\nb", "a ``` b", "```` a```b"])
def test_a_text_without_an_open_code_block_stays_as_it_is(whole: str) -> None:
    assert close_fence(whole) == whole
