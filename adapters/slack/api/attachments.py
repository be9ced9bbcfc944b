"""File objects of Slack as attachments. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from adapters.slack.api.payload import Json, get_text
from bot.conversation import Attachment

_BY_ID = "file:"


def attachment_of(file: Json) -> Attachment:
    """A file object (https://docs.slack.dev/reference/objects/file-object) as an Attachment."""
    name = get_text(file, "name") or get_text(file, "title")
    media_type = get_text(file, "mimetype")
    length = file.get("size")
    described = Attachment(
        _kind(media_type, get_text(file, "subtype")),
        name,
        media_type,
        _reference(file),
        length if isinstance(length, int) and length > 0 else None,
    )
    if file.get("mode") in ("tombstone", "hidden_by_limit"):
        return Attachment(
            "other", name, media_type, text="[not read: Slack no longer has the file]"
        )
    if file.get("mode") == "external" or file.get("is_external"):
        return Attachment(
            "other", name, media_type, text="[not read: it is a link to a file outside Slack]"
        )
    if described.kind == "other":
        return replace(
            described, text="[not read: of pictures and films I see PNG, JPEG, GIF and WebP]"
        )
    return described


def file_id(attachment: Attachment) -> str:
    """The id to describe it by, or "" if its URL is known."""
    return attachment.reference[len(_BY_ID) :] if attachment.reference.startswith(_BY_ID) else ""


def _kind(media_type: str, subtype: str) -> Literal["image", "audio", "document", "other"]:
    if media_type.startswith("image/") and media_type != "image/svg+xml":
        return "image"
    if media_type.startswith("audio/") or subtype == "slack_audio":
        return "audio"
    if media_type.startswith("video/"):
        return "other"
    return "document"


def _reference(file: Json) -> str:
    """Its URL, or its id where the event leaves the URL out (shared channels)."""
    url = get_text(file, "url_private_download") or get_text(file, "url_private")
    if url and file.get("file_access") != "check_file_info":
        return url
    return f"{_BY_ID}{get_text(file, 'id')}"
