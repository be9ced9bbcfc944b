"""Files: downloaded from Slack's own hosts only, so that the token goes nowhere else, and uploaded once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from adapters.slack.api.attachments import attachment_of, file_id
from adapters.slack.api.files import describe_file, describe_files, download, is_slack_url
from adapters.slack.api.workspaces import Workspaces, new_session
from bot.conversation import Attachment
from bot.errors import PlatformBusy, PlatformError, PlatformRefused, PlatformUnreachable
from tests.adapters.slack.inbound_harness import slack_settings
from tests.adapters.slack.outbound_harness import OutboundHarness
from tests.fakes.slack.server import BOT_TOKEN, Caller, SlackServer

FEW_BYTES = b"remember the milk"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session() as found:
        yield found


def shared(server: SlackServer, **more: Any) -> Attachment:
    return attachment_of(server.add_file("notes.txt", FEW_BYTES, "text/plain", **more))


def hidden(file: dict[str, Any]) -> Attachment:
    """A file as events from another workspace describe it: only its id."""
    mode = {"mode": "file_access", "file_access": "check_file_info"}
    return attachment_of({"id": file["id"], "created": 0, "user": "", **mode})


# Downloads.


async def test_files_are_fetched_with_the_token(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    file = shared(server)
    assert (
        await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)
        == FEW_BYTES
    )


async def test_slacks_login_page_is_no_file_but_a_missing_scope(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    server.tokens[BOT_TOKEN] = Caller(scopes=("chat:write",))
    file = shared(server)
    with pytest.raises(PlatformRefused, match="files:read") as raised:
        await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)
    assert "files:read" in raised.value.cure


async def test_a_file_larger_than_we_read_is_not_read_to_its_end(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    file = attachment_of(server.add_file("big.txt", b"x" * 5000, "text/plain", size=10))
    with pytest.raises(PlatformError, match="larger"):
        await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)


async def test_the_token_goes_to_no_other_host(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    async with SlackServer() as elsewhere:
        file = shared(elsewhere)
        with pytest.raises(PlatformRefused):
            await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)
        assert elsewhere.asked_for == []


async def test_a_redirection_is_not_followed_with_the_token(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    async with SlackServer() as elsewhere:
        moved = elsewhere.add_file("notes.txt", FEW_BYTES, "text/plain")
        file = shared(server, moved_to=moved["url_private"])
        with pytest.raises(PlatformRefused):
            await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)
        assert server.asked_for
        assert elsewhere.asked_for == []


async def test_a_file_that_is_gone_or_a_slack_that_is_down_is_an_error_of_ours(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    file = shared(server)
    gone = f"{server.url}/files/F0/notes.txt"
    with pytest.raises(PlatformError, match="404"):
        await download(session, gone, BOT_TOKEN, file, server.api_url, max_bytes=1000)
    closed = "http://127.0.0.1:1/files/F1/notes.txt"
    with pytest.raises(PlatformUnreachable) as raised:
        await download(session, closed, BOT_TOKEN, file, "http://127.0.0.1:1/api/", max_bytes=1000)
    assert "127.0.0.1" not in raised.value.detail
    server.limit_downloads_s = 7
    with pytest.raises(PlatformBusy) as limited:
        await download(session, file.reference, BOT_TOKEN, file, server.api_url, max_bytes=1000)
    assert limited.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://files.slack.com/files-pri/T1-F1/x", True),
        ("https://slack.com/x", True),
        ("https://files.slack-gov.com/x", True),
        ("http://files.slack.com/x", False),
        ("https://files.slack.com.evil.example/x", False),
        ("https://notslack.com/x", False),
        ("https://evil.example/?slack.com", False),
        ("https://evil.example#.slack.com", False),
        ("https://files.slack.com@evil.example/x", False),
        ("https://evil.example\\@files.slack.com/x", False),
        ("https://evil.example\\.slack.com/x", False),
        ("https://evil.example\n.slack.com/x", False),
        ("//files.slack.com/x", False),
        ("http://127.0.0.1:9/files/x", True),
        ("https://127.0.0.1:9/files/x", False),
        ("http://127.0.0.1:10/files/x", False),
        ("file:///etc/passwd", False),
        ("file:F1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_the_token_is_sent_to_slack_alone(url: str, allowed: bool) -> None:
    assert is_slack_url(url, "http://127.0.0.1:9/api/") is allowed


# Descriptions.


async def test_a_picture_from_another_workspace_is_known_for_a_picture(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    picture = server.add_file("board.png", b"\x89PNG", "image/png")
    workspaces = Workspaces(slack_settings(server.api_url), session)
    await workspaces.sign_on()
    known, found = await describe_files(
        workspaces, "T1", (shared(server), hidden(picture)), wait_s=60
    )
    assert (known.name, file_id(known)) == ("notes.txt", "")
    assert (found.kind, found.name, found.reference) == (
        "image", "board.png", picture["url_private_download"],
    )  # fmt: skip
    assert len(server.called("files.info")) == 1


async def test_a_file_slack_does_not_describe_in_time_is_looked_up_when_it_is_read(
    server: SlackServer, session: aiohttp.ClientSession
) -> None:
    picture = server.add_file("board.png", b"\x89PNG", "image/png")
    workspaces = Workspaces(slack_settings(server.api_url), session)
    await workspaces.sign_on()
    for trouble in ({"error": "internal_error"}, {"delay_s": 0.3, "after": True}):
        server.fail("files.info", **trouble)
        (still,) = await describe_files(workspaces, "T1", (hidden(picture),), wait_s=0.1)
        assert file_id(still) == picture["id"]
    assert (await describe_file(workspaces, "T1", still)).name == "board.png"


# Uploads.


async def test_a_file_is_uploaded_into_its_thread_with_a_comment_above_it(
    outbound: OutboundHarness,
) -> None:
    address = outbound.ask()
    await outbound.reply(address).post("Here, <!channel>:", file=("talk.md", b"# Talk"))
    (message,) = outbound.answers(address)
    assert message.text.replace("\u200b", "") == "Here, &lt;!channel&gt;:"
    (file,) = message.files
    assert outbound.server.space.files[file["id"]][1] == b"# Talk"


async def test_a_file_whose_answer_was_lost_is_not_sent_again(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    outbound.server.fail("files.completeUploadExternal", after=True)
    await outbound.reply(address).post("Here:", file=("talk.md", b"# Talk"))
    assert len(outbound.answers(address)) == 1


async def test_a_file_that_did_not_arrive_is_an_error(outbound: OutboundHarness) -> None:
    address = outbound.ask()
    outbound.server.fail("files.completeUploadExternal", cut=True)
    with pytest.raises(PlatformUnreachable):
        await outbound.reply(address).post("Here:", file=("talk.md", b"# Talk"))
    assert outbound.answers(address) == []


async def test_long_text_is_posted_before_its_file_and_an_empty_file_is_uploaded(
    outbound: OutboundHarness,
) -> None:
    address, words = outbound.ask(), "Word. " * 1_000
    await outbound.reply(address).post(words, file=("empty.md", b""))
    said, file = outbound.answers(address)
    assert said.text == words
    assert (file.text, [upload["name"] for upload in file.files]) == ("", ["empty.md"])
