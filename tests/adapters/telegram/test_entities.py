"""A model's Markdown as Telegram shows it, and how it is cut into messages."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.shared.markdown_fences import close_fence
from adapters.telegram.outbound.entities import Entity, Formatted, render
from adapters.telegram.outbound.splitting import split
from bot.text import utf16_length
from tests.fakes.telegram.chats import checked_text

TABLE = "| name | age |\n|---|---|\n| Zoë | 7 |\n| Ωmega | 12 |"
CODE = "```python\n" + "".join(f"    print({n})  # 👩‍👩‍👧\n" for n in range(9)) + "```"


def looks(formatted: Formatted) -> list[tuple[str, str]]:
    raw = formatted.text.encode("utf-16-le")
    return [
        (one.type, raw[2 * one.offset : 2 * one.end].decode("utf-16-le"))
        for one in formatted.entities
    ]


def as_sent(piece: Formatted) -> str:
    """`piece` as Telegram would keep it; it refuses what breaks a limit."""
    entities = [
        {"type": one.type, "offset": one.offset, "length": one.length, "url": one.url}
        for one in piece.entities
    ]
    return checked_text(piece.text, entities)


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
def test_text_that_looks_like_html_or_a_footnote_or_a_spoiler_is_kept(text: str) -> None:
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


def test_code_keeps_what_is_escaped_elsewhere() -> None:
    formatted = render("`a||b<c>`\n\n```js\nx = a || b || <i>\n```\n\n    indented <b>")
    assert looks(formatted) == [
        ("code", "a||b<c>"),
        ("pre", "x = a || b || <i>"),
        ("pre", "indented <b>"),
    ]


code_lines = st.text(
    st.sampled_from("ab $\\|[]()<>*_~#`!-+=.:{}^&😀\t")
    | st.characters(exclude_categories=["Cc", "Cs"]),
    max_size=40,
)


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
    table = "| a | b |\n|---|---|\n| $\\frac{1}{2}$ | $$x^2$$ |"
    assert render(table).text.splitlines()[-1].split() == ["$\\frac{1}{2}$", "|", "$$x^2$$"]


def test_a_table_with_empty_cells_stays_a_table() -> None:
    formatted = render("| a || b |\n|---|---|---|\n| 1 || 3 |")
    assert [kind for kind, _ in looks(formatted)] == ["pre"]


def test_a_quote_within_a_quote_is_one_quote() -> None:
    formatted = render("> first\n>> second\n> third\n\n> other")
    assert looks(formatted) == [("blockquote", "first\nsecond\nthird"), ("blockquote", "other")]


def test_an_address_that_telegram_would_refuse_is_no_link() -> None:
    formatted = render("[a](foo.md) [b](#part) [c](https://x.example) [d](mailto:a@b.example)")
    assert [text for kind, text in looks(formatted) if kind == "text_link"] == ["c", "d"]


def test_a_lone_surrogate_stops_nothing() -> None:
    assert render("a \ud83d b").text == "a � b"


def test_short_text_is_one_message() -> None:
    assert split(render("hello")) == [Formatted("hello")]


@pytest.mark.parametrize("text", ["", " \n ", "\n\n"])
def test_nothing_to_say_is_no_message(text: str) -> None:
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


fragments = st.sampled_from(
    ["**b** ", "_i_ ", "`c` ", "word ", "😀", "👩‍👩‍👧", "é", "\n", "\n\n", "- a\n", "# H\n", "> q\n",
     "[l](https://x.example) ", "<T>", "||", "```py\n", "```\n", "    ", "| a | b |\n|--|--|\n| 1 | 2 |\n",
     "$x$ ", "\\", "~~s~~ ", "1. x\n", "x" * 30]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(fragments, max_size=120).map("".join), st.integers(24, 300), st.integers(2, 12))
def test_cutting_loses_nothing_doubles_nothing_and_keeps_the_limits(
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
    if len({one.offset for one in whole.entities}) == len(whole.entities):
        assert letters_by_look(pieces) == letters_by_look([whole])


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.integers(24, 120))
def test_any_text_at_all_can_be_rendered_and_cut(text: str, limit: int) -> None:
    whole = render(text)
    pieces = split(whole, limit=limit)
    assert all(utf16_length(piece.text) <= limit for piece in pieces)
    assert "".join("".join(p.text.split()) for p in pieces) == "".join(whole.text.split())


def letters_by_look(pieces: list[Formatted]) -> dict[str, str]:
    """All letters of each look, in order."""
    found: dict[str, str] = {}
    for piece in pieces:
        for kind, text in looks(piece):
            found[kind] = found.get(kind, "") + re.sub(r"\s", "", text)
    return {kind: text for kind, text in found.items() if text}


def test_a_cut_link_leads_to_the_same_place_in_both_messages() -> None:
    whole = Formatted("a" * 100, (Entity("text_link", 10, 80, url="https://x.example"),))
    pieces = split(whole, limit=50)
    assert [one.url for piece in pieces for one in piece.entities] == ["https://x.example"] * 2


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
def test_the_text_after_a_cut_off_answer_stands_in_no_code_block(cut: str) -> None:
    formatted = render(f"{close_fence(cut)}\n\nIt was cut off.")
    assert formatted.text.endswith("\n\nIt was cut off.")
    assert not any("cut off" in words for _, words in looks(formatted))


@pytest.mark.parametrize("whole", ["", "a", "```\na\n```\nb", "a ``` b", "```` a```b"])
def test_a_text_without_an_open_code_block_stays_as_it_is(whole: str) -> None:
    assert close_fence(whole) == whole
