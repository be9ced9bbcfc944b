"""Blocks: limits are kept, buttons hold their session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack import action_ids
from adapters.slack.outbound.blocks import (
    FALLBACK_BYTES,
    escape,
    fallback_text,
    feedback_buttons,
    offer_buttons,
    section_blocks,
    stop_button,
)
from bot.conversation import SessionKey
from bot.ports import CommandButton
from tests.fakes.slack.workspace_state import buttons_of, check_blocks, stored_bytes, unescape

SESSION = SessionKey("slack", "T1", "C1", "1700000000.000100")


def test_notifications_are_plain_text_without_mentions() -> None:
    assert fallback_text("a <!channel> & b") == "a &lt;!channel&gt; &amp; b"


@pytest.mark.parametrize("unit", ["x", "&", "ж", "語", "😀", "👩‍👩‍👧", "🇩🇪", "<b>ж</b>", "a ✅ "])
def test_notifications_fit_by_bytes_after_escaping(unit: str) -> None:
    """S1: chat.update counts so, though it is documented in characters."""
    text = fallback_text(unit * 50_000)
    assert text.endswith("…")
    assert stored_bytes(text) <= FALLBACK_BYTES
    assert len(text) > 50
    assert unescape(text.removesuffix("…")) == (unit * 50_000)[: len(unescape(text)) - 1].rstrip()
    short = unit.strip() * 3
    assert fallback_text(short) == escape(short)


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
