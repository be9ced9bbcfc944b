"""Decoder of Slack's mrkdwn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.slack.inbound.mrkdwn import decode, mentioned, without_mention

NAMES = {"U1": "Ann", "U2": "Bob"}


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("hi <@U1> and <@U2|bobby> and <@U3>", "hi @Ann and @Bob and @U3"),
        ("see <#C1|general> or <#C2>", "see #general or #C2"),
        ("<!here> <!subteam^S1|@crew> <!subteam^S2>", "@here @crew @S2"),
        ("<!date^1392734382^{date}|Feb 18>", "Feb 18"),
        ("<https://a.example/x?a=1&amp;b=2>", "https://a.example/x?a=1&b=2"),
        ("<https://a.example|the docs>", "[the docs](https://a.example)"),
        ("<https://a.example|a.example>", "https://a.example"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("*bold* _it_ ~gone~", "**bold** _it_ ~~gone~~"),
        ("2*3*4 and a * b", "2*3*4 and a * b"),
        ("`*not bold* &lt;b&gt;`", "`*not bold* <b>`"),
        ("```\n*x* <https://a.example|a.example>\n```", "```\n*x* a.example\n```"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("Vec&lt;T&gt;", "Vec<T>"),
    ],
)
def test_mrkdwn_becomes_what_people_see(raw: str, plain: str) -> None:
    assert decode(raw, NAMES) == plain


@examples(deadline=None)
@given(st.text(alphabet="ab *~`<>@#!|U1&;\n", max_size=60))
def test_decoding_never_fails_and_leaves_no_raw_mention(raw: str) -> None:
    assert "<@U1>" not in decode(raw, NAMES)


def test_the_call_is_taken_off_and_other_mentions_stay() -> None:
    assert without_mention("<@UBOT>: ask <@U2> or <@UBOT>", "UBOT") == "ask <@U2> or"
    assert without_mention("ask <@UBOT> about it", "UBOT") == "ask <@UBOT> about it"
    assert without_mention("help, <@UBOT|bot> , <@UBOT> ", "UBOT") == "help"
    assert without_mention("help, <@U2>, ", "UBOT") == "help, <@U2>,"
    assert without_mention("<@UBOT> <@UBOT>", "UBOT") == ""
    assert mentioned("<@U1> <@U2|b> <@U1>") == ("U1", "U2")


def test_mentions_are_removed_in_linear_time() -> None:
    """A text made to make regular expressions slow ends within the test's time limit."""
    for blanks in (" " * 400_000, ", " * 200_000, "\n" * 400_000):
        assert without_mention(f"<@UBOT> a{blanks}b <@UBOT>", "UBOT") == f"a{blanks}b"
