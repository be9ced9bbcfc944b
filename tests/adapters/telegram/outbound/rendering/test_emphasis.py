"""Emphasis in scripts without blanks, and marks that are none."""

from __future__ import annotations

import pytest

from adapters.telegram.outbound.entities import Formatted, render
from tests.adapters.telegram.outbound.rendering.looks import looks

CJK = [
    ("边界：**社区显示：**Fable", "社区显示："),
    ("含**「重点」**内容", "「重点」"),
    ("중요한 **중요(필수)**입니다", "중요(필수)"),
    ("これは**「強調」**です", "「強調」"),
    ("这是**重点。**后面", "重点。"),
    ("他说**“你好”**然后", "“你好”"),
    ("カタカナ**（注）**本文", "（注）"),
    ("**注意！**请看", "注意！"),
    ("见**https://e.example/a**。", "https://e.example/a"),
    ("价格**100元**左右", "100元"),
    ("**`code`**说明", "code"),
    ("ใช้**(คำ)**นี้", "(คำ)"),
]


@pytest.mark.parametrize(("text", "bold"), CJK)
@pytest.mark.parametrize("frame", ["{}", "- {}", "> {}", "1. a\n   - {}", "# {}\n\n{}"])
def test_emphasis_beside_east_asian_punctuation_is_bold(text: str, bold: str, frame: str) -> None:
    """T5: as chat apps show it, also in lists, quotes and headings."""
    found = looks(frame.format(text, text))
    assert ("bold", bold) in found
    assert "**" not in render(frame.format(text, text)).text


@pytest.mark.parametrize(("text", "bold"), CJK)
def test_emphasis_beside_east_asian_punctuation_leaves_no_marks_in_a_table(
    text: str, bold: str
) -> None:
    """T5: in tables, too."""
    shown = render(f"| a | b |\n|---|---|\n| {text} | {text} |").text
    assert "*" not in shown
    assert shown.count(bold) == 2


def test_other_kinds_of_emphasis_beside_east_asian_punctuation_work() -> None:
    """T5: italic, strikethrough, and one within the other."""
    assert looks("含*「重点」*内容") == [("italic", "「重点」")]
    assert looks("含~~「重点」~~内容") == [("strikethrough", "「重点」")]
    assert looks("含***「重点」***内容") == [("bold", "「重点」"), ("italic", "「重点」")]
    assert looks("**甲（*乙*）**丙") == [("bold", "甲（乙）"), ("italic", "乙")]


@pytest.mark.parametrize(
    "text",
    [
        "2*3*4",
        "价格2*3*4元",
        "x**2 + y**2",
        "面积=3**2，体积=3**3",
        "f(*args, **kwargs)",
        "a * b * c",
        "5*3 und *4",
        "**",
        "snake_case_name and __init__",
        "~ 5 ~ 6",
        "~5~ and ~6~",
        "**a",
        "a**",
    ],
)
def test_marks_that_are_no_emphasis_stay(text: str) -> None:
    """T5: still no false emphasis."""
    assert render(text) == Formatted(text)


def test_marks_of_a_product_close_no_emphasis() -> None:
    assert looks("**Note 5*3*2**") == [("bold", "Note 5*3*2")]
    assert looks("*a 5*3 b*") == [("italic", "a 5*3 b")]
    assert looks("**a x**2 b**") == [("bold", "a x**2 b")]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("***a** b*", [("italic", "a b"), ("bold", "a")]),
        ("*c **d***", [("italic", "c d"), ("bold", "d")]),
        ("**a *b** c*", [("italic", "a b c")]),
        ("*a [b*](https://e.example)", [("text_link", "b*")]),
        ("**a `**` b**", [("bold", "a ** b"), ("code", "**")]),
        (r"\*a\* and *b\**", [("italic", "b*")]),
        ("&ast;a&ast; *b*", [("italic", "b")]),
        ("**API key**s", [("bold", "API key")]),
    ],
)
def test_emphasis_nests_as_commonmark_says(markdown: str, expected: list[tuple[str, str]]) -> None:
    assert looks(markdown) == expected
