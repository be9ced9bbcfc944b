"""LangChain callback handler that traces the model calls of a turn.

It replaces `LangChainTracer`, which serialises each message as a LangChain constructor on the event
loop, once at the start and again in every copy, and sends the client's headers along. This one sends
roles and text, and of the parameters only those named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from bot.tracing.run import EnqueueRun, Run

ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
PARAMETERS = (
    "model",
    "model_name",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "reasoning_effort",
)
MAX_URL_CHARS = 512
"""Longest image URL in a trace: longer ones hold the picture itself."""


class ModelRunCallbacks(BaseCallbackHandler):
    """Callback handler of one turn: makes each of its model calls a child run of `parent`."""

    run_inline = True
    """Makes LangChain call it in order on the event loop: it only builds dictionaries."""

    def __init__(self, parent: Run, enqueue: EnqueueRun) -> None:
        self._parent = parent
        self._enqueue = enqueue
        self._open: dict[UUID, Run] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        invocation = kwargs.get("invocation_params") or {}
        model_metadata = {
            key: value for key, value in (metadata or {}).items() if key.startswith("ls_")
        }
        run = Run(
            id=run_id,
            name=name or (serialized or {}).get("name") or "ChatOpenAI",
            kind="llm",
            project=self._parent.project,
            inputs={"messages": [_message(message) for message in messages[0]]},
            metadata=_child_metadata(self._parent.metadata) | model_metadata,
            tags=self._parent.tags,
            parent=self._parent,
            parameters={
                key: invocation[key] for key in PARAMETERS if invocation.get(key) is not None
            },
        )
        run.events.append(_event("start"))
        self._open[run_id] = run
        run.post_start(self._enqueue)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        run = self._open.get(run_id)
        if run is not None and len(run.events) == 1 and token:
            run.events.append(_event("new_token"))  # LangSmith's time to first token

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        self._finish(run_id, response, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._finish(run_id, kwargs.get("response"), error)

    def close(self, error: BaseException | None) -> None:
        """End the runs of calls whose stream was left before its end."""
        for run_id in list(self._open):
            self._finish(run_id, None, error or RuntimeError("left before its end"))

    def _finish(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None
    ) -> None:
        run = self._open.pop(run_id, None)
        if run is None:
            return
        outputs, usage = _outputs(response)
        if usage:
            outputs["usage_metadata"] = usage
            run.metadata["usage_metadata"] = usage
        run.events.append(_event("end"))
        run.end(outputs, error)
        run.patch_end(self._enqueue)


def _child_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "ls_agent_type"}


def _event(name: str) -> dict[str, Any]:
    return {"name": name, "time": datetime.now(UTC).isoformat()}


def _message(message: BaseMessage) -> dict[str, Any]:
    return {"role": ROLES.get(message.type, message.type), "content": _content(message.content)}


def _content(content: str | Sequence[Any]) -> Any:
    if isinstance(content, str):
        return content
    return [_block(block) if isinstance(block, dict) else block for block in content]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block.get("text", "")}
    image = block.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str) and len(url) <= MAX_URL_CHARS and not url.startswith("data:"):
        return {"type": "image_url", "image_url": {"url": url}}
    size = len(url) if isinstance(url, str) else 0
    return {"type": "text", "text": f"[{kind}, {size:,} characters, not traced]"}


def _outputs(response: LLMResult | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The answer in LangSmith's chat format, and its token usage."""
    if not isinstance(response, LLMResult) or not response.generations:
        return {}, None
    if not response.generations[0]:
        return {}, None
    message = getattr(response.generations[0][0], "message", None)
    if message is None:
        return {}, None
    usage = getattr(message, "usage_metadata", None)
    answer = {"role": "assistant", "content": _content(message.content)}
    return {"messages": [answer]}, dict(usage) if usage else None
