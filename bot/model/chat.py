"""Our subclass of ChatOpenAI, and our messages as LangChain's."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from bot.model.streamed_answer import standard_chunk
from bot.model.thinking import reasoning_of
from bot.model.traits import TokenLimit, Traits
from bot.ports import Message

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

INSTRUCTIONS_TITLE = "[instructions of the people who run you]"
INSTRUCTIONS_END = "[end of the instructions]"
NO_IMAGES = "[not seen: pictures cannot be seen with this model]"
"""Text in place of the pictures of a message."""


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pauses garbage collection for an import: its objects stay, and checking them takes a seventh of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@cache
def lean_chat_class() -> Any:
    """Subclass of ChatOpenAI that sends long histories without delay.

    The openai package transforms each message of a request, on the event loop, in 0.13 ms a message. It
    merges `extra_body` into the request as it is, and LangChain's messages already have the API's format.
    """
    with _without_garbage_collection():
        from langchain_openai import ChatOpenAI

    class LeanChatOpenAI(ChatOpenAI):
        limit_name: TokenLimit = "max_completion_tokens"
        """Name under which the endpoint takes the limit of the answer."""

        def _get_request_payload(
            self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any
        ) -> dict[str, Any]:
            payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
            limit = payload.pop("max_completion_tokens", None)
            if limit is not None and self.limit_name:
                payload[self.limit_name] = limit
            if "messages" in payload:
                payload["extra_body"] = {
                    **(payload.get("extra_body") or {}),
                    "messages": payload["messages"],
                }
                payload["messages"] = []
            return payload

        def _convert_chunk_to_generation_chunk(
            self, chunk: dict[str, Any], *args: Any, **kwargs: Any
        ) -> Any:
            chunk = standard_chunk(chunk)
            converted = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
            choices = chunk["choices"]
            thinking = reasoning_of(choices[0]["delta"]) if choices else ""
            if converted is not None and thinking:
                converted.message.additional_kwargs["thinking"] = thinking
            return converted

    return LeanChatOpenAI


def keep_events_plain(chat: Any) -> None:
    """Let the openai package pass events on as they are.

    It makes a pydantic object of each, which LangChain makes a dict of again: most of the cost of a
    stream, and a warning for each field of another type.
    """

    def passed_on(*, data: Any, **_: Any) -> dict[str, Any]:
        return data if isinstance(data, dict) else {"error": data or "an empty event"}

    chat.root_async_client._process_response_data = passed_on


def adapted(messages: tuple[Message, ...], traits: Traits) -> tuple[Message, ...]:
    """`messages` without what the model does not take: the words of a system message stand in the user's."""
    if not traits.images:
        messages = tuple(_without_images(message) for message in messages)
    if traits.system_role or not messages or messages[0].role != "system":
        return messages
    text = f"{INSTRUCTIONS_TITLE}\n{messages[0].text}\n{INSTRUCTIONS_END}"
    rest = messages[1:]
    if not rest or rest[0].role != "user":
        return (Message("user", text), *rest)
    first = Message("user", f"{text}\n\n{rest[0].text}", rest[0].images)
    return (first, *rest[1:])


def _without_images(message: Message) -> Message:
    if not message.images:
        return message
    return Message(message.role, f"{message.text}\n{NO_IMAGES}".lstrip())


def to_langchain(messages: tuple[Message, ...]) -> list[BaseMessage]:
    """LangChain messages of a prompt."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    classes = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    converted: list[BaseMessage] = []
    for message in messages:
        if message.images:
            blocks: list[Any] = [{"type": "text", "text": message.text}]
            blocks += [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
            converted.append(HumanMessage(content=blocks))
        else:
            converted.append(classes[message.role](content=message.text))
    return converted
