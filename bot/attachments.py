"""Reader of documents: text, code and PDF become text within a budget, other files a note why not."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import replace
from pathlib import PurePath

import structlog

from bot.conversation import Attachment
from bot.text import clean_text, human_size

log = structlog.get_logger("keepthread.attachments")

MAX_DOCUMENT_BYTES = 20 * 1024 * 1024
"""Largest document that is read; also the largest that Telegram's cloud lets a bot download (core.telegram.org/bots/api#getfile)."""

MAX_READING_S = 20.0
"""Longest reading of a document; one that takes longer is given as far as it was read."""

_MAX_PDF_PAGES = 2_000
_MAX_CONTROL_SHARE = 0.02
"""Share of control characters above which a file is no text, whatever its name says."""
_PDF_TYPES = ("application/pdf", "application/x-pdf")
_NO_TEXT = {
    ".doc": "an old Word file",
    ".docx": "a Word file",
    ".odt": "an OpenDocument file",
    ".ppt": "a slide deck",
    ".pptx": "a slide deck",
    ".rar": "an archive",
    ".tar": "an archive",
    ".gz": "an archive",
    ".7z": "an archive",
    ".xls": "a spreadsheet",
    ".xlsx": "a spreadsheet",
    ".zip": "an archive",
}


_FIRST_BYTES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"M4A ": "audio/mp4"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "image/heic"
)


def media_type_of(data: bytes) -> str:
    """The type of a picture or sound by its first bytes, or `""`.

    Signatures: https://mimesniff.spec.whatwg.org, and ISO/IEC 14496-12 for those of `ftyp`.
    """
    for start, media_type in _FIRST_BYTES:
        if data.startswith(start):
            return media_type
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    return _BRANDS.get(data[8:12], "") if data[4:8] == b"ftyp" else ""


def identified(attachment: Attachment, data: bytes) -> Attachment:
    """The attachment with the kind and type that its first bytes tell: apps send pictures under any name."""
    media_type = media_type_of(data)
    if media_type.startswith("image/"):
        return replace(attachment, kind="image", media_type=media_type)
    if media_type and attachment.kind == "document":
        return replace(attachment, kind="audio", media_type=media_type)
    return attachment


async def read_document(data: bytes, attachment: Attachment, max_chars: int) -> Attachment:
    """The attachment with its text, at most `max_chars` characters, or with a note why it has none.

    A cut is noted in the text. Runs in a thread. Raises nothing of its own.
    """
    text = await asyncio.to_thread(_read, data, attachment, max_chars)
    return replace(attachment, text=clean_text(text))


def describe(attachment: Attachment) -> str:
    """Name and size, for people: `notes.pdf (1.2 MB)`."""
    name = attachment.name or attachment.media_type or f"an unnamed {attachment.kind}"
    return f"{name} ({human_size(attachment.size_bytes)})" if attachment.size_bytes else name


def too_large(attachment: Attachment, limit_bytes: int = MAX_DOCUMENT_BYTES) -> str:
    """A note if it is larger than `limit_bytes` by the platform's word, else `""`; ask before the download."""
    if attachment.size_bytes is None or attachment.size_bytes <= limit_bytes:
        return ""
    return f"[not read: {describe(attachment)} is larger than {human_size(limit_bytes)}]"


def _read(data: bytes, attachment: Attachment, max_chars: int) -> str:
    if len(data) > MAX_DOCUMENT_BYTES:
        return too_large(replace(attachment, size_bytes=len(data)))
    if not data:
        return "[not read: the file is empty]"
    if data.startswith(b"%PDF-") or attachment.media_type in _PDF_TYPES:
        return _read_pdf(data, max_chars)
    text = _decode(data)
    if text is None:
        suffix = PurePath(attachment.name).suffix.lower()
        kind = _NO_TEXT.get(suffix, "no text that I know how to read")
        return f"[not read: it is {kind}; I read plain text, code and PDF]"
    return _shortened(text, max_chars, whole=len(text))


def _read_pdf(data: bytes, max_chars: int) -> str:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    give_up_at = time.monotonic() + MAX_READING_S
    pages: list[str] = []
    length = 0
    try:
        reader = PdfReader(io.BytesIO(data))
        count = len(reader.pages)
        for page in reader.pages[:_MAX_PDF_PAGES]:
            pages.append(page.extract_text().strip())
            length += len(pages[-1])
            if length > max_chars or time.monotonic() > give_up_at:
                break
    except (FileNotDecryptedError, DependencyError):
        return "[not read: the PDF is protected by a password]"
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # pypdf lets plain Python errors through on damaged files.
        log.info("PDF damaged", error=repr(error))
        if not length:
            return "[not read: the PDF is damaged]"
        count = len(pages)
    except (RecursionError, MemoryError) as error:
        log.warning("PDF too complicated", error=repr(error))
        return "[not read: the PDF is too complicated]"
    text = "\n\n".join(page for page in pages if page)
    if not text:
        return "[not read: the PDF holds pictures of pages, and no text]"
    text = _shortened(text, max_chars)
    if len(pages) < count:
        text += f"\n[pages {len(pages) + 1} to {count} are left out]"
    return text


def _decode(data: bytes) -> str | None:
    """`data` as text by its byte order mark, as UTF-8 or as Windows-1252; None if it is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data:
        return None
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        controls = sum(
            text.count(chr(code)) for code in range(32) if code not in (9, 10, 12, 13, 27)
        )
        return None if controls > len(text) * _MAX_CONTROL_SHARE else text.replace("\r\n", "\n")
    return None


def _shortened(text: str, max_chars: int, whole: int = 0) -> str:
    if len(text) <= max_chars:
        return text
    of = f" of {whole:,}" if whole else ""
    return f"{text[:max_chars]}\n[cut off here: the first {max_chars:,}{of} characters]"
