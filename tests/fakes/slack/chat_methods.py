"""Web API methods that write messages, with the limits that Slack documents.

https://docs.slack.dev/reference/methods
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.fakes.slack.workspace_state import (
    MAX_MARKDOWN,
    MAX_TEXT,
    Channel,
    Json,
    Message,
    SlackRefusal,
    check_blocks,
    check_edited_text,
    check_metadata,
    visible_text,
)

if TYPE_CHECKING:
    from tests.fakes.slack.server import Caller, SlackServer


def post_message(slack: SlackServer, caller: Caller, args: Json) -> Json:
    channel = _writable(slack, args)
    slack.limit_posts(channel.id)
    message = _new(slack, caller, channel, args)
    slack.space.add_message(message)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message.to_json(with_metadata=False),
    }


def post_ephemeral(slack: SlackServer, caller: Caller, args: Json) -> Json:
    channel = _writable(slack, args)
    user = args.get("user", "")
    if user not in channel.members:
        raise SlackRefusal("user_not_in_channel")
    message = _new(slack, caller, channel, args)
    message.visible_to = user
    slack.space.add_message(message)
    return {"message_ts": message.ts}


def update(slack: SlackServer, caller: Caller, args: Json) -> Json:
    message = _own(slack, caller, args, "cant_update_message")
    if message.streaming:
        raise SlackRefusal("streaming_state_conflict")
    text, blocks = _words(args)
    check_edited_text(text)
    message.edits.append(message.text)
    message.text, message.fallback, message.blocks = (
        visible_text(text, blocks),
        text,
        blocks,
    )
    message.edited_at = slack.space.new_ts()
    metadata = check_metadata(args.get("metadata"))
    message.metadata = metadata if metadata is not None else message.metadata
    return {"channel": message.channel, "ts": message.ts, "text": text}


def delete(slack: SlackServer, caller: Caller, args: Json) -> Json:
    message = _own(slack, caller, args, "cant_delete_message")
    message.deleted = True
    return {"channel": message.channel, "ts": message.ts}


def start_stream(slack: SlackServer, caller: Caller, args: Json) -> Json:
    channel = _writable(slack, args)
    if not args.get("thread_ts"):
        raise SlackRefusal("invalid_arguments", why="thread_ts is required")
    if not channel.id.startswith("D"):
        if not args.get("recipient_user_id"):
            raise SlackRefusal("missing_recipient_user_id")
        if not args.get("recipient_team_id"):
            raise SlackRefusal("missing_recipient_team_id")
    if not channel.has_thread(str(args["thread_ts"])):
        raise SlackRefusal("invalid_thread_ts")
    slack.limit_posts(channel.id)
    message = Message(
        slack.space.new_ts(),
        channel.id,
        caller.bot_user,
        thread_ts=args["thread_ts"],
        bot_id=caller.bot_id,
        app_id=caller.app_id,
        streaming=True,
        streamed=True,
        stream_began=time.monotonic(),
    )
    _grow(slack, message, _streamed(args), must=False)
    slack.space.add_message(message)
    return {"channel": channel.id, "ts": message.ts}


def append_stream(slack: SlackServer, caller: Caller, args: Json) -> Json:
    message = _stream(slack, caller, args)
    _grow(slack, message, _streamed(args), must=True)
    return {"channel": message.channel, "ts": message.ts}


def stop_stream(slack: SlackServer, caller: Caller, args: Json) -> Json:
    message = _stream(slack, caller, args)
    blocks = check_blocks(args.get("blocks") or [])
    metadata = check_metadata(args.get("metadata"))
    _grow(slack, message, _streamed(args), must=False)
    message.blocks, message.streaming = blocks, False
    message.metadata = metadata
    return {
        "channel": message.channel,
        "ts": message.ts,
        "message": message.to_json(with_metadata=False),
    }


def _writable(slack: SlackServer, args: Json) -> Channel:
    channel = slack.space.channel(str(args.get("channel") or ""))
    if channel.archived:
        raise SlackRefusal("is_archived")
    if not channel.has_bot:
        raise SlackRefusal("not_in_channel")
    return channel


def _new(slack: SlackServer, caller: Caller, channel: Channel, args: Json) -> Message:
    """A message that is in its thread, or, where that was deleted, at the top level of the channel."""
    text, blocks = _words(args)
    thread_ts = str(args.get("thread_ts") or "")
    return Message(
        slack.space.new_ts(),
        channel.id,
        caller.bot_user,
        visible_text(text, blocks),
        text,
        blocks,
        thread_ts=thread_ts if channel.has_thread(thread_ts) else "",
        bot_id=caller.bot_id,
        app_id=caller.app_id,
        metadata=check_metadata(args.get("metadata")),
        unfurls=args.get("unfurl_links", True) not in (False, "0", "false", 0),
    )


def _words(args: Json) -> tuple[str, list[Json]]:
    text = str(args.get("text") or "")
    markdown = str(_streamed(args))
    if markdown:
        if text or args.get("blocks"):
            raise SlackRefusal("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN:
            raise SlackRefusal("msg_too_long")
        return markdown, []
    blocks = check_blocks(args.get("blocks") or [])
    if not text.strip() and not blocks:
        raise SlackRefusal("no_text")
    return text[:MAX_TEXT], blocks


def _own(slack: SlackServer, caller: Caller, args: Json, refusal: str) -> Message:
    channel = slack.space.channel(str(args.get("channel") or ""))
    message = channel.find(str(args.get("ts") or ""))
    if message is None or message.visible_to:
        raise SlackRefusal("message_not_found")
    if message.bot_id != caller.bot_id:
        raise SlackRefusal(refusal)
    return message


def _stream(slack: SlackServer, caller: Caller, args: Json) -> Message:
    message = _own(slack, caller, args, "message_not_owned_by_app")
    age_s = time.monotonic() - message.stream_began
    if slack.stream_lifetime_s is not None and age_s > slack.stream_lifetime_s:
        message.streaming = False
    if slack.stream_dies_at is not None and len(message.text) >= slack.stream_dies_at:
        message.streaming = False
    if not message.streaming:
        raise SlackRefusal("message_not_in_streaming_state")
    return message


def _streamed(args: Json) -> str:
    """The text of a streaming call, whether it came as text or in chunks."""
    chunks = args.get("chunks") or []
    if chunks and args.get("markdown_text"):
        raise SlackRefusal("invalid_arguments", why="markdown_text and chunks")
    parts = [str(chunk.get("text", "")) for chunk in chunks if chunk.get("type") == "markdown_text"]
    return str(args.get("markdown_text") or "") + "".join(parts)


def _grow(slack: SlackServer, message: Message, more: str, *, must: bool) -> None:
    if not more and must:
        raise SlackRefusal("no_text")
    if len(more) > MAX_MARKDOWN or len(message.text) + len(more) > slack.stream_holds:
        raise SlackRefusal("msg_too_long")
    if more:
        message.edits.append(message.text)
        message.text += more
