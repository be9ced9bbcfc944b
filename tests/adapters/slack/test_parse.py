"""What Slack sends, in our words; and which conversation it belongs to."""

from __future__ import annotations

from typing import Any

import pytest
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
from adapters.slack.inbound.mrkdwn import decode, mentioned, without_mention
from adapters.slack.inbound.parse import parse
from adapters.slack.inbound.routing import (
    address_of,
    addresses_others,
    classify,
    find_command,
    session_of,
)
from bot.commands import BUILTIN
from bot.conversation import SessionKey
from tests.payloads import slack, slack_names

KINDS: dict[str, Any] = {
    "agent_session_stopped": AgentSessionStopped,
    "app_home_opened": AppHomeOpened,
    "app_home_opened_messages": AppHomeOpened,
    "app_mention": MessagePosted,
    "app_uninstalled": AppUninstalled,
    "assistant_thread_started": AssistantThreadStarted,
    "message_agent_thread": MessagePosted,
    "message_bot": None,
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


def said(name: str, **changes: Any) -> MessagePosted:
    event = parse(slack(name, **changes))
    assert isinstance(event, MessagePosted)
    return event


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


@pytest.mark.parametrize(
    ("name", "place", "thread", "kind", "posts_to"),
    [
        ("app_mention", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_thread", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_broadcast", "C1", "1700000000.000100", "channel", "1700000000.000100"),
        ("message_im", "D1", "", "private", ""),
        ("message_im_thread", "D1", "1700000002.000300", "private", "1700000002.000300"),
        ("message_mpim", "G1", "1700000004.000400", "group", "1700000004.000400"),
        ("message_group", "C2", "1700000004.000500", "channel", "1700000004.000500"),
    ],
)
def test_each_place_has_its_conversation(
    name: str, place: str, thread: str, kind: str, posts_to: str
) -> None:
    message = said(name)
    address = address_of(message)
    assert address.session == SessionKey("slack", "T1", place, thread)
    assert address.place_kind == kind
    assert address.details["thread_ts"] == posts_to
    assert (address.recipient_id, address.recipient_account) == (
        ("", "") if kind == "private" else ("U1", "T1")
    )


def test_a_direct_message_that_got_replies_still_belongs_to_the_long_talk() -> None:
    message = said("message_im", thread_ts="1700000002.000300")
    assert session_of(message).thread == ""


def test_the_installation_counts_and_not_the_workspace_of_who_speaks() -> None:
    body = slack("message_from_elsewhere")
    body["team_id"] = "T9"
    event = parse(body)
    assert isinstance(event, MessagePosted)
    assert (event.team, event.user_team, event.external) == ("T1", "T9", True)


def test_files_are_described_and_those_that_cannot_be_read_say_so() -> None:
    (notes,) = said("message_file_share").files
    assert (notes.kind, notes.name, notes.size_bytes) == (
        "document",
        "notes.txt",
        42,
    )
    assert notes.reference.endswith("/download/notes.txt")
    assert said("message_voice_clip").files[0].kind == "audio"
    (picture,) = said("message_file_to_look_up").files
    assert (picture.kind, picture.reference) == ("image", "file:F3")
    gone = attachment_of({"id": "F4", "mode": "tombstone", "name": "old.txt"})
    assert "no longer" in gone.text
    assert not gone.reference
    outside = attachment_of({"id": "F5", "mode": "external", "url_private": "https://evil.example"})
    assert not outside.reference


def test_a_forwarded_message_is_quoted() -> None:
    assert said("message_forwarded").quoted == "Bob: Ship it on *Friday*"


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


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("<@U2> what do you think?", True),
        ("hey <@U2>, look", True),
        ("thanks <@U2>!", True),
        ("<!subteam^S1|@crew> please look", True),
        ("<!here> look at this", True),
        ("what do you say, <@U2>?", True),
        ("when is <@U2>'s birthday?", False),
        ("and in Haskell?", False),
        ("say hello to <@U2> for me", False),
        ("", False),
    ],
)
def test_messages_to_other_people_are_known_by_how_they_begin_or_end(
    text: str, elsewhere: bool
) -> None:
    assert addresses_others(text) is elsewhere


@pytest.mark.parametrize(
    ("text", "bare", "command"),
    [
        ("reset", True, "reset"),
        ("Reset.", True, "reset"),
        ("export json", True, "export json"),
        ("clear", True, "clear"),
        ("help me with this", True, ""),
        ("reset the router, how?", True, ""),
        ("reset", False, ""),
        ("!reset", False, "reset"),
        ("!export json", False, "export json"),
        ("!important", False, ""),
        ("!", False, ""),
        ("", True, ""),
    ],
)
def test_a_command_after_a_mention_must_be_exact(text: str, bare: bool, command: str) -> None:
    assert find_command(text, BUILTIN, bare=bare) == command


class Place:
    """As much of a core as the question “is this for me?” asks."""

    def __init__(self, takes_part: bool = False) -> None:
        self._takes_part = takes_part

    async def takes_part(self, session: SessionKey) -> bool:
        return self._takes_part

    def commands(self) -> Any:
        return BUILTIN


@pytest.mark.parametrize(
    ("name", "changes", "takes_part", "kind"),
    [
        ("app_mention", {}, False, "message"),
        ("message_mention", {}, False, "message"),
        ("message_top_level", {}, True, None),
        ("message_thread", {}, True, "message"),
        ("message_thread", {}, False, None),
        ("message_thread", {"text": "<@U2> you?"}, True, "overheard"),
        ("message_thread", {"text": "<@U2> and <@UBOT> you?"}, True, "message"),
        ("message_thread", {"text": "!reset"}, True, "command"),
        ("message_thread", {"text": "!reset"}, False, None),
        ("message_thread", {"text": "<@UBOT> reset"}, False, "command"),
        ("message_thread", {"text": "hi", "channel": "CQUIET"}, True, "overheard"),
        ("message_thread", {"text": "<@UBOT> hi", "channel": "CQUIET"}, True, "message"),
        ("message_im", {}, False, "message"),
        ("message_im", {"text": "!status"}, False, "command"),
        ("message_mpim", {}, False, "message"),
        ("message_mpim", {"text": "no mention"}, True, None),
        ("message_voice_clip", {}, False, "message"),
        ("message_own", {}, True, None),
        ("message_other_app", {}, True, None),
        ("app_mention", {"text": "<@UBOT>"}, False, "command"),
        ("app_mention", {"text": "its name stands in a block"}, False, "message"),
        ("message_thread", {"text": "<@UBOT>"}, False, "message"),
        ("message_im", {"user": "USLACKBOT"}, True, None),
    ],
)
async def test_the_bot_speaks_where_it_is_meant(
    name: str, changes: dict[str, Any], takes_part: bool, kind: str | None
) -> None:
    core: Any = Place(takes_part)
    intent = await classify(said(name, **changes), "UBOT", core, ("CQUIET",))
    assert (intent.kind if intent else None) == kind


async def test_the_first_message_to_the_bot_inside_a_thread_is_known_as_such() -> None:
    first = said("message_thread", text="<@UBOT> what do you make of this?")
    strange: Any = Place()
    known: Any = Place(takes_part=True)
    intent, again = await classify(first, "UBOT", strange), await classify(first, "UBOT", known)
    top = await classify(said("app_mention"), "UBOT", strange)
    assert intent is not None
    assert again is not None
    assert top is not None
    assert (intent.is_first_in_thread, again.is_first_in_thread, top.is_first_in_thread) == (
        True,
        False,
        False,
    )
    assert intent.text == "what do you make of this?"


def test_mentions_are_removed_in_linear_time() -> None:
    """A text made to make regular expressions slow ends within the test's time limit."""
    for blanks in (" " * 400_000, ", " * 200_000, "\n" * 400_000):
        assert without_mention(f"<@UBOT> a{blanks}b <@UBOT>", "UBOT") == f"a{blanks}b"
