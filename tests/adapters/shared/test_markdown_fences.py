"""Fences of Markdown code blocks, found and closed."""

from __future__ import annotations

import pytest

from adapters.shared.markdown_fences import close_fence, open_fence


@pytest.mark.parametrize(
    ("open_text", "end"),
    [
        ("```\ncode", "\n```"),
        ("```py\ncode\n", "```"),
        ("~~~~\n~~~\ncode", "\n~~~~"),
        ("  - point\n    ```sh\n    ls", "\n    ```"),
        ("> ```\n> quoted", "\n> ```"),
        ("````\n```\ncode\n```", "\n````"),
        ("```\ncode\n```` info", "\n```"),
        ("```grüße\ncode", "\n```"),
    ],
)
def test_an_open_fence_is_closed_as_it_was_opened(open_text: str, end: str) -> None:
    assert close_fence(open_text) == open_text + end
    assert open_fence(close_fence(open_text)) is None


@pytest.mark.parametrize(
    "text",
    ["", "plain", "```\ncode\n```", "```\ncode\n`````\n", "``` `inline` ```", "`` two ``\n~~ two"],
)
def test_text_without_an_open_fence_stays_as_it_is(text: str) -> None:
    assert close_fence(text) == text


def test_the_opening_line_is_kept_to_open_the_block_again() -> None:
    fence = open_fence("Look:\n> ```python title\n> x = 1")
    assert fence is not None
    assert (fence.line, fence.before, fence.marks) == ("> ```python title", "> ", "```")
