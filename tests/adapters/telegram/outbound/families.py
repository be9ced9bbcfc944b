"""Families of Markdown that are costly for a careless renderer; each makes about so many characters."""

from __future__ import annotations

from collections.abc import Callable


def _repeated(unit: str, lead: str = "", end: str = "") -> Callable[[int], str]:
    return lambda size: lead + unit * max(1, size // len(unit)) + end


def _rows_under_a_wide_head(size: int) -> str:
    columns = int(size**0.5 / 2)
    return "|a" * columns + "|\n" + "|-" * columns + "|\n" + "|a|\n" * (size // 8)


def _backticks_of_all_lengths(size: int) -> str:
    return " ".join("`" * length for length in range(1, int((2 * size) ** 0.5)))


def _definitions(size: int) -> str:
    numbers = range(size // 40)
    uses = " ".join(f"[{number}]" for number in numbers)
    return (
        uses + "\n\n" + "\n".join(f"[{number}]: https://e.example/{number}" for number in numbers)
    )


MARKDOWN: dict[str, Callable[[int], str]] = {
    "words": _repeated("Some **bold** words, `code` and a [link](https://e.example/a). "),
    "cells of code in a row": _repeated("`a`|", "|a|b|\n|-|-|\n|"),
    "small fences": _repeated("```\na\n```\n"),
    "rows under a wide head": _rows_under_a_wide_head,
    "wide head": lambda size: "|a" * (size // 4) + "|\n" + "|-" * (size // 4) + "|\n",
    "tables": _repeated("|a|b|\n|-|-|\n|1|2|\n\n"),
    "rows under a wide cell": lambda size: (
        "|a|b|\n|-|-|\n|" + "x" * (size // 9) + "|\n" + "|1|2|\n" * (size // 7)
    ),
    "delimiter rows": _repeated("|-|\n", "a\n"),
    "blanks behind a delimiter row": lambda size: "a\n---" + " " * size + "x",
    "openers": _repeated("**a *b _c ~~d "),
    "closers": _repeated("a** b* c_ d~~ "),
    "runs within words": _repeated("a**b"),
    "powers": _repeated("x**2 + "),
    "openers of two kinds before closers": lambda size: (
        "a** " * (size // 12) + "_b " * (size // 9) + "c**d " * (size // 15)
    ),
    "names": _repeated("__init__ "),
    "underscores in words": _repeated("a_b__c"),
    "stars in an address": lambda size: "https://e.example/" + "*_" * (size // 2) + "x",
    "brackets": _repeated("["),
    "half links": _repeated("[a](<b"),
    "half pictures": _repeated("![[]()"),
    "pictures in pictures": lambda size: "![a " * (size // 8) + "](u)" * (size // 8),
    "bad links": _repeated("[a](http://x) "),
    "labels that look like hosts": _repeated("[a.b.c.example](https://e.example) "),
    "definitions": _definitions,
    "definitions of one label": _repeated("[a]: u\n"),
    "half definitions": _repeated("[a]: <"),
    "tags": _repeated("<a "),
    "comments": _repeated("<!--"),
    "half autolinks": _repeated("<http:"),
    "half mail addresses": _repeated("<a@"),
    "entities": _repeated("&amp;"),
    "escapes": _repeated("\\*"),
    "backticks": _backticks_of_all_lengths,
    "quotes in quotes": _repeated(">"),
    "lists in lists": _repeated("1) "),
    "quotes and lists": _repeated("> - "),
    "headings": _repeated("# a\n"),
    "dollars": _repeated("$a"),
    "double dollars": _repeated("$$"),
    "formulas": _repeated("$\\frac{a}{b}$ "),
    "half formulas": lambda size: "$$" + "\\frac{" * (size // 6) + "$$",
    "brackets of formulas": lambda size: "\\(" * (size // 4) + "\\)" * (size // 4),
    "blank lines": _repeated("\n"),
    "blanks": _repeated(" " * 60 + "\n"),
    "accents": _repeated("\u0301", "a"),
    "flags": _repeated("🇪🇸"),
    "families": _repeated("👩‍👩‍👧‍👦"),
    "east asian": _repeated("含**「重点」**内容"),
}
