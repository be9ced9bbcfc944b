"""What people attach in Slack: described from an event, fetched when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot.attachments import MAX_DOCUMENT_BYTES, size
from bot.conversation import Attachment
from bot.errors import PlatformBusy, PlatformError, PlatformRefused, PlatformUnreachable

if TYPE_CHECKING:
    import aiohttp

_VISIBLE = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What vision models take."""

_BY_ID = "file:"
_SLACK_DOMAINS = ("slack.com", "slack-gov.com", "slack-files.com")


def attachment_of(file: Mapping[str, Any]) -> Attachment:
    """A file object (https://docs.slack.dev/reference/objects/file-object) as our attachment."""
    name = str(file.get("name") or file.get("title") or "")
    media_type = str(file.get("mimetype") or "")
    length = file.get("size")
    described = Attachment(
        _kind(media_type, str(file.get("subtype") or "")),
        name,
        media_type,
        _reference(file),
        int(length) if isinstance(length, int) and length else None,
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


def quoted(message: Mapping[str, Any]) -> str:
    """Texts of the messages that this one forwards or shares, or `""`."""
    found = []
    for attachment in message.get("attachments") or ():
        if attachment.get("is_share") or attachment.get("is_msg_unfurl"):
            author = str(attachment.get("author_name") or "").strip()
            text = str(attachment.get("text") or attachment.get("fallback") or "").strip()
            found.append(f"{author}: {text}" if author and text else text)
    return "\n\n".join(text for text in found if text)


def may_be_fetched(url: str, api_url: str) -> bool:
    """Whether the token may be sent there: Slack's own hosts, or the API's."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.netloc and parts.netloc == urlsplit(api_url).netloc:
        return True
    return parts.scheme == "https" and any(
        host == domain or host.endswith("." + domain) for domain in _SLACK_DOMAINS
    )


def file_id(attachment: Attachment) -> str:
    """The id to look its address up by, or `""` if its address is known."""
    return attachment.reference[len(_BY_ID) :] if attachment.reference.startswith(_BY_ID) else ""


async def fetch(
    session: aiohttp.ClientSession, url: str, token: str, attachment: Attachment, api_url: str
) -> bytes:
    """The content of a file behind a private address.

    Raises:
        PlatformError: refused (with its cure), too large, or unreachable.
    """
    import aiohttp

    if not may_be_fetched(url, api_url):
        raise PlatformRefused(f"a file at {urlsplit(url).hostname!r} is not Slack's; not fetched")
    try:
        async with session.get(
            url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
        ) as response:
            if response.status == 429:
                wait = response.headers.get("Retry-After", "")
                raise PlatformBusy(
                    "file downloads are limited",
                    retry_after_s=float(wait) if wait.isdigit() else None,
                )
            if _is_login_page(response, attachment):
                raise PlatformRefused(
                    "Slack showed its login page instead of a file: the token lacks files:read",
                    cure="Add the scope files:read to the app and install it again.",
                )
            if response.status != 200:
                raise PlatformError(f"a file download answered {response.status}")
            return await _read(response)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PlatformUnreachable(f"a file could not be fetched: {error!r}") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, total = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        total += len(part)
        if total > MAX_DOCUMENT_BYTES:
            raise PlatformError(f"a file is larger than {size(MAX_DOCUMENT_BYTES)}")
        parts.append(part)
    return b"".join(parts)


def _is_login_page(response: aiohttp.ClientResponse, attachment: Attachment) -> bool:
    if 300 <= response.status < 400 or response.status in (401, 403):
        return True
    is_html = response.content_type == "text/html"
    return is_html and "html" not in attachment.media_type


def _kind(media_type: str, subtype: str) -> Any:
    if media_type in _VISIBLE:
        return "image"
    if media_type.startswith("audio/") or subtype == "slack_audio":
        return "audio"
    if media_type.startswith(("video/", "image/")) and media_type != "image/svg+xml":
        return "other"
    return "document"


def _reference(file: Mapping[str, Any]) -> str:
    """Its address, or its id where Slack tells the address only on request (shared channels)."""
    address = file.get("url_private_download") or file.get("url_private")
    if address and file.get("file_access") != "check_file_info":
        return str(address)
    return f"{_BY_ID}{file.get('id') or ''}"
