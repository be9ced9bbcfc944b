"""Mentions: an answer notifies nobody, and what is no mention stays as it is."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack.outbound.markdown.mentions import disable_mentions, disable_mentions_so_far

CALLS = (
    "<!channel>", "<!here>", "<!everyone>", "<!here|here>", "<!subteam^S0123>",
    "<!subteam^S0123|@devs>", "<@U0123ABC>", "<@W012|ada>", "@channel", "@here", "@everyone",
)  # fmt: skip

IS_CALL = re.compile(
    r"<!(?:channel|here|everyone|subteam)|<@[A-Z0-9]+[|>]|(?<!\w)@(?:channel|here|everyone)\b"
)


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(CALLS), st.text(max_size=8)), max_size=12).map("".join))
def test_mentions_are_disabled_and_every_visible_character_stays(text: str) -> None:
    calm = disable_mentions(text)
    assert not IS_CALL.search(calm)
    assert calm.replace("\u200b", "") == text.replace("\u200b", "")


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(CALLS), st.text(max_size=8)), max_size=12).map("".join),
    st.data(),
)
def test_a_call_is_calm_before_its_last_character_has_come(text: str, data: st.DataObject) -> None:
    so_far = text[: data.draw(st.integers(0, len(text)))]
    assert disable_mentions(text).startswith(disable_mentions_so_far(so_far))


def test_text_that_only_looks_like_a_call_stays_as_it_is() -> None:
    for text in (
        "mail ada@here.com",
        "List<@NonNull String>",
        "<!DOCTYPE html>",
        "a < b",
        "@channels",
    ):
        assert disable_mentions(text) == text
