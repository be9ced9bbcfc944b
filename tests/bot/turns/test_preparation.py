"""What a turn needs before it can be answered: attachments in words or pictures, and what was said before."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.conversation import Address, Attachment, Incoming, Overheard, Speaker, Turn
from bot.errors import PlatformBusy, PlatformUnreachable
from bot.memory.history import RedisHistory
from bot.model.transcription import Transcriber
from bot.ports import TurnWrite
from bot.settings import Settings
from bot.turns.preparation import MAX_IMAGE_BYTES, MAX_IMAGES, READ_AT_ONCE, TurnPreparation
from tests.bot.model.test_transcription import Ear
from tests.support.messages import KEY, make_message
from tests.support.wait import wait_until

PNG = Attachment("image", "a.png", "image/png", "png")
NOTES = Attachment("document", "notes.txt", "text/plain", "notes")
VOICE = Attachment("audio", "voice.oga", "audio/ogg", "voice")


@dataclass
class Shelf:
    """A connection that has files, and what was said before. `fetched` is what was asked of it."""

    files: dict[str, bytes | Exception] = field(default_factory=dict)
    before: tuple[Overheard, ...] | Exception = ()
    fetched: list[str] = field(default_factory=list)
    seeded: int = 0

    async def download(self, address: Address, attachment: Attachment) -> bytes:
        self.fetched.append(attachment.reference)
        found = self.files[attachment.reference]
        if isinstance(found, Exception):
            raise found
        if found == b"never":
            await asyncio.Event().wait()
        return found

    async def fetch_thread_history(self, address: Address) -> tuple[Overheard, ...]:
        self.seeded += 1
        if isinstance(self.before, TimeoutError):
            await asyncio.Event().wait()
        if isinstance(self.before, Exception):
            raise self.before
        return self.before


@dataclass
class Table:
    preparer: TurnPreparation
    shelf: Shelf
    ear: Ear

    async def read(self, *attachments: Attachment) -> tuple[list[str], tuple[str, ...]]:
        """What became of them in words, and the pictures."""
        turn = Turn("t", (make_message("see", attachments=attachments),))
        turn, images = await self.preparer.prepare(turn, self.shelf)
        return [one.text for one in turn.incoming[0].attachments], images


@pytest.fixture
async def table(redis: Redis, settings: Settings) -> AsyncIterator[Table]:
    ear = Ear()
    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", ear.hear)
    async with TestServer(app) as server:
        given = {"openai_base_url": str(server.make_url("/v1")), "openai_api_key": SecretStr("k")}
        async with Transcriber(settings.model_copy(update=given)) as transcriber:
            history = RedisHistory(redis, settings.bot_redis_prefix, timedelta(days=1))
            yield Table(TurnPreparation(history, transcriber, max_chars=200), Shelf(), ear)


async def test_each_kind_of_attachment_is_read_in_its_way(table: Table) -> None:
    table.shelf.files = {"png": b"\x89PNG", "notes": b"the word is heron", "voice": b"hello there"}
    texts, images = await table.read(PNG, NOTES, VOICE, Attachment("other", "a sticker"))
    assert texts == ["", "the word is heron", "hello there", ""]
    assert images == ("data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(),)


async def test_few_documents_are_read_at_once(table: Table) -> None:
    running, most, go_on = 0, 0, asyncio.Event()

    async def slowly(data: bytes, item: Attachment, max_chars: int) -> Attachment:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return replace(item, text="read")

    table.preparer.read_document = slowly
    table.shelf.files = {"notes": b"x"}
    reading = [asyncio.create_task(table.read(NOTES)) for _ in range(5)]
    await wait_until(lambda: len(table.shelf.fetched) == 5)
    go_on.set()
    assert [texts for texts, _ in await asyncio.gather(*reading)] == [["read"]] * 5
    assert most == READ_AT_ONCE


async def test_a_long_document_is_cut_and_says_so(table: Table) -> None:
    table.shelf.files = {"notes": b"x" * 1_000}
    ((text,), _) = await table.read(NOTES)
    assert text == "x" * 200 + "\n[cut off here: the first 200 of 1,000 characters]"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (replace(PNG, size_bytes=MAX_IMAGE_BYTES + 1), "is larger than 10.5 MB"),
        (replace(NOTES, size_bytes=10**9), "is larger than 21.0 MB"),
        (replace(PNG, media_type="image/heic"), "PNG, JPEG, GIF and WebP I can see"),
    ],
)
async def test_what_cannot_be_read_anyway_is_not_even_fetched(
    table: Table, item: Attachment, words: str
) -> None:
    ((text,), images) = await table.read(item)
    assert words in text
    assert (images, table.shelf.fetched) == ((), [])


async def test_a_picture_whose_size_was_not_told_is_weighed(table: Table) -> None:
    table.shelf.files = {"png": bytes(MAX_IMAGE_BYTES + 1)}
    ((text,), images) = await table.read(PNG)
    assert "a.png (10.5 MB) is larger than" in text
    assert images == ()


async def test_no_more_pictures_are_shown_than_a_model_takes(table: Table) -> None:
    table.shelf.files = {"png": b"x"}
    texts, images = await table.read(*[PNG] * (MAX_IMAGES + 2))
    assert len(images) == len(table.shelf.fetched) == MAX_IMAGES
    assert texts[MAX_IMAGES:] == ["[not seen: there are too many]"] * 2


async def test_a_model_that_is_blind_or_deaf_says_so(table: Table, settings: Settings) -> None:
    table.preparer.sees_images = False
    table.preparer.transcriber = Transcriber(settings)  # the local model's
    texts, images = await table.read(PNG, VOICE)
    assert texts == [
        "[not seen: I cannot see pictures]",
        "[not heard: I cannot listen to speech here]",
    ]
    assert (images, table.shelf.fetched) == ((), [])


@pytest.mark.parametrize("status", [404, 500])
async def test_speech_that_cannot_be_heard_costs_no_answer(table: Table, status: int) -> None:
    table.shelf.files = {"voice": b"hello"}
    table.ear.status = status
    assert (await table.read(VOICE))[0] == ["[not heard: it could not be turned into words]"]


async def test_silence_is_told_from_what_was_not_heard(table: Table) -> None:
    table.shelf.files = {"voice": b"  "}
    assert (await table.read(VOICE))[0] == ["[nothing is said in it]"]


@pytest.mark.parametrize("trouble", [PlatformUnreachable("gone"), b"never"])
async def test_what_cannot_be_fetched_costs_no_answer(
    table: Table, trouble: Exception | bytes
) -> None:
    table.preparer.loading_s = 0.05
    table.shelf.files = {"notes": trouble, "png": b"x"}
    texts, images = await table.read(NOTES, PNG)
    assert texts == ["[not read: notes.txt could not be fetched]", ""]
    assert len(images) == 1


async def test_what_was_read_once_is_not_fetched_again(table: Table) -> None:
    table.shelf.files = {"notes": b"heron"}
    turn, _ = await table.preparer.prepare(
        Turn("t", (make_message("see", attachments=(NOTES,)),)), table.shelf
    )
    again, _ = await table.preparer.prepare(turn, table.shelf)
    assert (again, table.shelf.fetched) == (turn, ["notes"])


def asked_in(text: str = "what now?") -> Incoming:
    """A question in a place where others talked before."""
    return replace(make_message(text), address=Address(KEY, "group", details={"seed": "1"}))


EARLIER = (Overheard(Speaker("U2", "Ben"), "the build is red"),)


async def test_what_was_said_before_is_fetched_once_for_the_first_message(table: Table) -> None:
    table.shelf.before = EARLIER
    turn = Turn("t", (asked_in(), asked_in("please")))
    turn, _ = await table.preparer.prepare(turn, table.shelf)
    assert [one.seed for one in turn.incoming] == [EARLIER, ()]
    await table.preparer.history.append(TurnWrite(turn.ended("complete", "x"), tokens=9))
    turn, _ = await table.preparer.prepare(Turn("t2", (asked_in("and?"),)), table.shelf)
    assert turn.incoming[0].seed == ()
    assert table.shelf.seeded == 1


@pytest.mark.parametrize("trouble", [TimeoutError(), PlatformBusy("1 a minute")])
async def test_a_past_that_cannot_be_fetched_in_time_is_left_out_and_said(
    table: Table, trouble: Exception
) -> None:
    table.preparer.seeding_s = 0.05
    table.shelf.before = trouble
    turn, _ = await table.preparer.prepare(Turn("t", (asked_in(),)), table.shelf)
    assert [one.text for one in turn.incoming[0].seed] == ["earlier messages could not be read"]


async def test_a_platform_that_knows_no_past_is_not_asked(table: Table) -> None:
    class Bare:
        download = table.shelf.download

    turn = Turn("t", (asked_in(),))
    assert await table.preparer.prepare(turn, Bare()) == (turn, ())
