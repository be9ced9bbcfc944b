"""Contents of a message besides its text: files, contents described in words, and unsupported kinds."""

from __future__ import annotations

from telegram import Message
from telegram.helpers import effective_message_type

from adapters.telegram.inbound.markdown import to_markdown
from bot.conversation import Attachment


def text_of(message: Message) -> str:
    """Text or caption, as Markdown."""
    if message.text is not None:
        return to_markdown(message.text, message.entities)
    return to_markdown(message.caption or "", message.caption_entities)


def attachments_of(message: Message) -> tuple[Attachment, ...]:
    """Files of the message, by reference; of a picture the largest size."""
    found = []
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
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


def unsupported(message: Message) -> str:
    """The kind of contents that can be neither fetched nor described, as the person is told; `""` if there is none."""
    if message.animation:
        return "animations"
    if message.video or message.video_note:
        return "videos"
    if message.story or message.reply_to_story:
        return "stories"
    if message.paid_media:
        return "paid media"
    # Newer than the SDK.
    is_unknown = message.api_kwargs and effective_message_type(message) is None
    if is_unknown or message.game or message.invoice or message.giveaway:
        return "messages of this kind"
    return ""
