"""Reader of documents: text within a budget, or a note why there is none."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.attachments import describe, read_document, too_large
from bot.conversation import Attachment

NOTE = Attachment("document", "notes.txt", "text/plain")


def pdf(*pages: str, password: str = "") -> bytes:
    """A real PDF with a line of text a page."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


async def test_code_and_text_are_read_as_they_are() -> None:
    read = await read_document("print('héllo')\r\n".encode(), NOTE, 100)
    assert read.text == "print('héllo')\n"
    assert read.name == NOTE.name


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
async def test_text_of_other_encodings_is_read(encoding: str) -> None:
    assert (await read_document("naïve café".encode(encoding), NOTE, 100)).text == "naïve café"


async def test_a_cut_of_a_long_text_is_noted() -> None:
    text = (await read_document(b"x" * 500, NOTE, 100)).text
    assert text == "x" * 100 + "\n[cut off here: the first 100 of 500 characters]"


async def test_a_pdf_is_read_page_by_page_until_the_budget_is_used() -> None:
    data = pdf("the first page", "the second page", "the third page")
    whole = await read_document(data, Attachment("document", "a.pdf"), 1_000)
    assert whole.text == "the first page\n\nthe second page\n\nthe third page"
    part = await read_document(data, Attachment("document", "a.pdf"), 16)
    assert part.text.startswith("the first page\n\n")
    assert part.text.endswith("[pages 3 to 3 are left out]")


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (b"", "empty.txt", "empty"),
        (pdf("hidden", password="pw"), "secret.pdf", "password"),
        (pdf(), "none.pdf", "no text"),
        (b"%PDF-1.7\nnothing of the sort", "broken.pdf", "damaged"),
        (b"PK\x03\x04\0\0\0", "report.docx", "Word file"),
        (bytes(range(256)), "blob.bin", "plain text, code and PDF"),
        (b"x" * (20 * 1024 * 1024 + 1), "huge.txt", "larger than 21.0 MB"),
    ],
)
async def test_an_unreadable_file_becomes_a_note_of_why(data: bytes, name: str, why: str) -> None:
    text = (await read_document(data, Attachment("document", name), 1_000)).text
    assert text.startswith("[not read: ")
    assert why in text


def test_a_known_size_is_checked_before_the_download() -> None:
    big = Attachment("document", "film.mkv", size_bytes=30_000_000)
    assert too_large(big) == "[not read: film.mkv (30.0 MB) is larger than 21.0 MB]"
    assert not too_large(Attachment("document", "a.txt", size_bytes=4_000))
    assert not too_large(Attachment("document", "a.txt"))
    assert describe(Attachment("document", "a.txt", size_bytes=312)) == "a.txt (312 bytes)"
    assert describe(Attachment("image")) == "an unnamed image"


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "b.pdf", "", "c.zip"]))
async def test_the_reader_survives_any_bytes(data: bytes, name: str) -> None:
    for start in (b"", b"%PDF-1.4\n"):
        read = await read_document(start + data, Attachment("document", name), 50)
        assert len(read.text) < 250
        read.text.encode()
