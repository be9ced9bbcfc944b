"""Blocks: mentions notify nobody, limits are kept, buttons hold their session."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack import action_ids
from adapters.slack.outbound.blocks import (
    FALLBACK_CHARS,
    disable_mentions,
    disable_mentions_so_far,
    escape,
    fallback_text,
    feedback_buttons,
    offer_buttons,
    section_blocks,
    stop_button,
)
from bot.conversation import SessionKey
from bot.ports import CommandButton
from tests.fakes.slack.workspace_state import buttons_of, check_blocks, unescape

SESSION = SessionKey("slack", "T1", "C1", "1700000000.000100")


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


def test_notifications_are_plain_text_without_mentions() -> None:
    assert fallback_text("a <!channel> & b") == "a &lt;!channel&gt; &amp; b"
    assert len(fallback_text("x" * 50_000)) == FALLBACK_CHARS + 1


@settings(deadline=None)
@given(st.text(max_size=30).map(lambda text: (text + "&<>") * 400))
def test_sections_hold_the_whole_text_where_markdown_is_refused(text: str) -> None:
    blocks = check_blocks(section_blocks(text))
    assert "".join(unescape(block["text"]["text"]) for block in blocks) == text
    assert "".join(block["text"]["text"] for block in blocks) == escape(text)


def test_buttons_carry_the_session_and_what_pressing_them_means() -> None:
    def carried(blocks: list[dict[str, object]]) -> list[tuple[str, object]]:
        return [
            (button["action_id"], action_ids.read_button(button["value"]))
            for button in buttons_of(check_blocks(blocks))
        ]

    assert carried(stop_button(SESSION)) == [(action_ids.STOP, (SESSION, ""))]
    assert carried(feedback_buttons(SESSION)) == [
        (action_ids.FEEDBACK, (SESSION, "up")),
        (action_ids.FEEDBACK, (SESSION, "down")),
    ]
    offers = [CommandButton("Yes, " + "really " * 30, "reset"), CommandButton("No")]
    assert carried(offer_buttons(SESSION, offers)) == [
        (f"{action_ids.OFFER}_0", (SESSION, "reset")),
        (f"{action_ids.OFFER}_1", (SESSION, "")),
    ]
    assert offer_buttons(SESSION, []) == []
