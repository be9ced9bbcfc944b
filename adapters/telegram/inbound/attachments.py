"""Contents of a message besides its words: files, contents described in words, and unsupported kinds."""

from __future__ import annotations

from collections.abc import Sequence

from telegram import Audio, Document, ExternalReplyInfo, Message, PhotoSize, Voice
from telegram.helpers import effective_message_type

from bot.conversation import Attachment

Contents = Message | ExternalReplyInfo
"""Message, or what Telegram tells of one in another chat that is replied to."""


def files_of(message: Contents) -> tuple[Attachment, ...]:
    """Files of the message, by reference; of a picture the largest size."""
    found = []
    sizes = message.photo or (message.live_photo.photo if message.live_photo else ())
    if sizes:
        found.append(picture_of(sizes))
    if message.voice:
        found.append(voice_of(message.voice))
    if message.audio:
        found.append(audio_of(message.audio))
    if message.document and not message.animation:  # an animation comes as a document too
        found.append(document_of(message.document))
    return tuple(found)


def picture_of(sizes: Sequence[PhotoSize]) -> Attachment:
    """The largest of the sizes of a picture."""
    largest = max(sizes, key=lambda size: size.width * size.height)
    return Attachment("image", "photo.jpg", "image/jpeg", largest.file_id, largest.file_size)


def voice_of(voice: Voice) -> Attachment:
    media_type = voice.mime_type or "audio/ogg"
    return Attachment("audio", "voice.ogg", media_type, voice.file_id, voice.file_size)


def audio_of(audio: Audio) -> Attachment:
    name = audio.file_name or audio.title or "audio"
    return Attachment("audio", name, audio.mime_type or "", audio.file_id, audio.file_size)


def document_of(document: Document) -> Attachment:
    media_type = document.mime_type or ""
    is_image = media_type.startswith("image/") and media_type != "image/svg+xml"
    return Attachment(
        "image" if is_image else "audio" if media_type.startswith("audio/") else "document",
        document.file_name or "file",
        media_type,
        document.file_id,
        document.file_size,
    )


def describe_contents(message: Contents) -> str:
    """Description of a sticker, place, contact, poll, checklist or dice; `""` if there is none."""
    if message.sticker:
        pack = f" from “{message.sticker.set_name}”" if message.sticker.set_name else ""
        return f"[sticker {message.sticker.emoji or ''}{pack}]".replace(" ]", "]")
    if message.venue:
        place, venue = message.venue.location, message.venue
        at = f"{place.latitude:g}, {place.longitude:g}"
        return f"[place: {venue.title}, {venue.address} ({at})]"
    if message.location:
        return f"[location: {message.location.latitude:g}, {message.location.longitude:g}]"
    if message.contact:
        contact = message.contact
        name = " ".join(filter(None, (contact.first_name, contact.last_name)))
        return f"[contact: {name}, {contact.phone_number}]"
    if message.poll:
        options = "; ".join(option.text for option in message.poll.options)
        return f"[poll: {message.poll.question} – {options}]"
    if message.checklist:
        tasks = "; ".join(task.text for task in message.checklist.tasks)
        return f"[checklist: {message.checklist.title} – {tasks}]"
    if message.dice:
        return f"[{message.dice.emoji} shows {message.dice.value}]"
    return ""


def unsupported(message: Contents) -> str:
    """The kind of contents that can be neither fetched nor described, as the person is told; `""` if there is none."""
    if message.animation:
        return "animations"
    if message.video or message.video_note:
        return "videos"
    if message.story or (isinstance(message, Message) and message.reply_to_story):
        return "stories"
    if message.paid_media:
        return "paid media"
    if message.game or message.invoice or message.giveaway:
        return "messages of this kind"
    if isinstance(message, Message) and message.api_kwargs:  # newer than the SDK
        return "" if effective_message_type(message) else "messages of this kind"
    return ""
