"""Links: only those that Telegram accepts and that hide nothing; all other addresses are written out."""

from __future__ import annotations

import pytest

from adapters.telegram.outbound.entities import render
from adapters.telegram.outbound.rendering.links import hides_host, is_linkable, normalised
from tests.adapters.telegram.outbound.rendering.looks import linked, looks

GOOD = [
    "https://e.example/guide",
    "http://127.0.0.1:8080/x",
    "https://[2001:db8::1]/x",
    "HTTPS://E.EXAMPLE",
    "https://münchen.example/weg",
    "https://e.example?q=a",
    "https://a_b.example/x#y",
]
REFUSED = [
    "http://localhost:3000/login",
    "https://intranet/wiki",
    "ftp://e.example/file",
    "file:///etc/hosts",
    "https://e.example:99999/x",
    "https://e.example:0/x",
    "https:///path",
    "https://",
    "https://a..example/x",
    "https://[::zz]/x",
    "https://e.exa mple/x",
    "https://good.example\\@evil.example/",
    "https://good.example@evil.example/",
    "javascript:alert(1)",
    "tg://user?id=43",
    "tg:user?id=43",
    "mailto:a@b.example",
    "foo.md",
    "//e.example/x",
    "https://e.example/" + "x" * 2_100,
]


@pytest.mark.parametrize("url", GOOD)
def test_an_address_that_telegram_accepts_is_a_link(url: str) -> None:
    """T3: and nothing is written out beside it."""
    assert is_linkable(url)
    assert render(f"[words]({url})").text == "words"


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_telegram_refuses_is_never_sent_as_a_link(url: str) -> None:
    """T3: known-bad addresses are written behind their words."""
    assert not is_linkable(url)
    formatted = render(f"[words](<{url}>)")
    assert formatted.entities == ()
    assert formatted.text.startswith("words (")


def test_one_bad_link_leaves_all_other_formatting() -> None:
    """T3: the app's address is shown, the guide and the code keep their entities."""
    text = (
        "open [the app](http://localhost:3000/login). See [the guide](https://e.example/guide)\n\n"
        "```sh\nmake\n```"
    )
    assert render(text).text == (
        "open the app (http://localhost:3000/login). See the guide\n\nmake"
    )
    assert looks(text) == [("text_link", "the guide"), ("pre", "make")]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("![](https://e.example/cat.png)", "🖼 https://e.example/cat.png"),
        ("[our desk](tel:+4930123)", "our desk (+4930123)"),
        ("[us](mailto:a@b.example)", "us (a@b.example)"),
        ("[Example](www.example.com/docs)", "Example (www.example.com/docs)"),
        ("[a](foo.md) [b](#part)", "a (foo.md) b (#part)"),
        ("[](https://e.example/x)", "https://e.example/x"),
        ("[`cat`](ftp://e.example/x)", "cat (ftp://e.example/x)"),
        ("**[bold](ftp://e.example/x)**", "bold (ftp://e.example/x)"),
        ("[x][1]\n\n[1]: ftp://e.example/x", "x (ftp://e.example/x)"),
        ("<http://localhost:8000>", "http://localhost:8000"),
        ("[http://localhost:8000](http://localhost:8000/)", "http://localhost:8000"),
        ("[none]()", "none"),
        (
            "![dot](data:image/png;base64," + "A" * 999 + ")",
            "🖼 dot (data:image/png;base64," + "A" * 42 + "…)",
        ),
    ],
)
def test_an_address_that_becomes_no_link_is_written_behind_its_words(
    markdown: str, text: str
) -> None:
    """T4: an address never vanishes."""
    formatted = render(markdown)
    assert formatted.text == text
    assert "text_link" not in [entity.type for entity in formatted.entities]


def test_an_address_in_a_table_is_written_behind_its_words() -> None:
    """T4: a fixed-width block holds no links."""
    table = "| shop | pic |\n|---|---|\n| [buy](https://e.example/a) | ![cat](https://e.example/c.png) |"
    assert render(table).text.splitlines()[-1].split(" | ") == [
        "buy (https://e.example/a)",
        "🖼 cat (https://e.example/c.png)",
    ]


def test_an_address_with_blanks_is_encoded() -> None:
    """T4: Telegram refuses blanks in an address."""
    assert linked("[Doc](<https://e.example/my file.pdf>)") == [
        ("Doc", "https://e.example/my%20file.pdf")
    ]
    assert normalised("https://e.example/a\tb") == "https://e.example/a%09b"


def test_a_link_keeps_its_address_where_its_words_are_code_or_a_picture() -> None:
    """T4: of code and link over the same words Telegram keeps one, so the code is left out."""
    assert looks("[`keepthread`](https://e.example/k)") == [("text_link", "keepthread")]
    badge = "[![build](https://e.example/b.svg)](https://e.example/ci)"
    assert linked(badge) == [("🖼 build (https://e.example/b.svg)", "https://e.example/ci")]


def test_a_definition_whose_label_stands_in_code_only_is_shown() -> None:
    """T4: the sources of an answer do not vanish because its code says `a[1]`."""
    text = "`x = a[1]`\n\n[1]: https://e.example/source"
    assert render(text).text == "x = a[1]\n\n[1]: https://e.example/source"


@pytest.mark.parametrize(
    "markdown",
    [
        "[x](tg://user?id=43)",
        "[x](TG://user?id=43)",
        "[x](tg:user?id=43)",
        "![x](tg://emoji?id=5368324170671202286)",
        "[x][1]\n\n[1]: tg://user?id=43",
        "<tg://user?id=43>",
    ],
)
def test_no_address_of_telegrams_own_becomes_a_link(markdown: str) -> None:
    """L6: `tg://user` mentions people; the address is shown instead."""
    formatted = render(markdown)
    assert not [entity for entity in formatted.entities if entity.url]
    assert "tg:" in formatted.text.lower()


@pytest.mark.parametrize(
    "label",
    [
        "https://bank.example",
        "bank.example",
        "www.bank.example/login",
        "**https://bank.example**",
        "log in at bank.example now",
        "BANK.EXAMPLE",
        "bank\u200b.example",
        "bank\uff0eexample",
        "bank。example",
        "https://bank.example@x",
        "http://intranet/login",
        "me@bank.example",
    ],
)
def test_a_label_that_names_another_host_hides_nothing(label: str) -> None:
    """L6: where the label is another address, the real one is shown and the label is no link."""
    formatted = render(f"[{label}](https://evil.example/x)")
    assert not [entity for entity in formatted.entities if entity.url]
    assert formatted.text.endswith(" (https://evil.example/x)")


@pytest.mark.parametrize(
    ("label", "url"),
    [
        ("bank.example", "https://bank.example/login"),
        ("www.bank.example", "https://bank.example"),
        ("bank.example", "https://login.bank.example"),
        ("the bank", "https://bank.example"),
        ("Node.js", "https://nodejs.example"),
        ("main.json, e.g. v1.2", "https://git.example"),
    ],
)
def test_a_label_that_names_no_other_host_is_a_link(label: str, url: str) -> None:
    assert linked(f"[{label}]({url})") == [(label, url)]
    assert not hides_host(label, url)
