"""What a message holds besides its text: files to fetch, things to put in words, things nobody here can read."""

from __future__ import annotations

from telegram import Message
from telegram.helpers import effective_message_type

from adapters.telegram.inbound.markdown import to_markdown
from bot.conversation import Attachment

Unsupported = str
"""Why it cannot be read, as the person is told; `""` if it can."""


def text_of(message: Message) -> str:
    """Text or caption, as Markdown."""
    if message.text is not None:
        return to_markdown(message.text, message.entities)
    return to_markdown(message.caption or "", message.caption_entities)


def attachments_of(message: Message) -> tuple[Attachment, ...]:
    """Files of the message, by reference; the largest size of a picture."""
    found = []
    if message.photo:
        largest = max(message.photo, key=lambda one: one.width * one.height)
        found.append(
            Attachment("image", "photo.jpg", "image/jpeg", largest.file_id, largest.file_size)
        )
    if message.voice:
        voice = message.voice
        media_type = voice.mime_type or "audio/ogg"
        found.append(Attachment("audio", "voice.ogg", media_type, voice.file_id, voice.file_size))
    if message.audio:
        audio = message.audio
        name = audio.file_name or audio.title or "audio"
        found.append(
            Attachment("audio", name, audio.mime_type or "", audio.file_id, audio.file_size)
        )
    if message.document and not message.animation:  # an animation comes as a document too
        document = message.document
        media_type = document.mime_type or ""
        is_image = media_type.startswith("image/") and media_type != "image/svg+xml"
        found.append(
            Attachment(
                "image" if is_image else "audio" if media_type.startswith("audio/") else "document",
                document.file_name or "file",
                media_type,
                document.file_id,
                document.file_size,
            )
        )
    return tuple(found)


def describe_contents(message: Message) -> str:
    """Stickers, places, contacts, polls, lists and dice in words; `""` if there is none of them."""
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
        options = "; ".join(one.text for one in message.poll.options)
        return f"[poll: {message.poll.question} – {options}]"
    if message.checklist:
        tasks = "; ".join(one.text for one in message.checklist.tasks)
        return f"[checklist: {message.checklist.title} – {tasks}]"
    if message.dice:
        return f"[{message.dice.emoji} shows {message.dice.value}]"
    return ""


def unsupported(message: Message) -> Unsupported:
    """What it is, if it is something that can be neither fetched nor put in words."""
    if message.animation:
        return "animations"
    if message.video or message.video_note:
        return "videos"
    if message.story or message.reply_to_story:
        return "stories"
    if message.paid_media:
        return "paid media"
    is_unknown = (
        message.api_kwargs and effective_message_type(message) is None
    )  # newer than the SDK
    if is_unknown or message.game or message.invoice or message.giveaway:
        return "messages of this kind"
    return ""
