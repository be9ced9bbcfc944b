"""Parser of Slack's payloads."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.slack.api.attachments import attachment_of
from adapters.slack.inbound.events import (
    AgentSessionStopped,
    AppHomeOpened,
    AppUninstalled,
    AssistantThreadStarted,
    BlockAction,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MessageShortcut,
    ReactionChanged,
    SlashCommand,
)
from adapters.slack.inbound.parse import parse
from tests.adapters.slack.inbound_harness import message_event
from tests.payloads import slack, slack_names

KINDS: dict[str, Any] = {
    "agent_session_stopped": AgentSessionStopped,
    "app_home_opened": AppHomeOpened,
    "app_home_opened_messages": AppHomeOpened,
    "app_mention": MessagePosted,
    "app_uninstalled": AppUninstalled,
    "assistant_thread_started": AssistantThreadStarted,
    "message_agent_thread": MessagePosted,
    "message_bot": MessagePosted,
    "message_broadcast": MessagePosted,
    "message_changed": MessageEdited,
    "message_deleted": MessageDeleted,
    "message_file_share": MessagePosted,
    "message_file_to_look_up": MessagePosted,
    "message_forwarded": MessagePosted,
    "message_from_elsewhere": MessagePosted,
    "message_group": MessagePosted,
    "message_im": MessagePosted,
    "message_im_thread": MessagePosted,
    "message_join": None,
    "message_mention": MessagePosted,
    "message_mpim": MessagePosted,
    "message_other_app": MessagePosted,
    "message_own": MessagePosted,
    "message_thread": MessagePosted,
    "message_tombstone": MessageDeleted,
    "message_top_level": MessagePosted,
    "message_unfurled": None,
    "message_voice_clip": MessagePosted,
    "press_again": BlockAction,
    "press_feedback": BlockAction,
    "press_home_reset": BlockAction,
    "press_offer": BlockAction,
    "press_stop": BlockAction,
    "reaction_added": ReactionChanged,
    "reaction_other": None,
    "reaction_removed": ReactionChanged,
    "shortcut_forget_other": MessageShortcut,
    "shortcut_forget_own": MessageShortcut,
    "shortcut_reset": MessageShortcut,
    "slash_channel_help": SlashCommand,
    "slash_channel_reset": SlashCommand,
    "slash_im": SlashCommand,
    "tokens_revoked": AppUninstalled,
    "url_verification": None,
}


def test_every_recorded_payload_is_read_as_what_it_is() -> None:
    assert slack_names() == sorted(KINDS)
    for name, kind in KINDS.items():
        event = parse(slack(name))
        assert (type(event) if event else None) is kind, name


@examples(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(["type", "event", "message", "user", "text", "ts", "channel", "item"]),
            inner,
            max_size=4,
        ),
        max_leaves=12,
    )
)
def test_the_parser_raises_nothing_whatever_an_event_holds(event: Any) -> None:
    body = slack("message_thread")
    body["event"] = event
    parse(body)


def test_the_installation_counts_and_not_the_workspace_of_who_speaks() -> None:
    body = slack("message_from_elsewhere")
    body["team_id"] = "T9"
    event = parse(body)
    assert isinstance(event, MessagePosted)
    assert (event.team, event.user_team, event.external) == ("T1", "T9", True)


def test_files_are_described_and_those_that_cannot_be_read_say_so() -> None:
    (notes,) = message_event("message_file_share").files
    assert (notes.kind, notes.name, notes.size_bytes) == (
        "document",
        "notes.txt",
        42,
    )
    assert notes.reference.endswith("/download/notes.txt")
    assert message_event("message_voice_clip").files[0].kind == "audio"
    (picture,) = message_event("message_file_to_look_up").files
    assert (picture.kind, picture.reference) == ("image", "file:F3")
    gone = attachment_of({"id": "F4", "mode": "tombstone", "name": "old.txt"})
    assert "no longer" in gone.text
    assert not gone.reference
    outside = attachment_of({"id": "F5", "mode": "external", "url_private": "https://evil.example"})
    assert not outside.reference


def test_a_forwarded_message_is_quoted() -> None:
    assert message_event("message_forwarded").quoted == "Bob: Ship it on *Friday*"
