"""Preparation of a turn: attachments read, and the thread's history fetched, before it is answered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.conversation import Address, Attachment, Overheard, Speaker, Turn
from bot.errors import FileTooLarge, PlatformBusy, PlatformUnreachable
from bot.memory.history import RedisHistory
from bot.model.transcription import Transcriber
from bot.ports import TurnWrite
from bot.prompt.transcript import messages_of
from bot.settings import Settings
from bot.text import human_size
from bot.turns.preparation import MAX_CONCURRENT_READS, MAX_IMAGE_BYTES, MAX_IMAGES, TurnPreparation
from tests.fakes.transcription_endpoint import TranscriptionEndpoint
from tests.support.messages import make_message
from tests.support.wait import wait_until

PNG = Attachment("image", "a.png", "image/png", "png")
NOTES = Attachment("document", "notes.txt", "text/plain", "notes")
VOICE = Attachment("audio", "voice.oga", "audio/ogg", "voice")


@dataclass
class FileConnection:
    """`Connection` with files and a thread's history.

    Attributes:
        files: content by reference, or the error that a download raises; `b"never"` does not end.
        thread_history: what is fetched, or the error that fetching raises; TimeoutError does not end.
        downloads: references asked for, in order.
        history_calls: how often the thread's history was asked for.
    """

    files: dict[str, bytes | Exception] = field(default_factory=dict)
    thread_history: tuple[Overheard, ...] | Exception = ()
    downloads: list[str] = field(default_factory=list)
    history_calls: int = 0

    async def download(self, address: Address, attachment: Attachment, max_bytes: int) -> bytes:
        self.downloads.append(attachment.reference)
        found = self.files[attachment.reference]
        if isinstance(found, Exception):
            raise found
        if found == b"never":
            await asyncio.Event().wait()
        if len(found) > max_bytes:
            raise FileTooLarge(f"larger than {human_size(max_bytes)}")
        return found

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        self.history_calls += 1
        if isinstance(self.thread_history, TimeoutError):
            await asyncio.Event().wait()
        if isinstance(self.thread_history, Exception):
            raise self.thread_history
        return self.thread_history


@dataclass
class PreparationHarness:
    """A preparation with its connection and its transcription server."""

    preparation: TurnPreparation
    connection: FileConnection
    endpoint: TranscriptionEndpoint

    async def read(self, *attachments: Attachment) -> tuple[list[str], tuple[str, ...]]:
        """Texts of the attachments after preparation, and the pictures."""
        turn = Turn("t", (make_message("see", attachments=attachments),))
        turn, images = await self.preparation.prepare(turn, self.connection)
        return [attachment.text for attachment in turn.incoming[0].attachments], images


@pytest.fixture
async def harness(redis: Redis, settings: Settings) -> AsyncIterator[PreparationHarness]:
    endpoint = TranscriptionEndpoint()
    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", endpoint.transcribe)
    async with TestServer(app) as server:
        given = {"openai_base_url": str(server.make_url("/v1")), "openai_api_key": SecretStr("k")}
        async with Transcriber(settings.model_copy(update=given)) as transcriber:
            history = RedisHistory(redis, settings.bot_redis_prefix, timedelta(days=1))
            preparation = TurnPreparation(history, transcriber, max_chars=200)
            yield PreparationHarness(preparation, FileConnection(), endpoint)


async def test_each_kind_of_attachment_is_read_in_its_way(harness: PreparationHarness) -> None:
    harness.connection.files = {
        "png": b"\x89PNG",
        "notes": b"the word is heron",
        "voice": b"hello there",
    }
    texts, images = await harness.read(PNG, NOTES, VOICE, Attachment("other", "a sticker"))
    assert texts == ["", "the word is heron", "hello there", ""]
    assert images == ("data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(),)


FIRST_BYTES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\0\0\0\0WEBP",
}


@pytest.mark.parametrize(
    "stated",
    ["", "application/octet-stream", "image/jpg", "image/x-png", "image/png", "text/plain"],
)
@pytest.mark.parametrize("media_type", FIRST_BYTES)
async def test_a_picture_is_known_by_its_first_bytes(
    harness: PreparationHarness, media_type: str, stated: str
) -> None:
    """T11: whatever name and type the app gave it, as a document or as a picture."""
    data = FIRST_BYTES[media_type] + b"the rest"
    harness.connection.files = {"p": data}
    kind: Literal["image", "document"] = "image" if stated.startswith("image/") else "document"
    texts, images = await harness.read(Attachment(kind, "file", stated, "p"))
    assert texts == [""]
    assert images == (f"data:{media_type};base64,{base64.b64encode(data).decode()}",)


async def test_a_picture_sent_as_a_file_has_the_limits_of_pictures(
    harness: PreparationHarness,
) -> None:
    """T11: too many, too large, or before a model that sees none."""
    document = Attachment("document", "f", "", "p")
    harness.connection.files = {"p": FIRST_BYTES["image/png"]}
    texts, images = await harness.read(*[document] * (MAX_IMAGES + 1))
    assert (texts[-1], len(images)) == ("[not seen: there are too many]", MAX_IMAGES)
    harness.preparation.sees_images = False
    ((text,), _) = await harness.read(document)
    assert text == "[not seen: I cannot see pictures]"
    harness.preparation.sees_images = True
    harness.connection.files = {"p": FIRST_BYTES["image/png"] + bytes(MAX_IMAGE_BYTES)}
    ((text,), images) = await harness.read(document)
    assert ("is larger than" in text, images) == (True, ())


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
@pytest.mark.parametrize("stated", ["", "image/heic"])
async def test_a_heic_picture_is_said_to_be_one_with_the_cure(
    harness: PreparationHarness, stated: str, brand: bytes
) -> None:
    """T13: it is not converted; the person learns how to send it."""
    harness.connection.files = {"p": b"\0\0\0\x18ftyp" + brand}
    kind: Literal["image", "document"] = "image" if stated else "document"
    ((text,), images) = await harness.read(Attachment(kind, "IMG.heic", stated, "p"))
    assert "HEIC" in text
    assert "as a photo" in text
    assert not images


async def test_speech_sent_as_a_file_is_heard(harness: PreparationHarness) -> None:
    """T11: sounds are known by their first bytes too."""
    harness.connection.files = {"v": b"OggS hello there"}
    texts, _ = await harness.read(Attachment("document", "voice", "application/octet-stream", "v"))
    assert texts == ["OggS hello there"]


async def test_an_overheard_picture_sent_as_a_file_stays_unread(
    harness: PreparationHarness,
) -> None:
    """T11: it is remembered as a picture, not as a file that could not be read."""
    harness.connection.files = {"p": FIRST_BYTES["image/png"]}
    document = Attachment("document", "f", "", "p")
    turn = Turn("t", (make_message("see", attachments=(document,)),))
    turn = await harness.preparation.read_documents(turn, harness.connection)
    (found,) = turn.incoming[0].attachments
    assert (found.kind, found.text) == ("image", "")


async def test_documents_are_read_a_few_at_a_time(harness: PreparationHarness) -> None:
    running, most, go_on = 0, 0, asyncio.Event()

    async def slowly(data: bytes, item: Attachment, max_chars: int) -> Attachment:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return replace(item, text="read")

    harness.preparation.read_document = slowly
    harness.connection.files = {"notes": b"x"}
    reading = [asyncio.create_task(harness.read(NOTES)) for _ in range(5)]
    await wait_until(lambda: len(harness.connection.downloads) == 5)
    go_on.set()
    assert [texts for texts, _ in await asyncio.gather(*reading)] == [["read"]] * 5
    assert most == MAX_CONCURRENT_READS


async def test_a_long_document_is_cut_and_says_so(harness: PreparationHarness) -> None:
    harness.connection.files = {"notes": b"x" * 1_000}
    ((text,), _) = await harness.read(NOTES)
    assert text == "x" * 200 + "\n[cut off here: the first 200 of 1,000 characters]"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (replace(PNG, size_bytes=MAX_IMAGE_BYTES + 1), "is larger than 10.5 MB"),
        (replace(NOTES, size_bytes=10**9), "is larger than 21.0 MB"),
        (replace(PNG, media_type="image/heic"), "PNG, JPEG, GIF and WebP I can see"),
    ],
)
async def test_an_attachment_that_cannot_be_read_is_not_downloaded(
    harness: PreparationHarness, item: Attachment, words: str
) -> None:
    ((text,), images) = await harness.read(item)
    assert words in text
    assert (images, harness.connection.downloads) == ((), [])


async def test_a_picture_of_unknown_size_is_measured_after_its_download(
    harness: PreparationHarness,
) -> None:
    harness.connection.files = {"png": bytes(MAX_IMAGE_BYTES + 1)}
    ((text,), images) = await harness.read(PNG)
    assert text == "[not read: a.png is larger than 10.5 MB]"
    assert images == ()


async def test_pictures_beyond_what_a_model_takes_are_not_downloaded(
    harness: PreparationHarness,
) -> None:
    harness.connection.files = {"png": b"x"}
    texts, images = await harness.read(*[PNG] * (MAX_IMAGES + 2))
    assert len(images) == len(harness.connection.downloads) == MAX_IMAGES
    assert texts[MAX_IMAGES:] == ["[not seen: there are too many]"] * 2


async def test_a_model_without_pictures_or_speech_gets_a_note_instead(
    harness: PreparationHarness, settings: Settings
) -> None:
    harness.preparation.sees_images = False
    harness.preparation.transcriber = Transcriber(settings)  # the local model's
    texts, images = await harness.read(PNG, VOICE)
    assert texts == [
        "[not seen: I cannot see pictures]",
        "[not heard: I cannot listen to speech here]",
    ]
    assert (images, harness.connection.downloads) == ((), [])


@pytest.mark.parametrize("status", [404, 500])
async def test_speech_that_cannot_be_transcribed_becomes_a_note(
    harness: PreparationHarness, status: int
) -> None:
    harness.connection.files = {"voice": b"hello"}
    harness.endpoint.status = status
    assert (await harness.read(VOICE))[0] == ["[not heard: it could not be turned into words]"]


async def test_a_recording_without_speech_differs_from_one_that_failed(
    harness: PreparationHarness,
) -> None:
    harness.connection.files = {"voice": b"  "}
    assert (await harness.read(VOICE))[0] == ["[nothing is said in it]"]


@pytest.mark.parametrize("trouble", [PlatformUnreachable("gone"), b"never"])
async def test_a_download_that_fails_becomes_a_note(
    harness: PreparationHarness, trouble: Exception | bytes
) -> None:
    harness.preparation.download_timeout_s = 0.05
    harness.connection.files = {"notes": trouble, "png": b"x"}
    texts, images = await harness.read(NOTES, PNG)
    assert texts == ["[not read: notes.txt could not be fetched]", ""]
    assert len(images) == 1


async def test_an_attachment_that_was_read_is_not_downloaded_again(
    harness: PreparationHarness,
) -> None:
    harness.connection.files = {"notes": b"heron"}
    turn, _ = await harness.preparation.prepare(
        Turn("t", (make_message("see", attachments=(NOTES,)),)), harness.connection
    )
    again, _ = await harness.preparation.prepare(turn, harness.connection)
    assert (again, harness.connection.downloads) == (turn, ["notes"])


EARLIER = (Overheard(Speaker("U2", "Ben"), "the build is red"),)


async def test_thread_history_is_fetched_for_the_first_message_of_a_conversation(
    harness: PreparationHarness,
) -> None:
    harness.connection.thread_history = EARLIER
    turn = Turn("t", (make_message("what now?"), make_message("please")))
    turn, _ = await harness.preparation.prepare(turn, harness.connection)
    assert [message.seed for message in turn.incoming] == [EARLIER, ()]
    assert harness.connection.history_calls == 1


async def test_thread_history_is_left_out_once_something_is_remembered(
    harness: PreparationHarness,
) -> None:
    history = harness.preparation.history
    answered = Turn("t", (make_message("hello"),)).ended("complete", "x")
    await history.append(TurnWrite(answered, tokens=9))
    for outcome in (EARLIER, PlatformBusy("1 a minute")):
        harness.connection.thread_history = outcome
        turn = Turn("t2", (make_message("and?"),))
        assert await harness.preparation.prepare(turn, harness.connection) == (turn, ())


async def test_thread_history_brings_what_memory_missed(harness: PreparationHarness) -> None:
    """S9: what was said while the bot had been sent away by `leave`."""
    answered = Turn("t", (make_message("hello", message_id="m2"),))
    answered = replace(answered.ended("complete", "x"), answer_ids=("m3",))
    await harness.preparation.history.append(TurnWrite(answered, tokens=9))
    earlier = [Overheard(Speaker("U1"), f"text {at}", f"m{at}") for at in range(1, 6)]
    harness.connection.thread_history = tuple(earlier)
    turn, _ = await harness.preparation.prepare(
        Turn("t2", (make_message("and?"),)), harness.connection
    )
    assert [item.message_id for item in turn.incoming[0].seed] == ["m4", "m5"]


async def test_attachments_of_earlier_messages_are_read(harness: PreparationHarness) -> None:
    """S8: "summarise this" below a file."""
    files = {"note": b"the plan", "cat": b"\x89PNG"}
    harness.connection.files |= files
    root = Overheard(
        Speaker("U1"),
        "[file: a.txt]",
        "m1",
        (
            Attachment("document", "a.txt", "text/plain", "note"),
            Attachment("image", "cat.png", "image/png", "cat"),
        ),
    )
    harness.connection.thread_history = (root,)
    turn, images = await harness.preparation.prepare(
        Turn("t", (make_message("summarise this"),)), harness.connection
    )
    (seeded,) = turn.incoming[0].seed
    assert [item.text for item in seeded.attachments] == ["the plan", ""]
    assert len(images) == 1
    assert "the plan" in messages_of(turn)[0].text


async def test_earlier_attachments_that_are_read_are_few(harness: PreparationHarness) -> None:
    """S8: bounded, the root first, then the newest."""
    harness.connection.files |= {str(at): b"x" for at in range(50)}
    harness.connection.thread_history = tuple(
        Overheard(Speaker("U1"), "x", str(at), (Attachment("document", "a.txt", "", str(at)),))
        for at in range(50)
    )
    await harness.preparation.prepare(Turn("t", (make_message("and?"),)), harness.connection)
    assert harness.connection.downloads == ["0", "46", "47", "48", "49"]


async def test_documents_of_overheard_messages_are_read_and_pictures_are_not(
    harness: PreparationHarness,
) -> None:
    """S8: a file that nobody showed the bot, in a thread where it takes part."""
    harness.connection.files |= {"note": b"the plan"}
    files = (
        Attachment("document", "a.txt", "text/plain", "note"),
        Attachment("image", "cat.png", "image/png", "cat"),
    )
    turn = Turn("t", (make_message("fyi", kind="overheard", attachments=files),))
    turn = await harness.preparation.read_documents(turn, harness.connection)
    assert [item.text for item in turn.incoming[0].attachments] == ["the plan", ""]


async def test_thread_history_that_was_fetched_is_not_fetched_again(
    harness: PreparationHarness,
) -> None:
    turn = Turn("t", (make_message("what now?", seed=EARLIER),))
    assert await harness.preparation.prepare(turn, harness.connection) == (turn, ())
    assert harness.connection.history_calls == 0


async def test_a_message_without_thread_history_costs_no_read_of_memory(
    harness: PreparationHarness, redis: Redis
) -> None:
    await redis.config_resetstat()
    turn = Turn("t", (make_message("what now?"),))
    assert await harness.preparation.prepare(turn, harness.connection) == (turn, ())
    assert set(await redis.info("commandstats")) <= {"cmdstat_config|resetstat", "cmdstat_info"}


@pytest.mark.parametrize("trouble", [TimeoutError(), PlatformBusy("1 a minute")])
async def test_a_thread_history_that_cannot_be_fetched_in_time_becomes_a_note(
    harness: PreparationHarness, trouble: Exception
) -> None:
    harness.preparation.thread_history_timeout_s = 0.05
    harness.connection.thread_history = trouble
    turn, _ = await harness.preparation.prepare(
        Turn("t", (make_message("what now?"),)), harness.connection
    )
    assert [earlier.text for earlier in turn.incoming[0].seed] == [
        "earlier messages could not be read"
    ]


async def test_a_connection_without_thread_history_is_not_asked(
    harness: PreparationHarness,
) -> None:
    class Bare:
        download = harness.connection.download

    turn = Turn("t", (make_message("what now?"),))
    assert await harness.preparation.prepare(turn, Bare()) == (turn, ())
