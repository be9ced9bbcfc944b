"""Tables on standard output."""

from __future__ import annotations

import pytest

from bot.cli.output import print_table


def test_markup_in_a_table_is_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("what", "cure"), [("a", "pip install 'keepthread[local]'"), ("[/b]", "\x1b[31mx")])
    assert capsys.readouterr().out.splitlines() == [
        "what  cure",
        "a     pip install 'keepthread[local]'",
        "[/b]  [31mx",
    ]


def test_a_piped_table_has_each_row_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("a", "b"), [("x" * 300, "y" * 300)])
    assert capsys.readouterr().out.splitlines()[1:] == ["x" * 300 + "  " + "y" * 300]
