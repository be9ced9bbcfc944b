"""LangSmith tracer: one trace for each turn.

A turn's trace is passed as a value and never kept in context variables, so that hundreds of turns on
one loop cannot mix, and an async generator cannot leak a trace to its consumer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bot import __version__
from bot.conversation import Turn
from bot.ports import StepTrace, TurnTrace
from bot.tracing.run import EnqueueRun, Run, as_fields, describe
from bot.tracing.sender import Sender

CLOSE_TIMEOUT_S = 2.0


class LangSmithTracer:
    """Tracer whose traces have the root run "turn", with the steps and model calls as its children.

    Args:
        sender: sends the runs.
        project: the LangSmith project they go to.
        new_id: creates a UUID version 7.
        release: called once the sender is closed; may block.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        project: str,
        new_id: Callable[[], UUID],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._sender = sender
        self._project = project
        self._new_id = new_id
        self._release = release

    @asynccontextmanager
    async def turn(
        self, turn: Turn, *, started_at: datetime | None = None
    ) -> AsyncIterator[TurnTrace]:
        """Trace of `turn`, started at `started_at` (UTC). An exception is recorded on the run, and passes."""
        place_kind = turn.address.place_kind
        root = Run(
            id=self._new_id(),
            name="turn",
            kind="chain",
            project=self._project,
            inputs={"messages": [_message(turn, number) for number in range(len(turn.incoming))]},
            metadata={
                "thread_id": turn.conversation_id,
                "session": str(turn.session),
                "platform": turn.session.platform,
                "generation": turn.generation,
                "turn_id": turn.id,
                "version": __version__,
                "ls_agent_type": "root",
            },
            tags=[f"platform:{turn.session.platform}", f"place:{place_kind}"],
            started_at=started_at or datetime.now(UTC),
        )
        root.post_start(self._sender.enqueue)
        trace = _LangSmithTurn(root, self._sender.enqueue, self._new_id)
        try:
            yield trace
        except BaseException as error:
            trace.record_error(error)
            raise
        finally:
            trace.close()

    async def aclose(self) -> None:
        """Send the queued runs, for at most two seconds."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._sender.close(CLOSE_TIMEOUT_S)
        self._release()


class _LangSmithTurn:
    """Trace of a running turn."""

    def __init__(self, root: Run, enqueue: EnqueueRun, new_id: Callable[[], UUID]) -> None:
        self.run_id = str(root.id)
        self._root = root
        self._enqueue = enqueue
        self._new_id = new_id
        self._children = {
            key: value for key, value in root.metadata.items() if key != "ls_agent_type"
        }
        self._model: Any = None
        self._error: BaseException | None = None

    @asynccontextmanager
    async def step(
        self, name: str, *, inputs: Any = None, started_at: datetime | None = None
    ) -> AsyncIterator[StepTrace]:
        run = Run(
            id=self._new_id(),
            name=name,
            kind="chain",
            project=self._root.project,
            inputs=as_fields(inputs),
            metadata=self._children,
            tags=self._root.tags,
            parent=self._root,
            started_at=started_at or datetime.now(UTC),
        )
        step = _LangSmithStep()
        try:
            yield step
        except BaseException as error:
            run.error = describe(error)
            raise
        finally:
            run.end(step.outputs)
            run.post_ended(self._enqueue)

    def model_config(self) -> dict[str, Any]:
        """Config of a LangChain call that traces it under this turn: `{"callbacks": [...]}`."""
        if self._model is None:
            from bot.tracing.callbacks import ModelRunCallbacks

            self._model = ModelRunCallbacks(self._root, self._enqueue)
        return {"callbacks": [self._model]}

    def end(self, turn: Turn, error: BaseException | None = None) -> None:
        """Record the end of the turn. A later call overwrites an earlier one."""
        self._root.outputs = {"messages": [{"role": "assistant", "content": turn.answer}]}
        self._root.metadata["state"] = turn.state
        if turn.model:
            self._root.metadata["model"] = turn.model
        if turn.note:
            self._root.metadata["note"] = turn.note
        self._root.tags = [
            *(tag for tag in self._root.tags if not tag.startswith("state:")),
            f"state:{turn.state}",
        ]
        self._error = error
        self._root.error = None
        if error is not None:
            self._root.error = describe(error)
        elif turn.state == "failed":
            self._root.error = turn.note or "failed"

    def record_error(self, error: BaseException) -> None:
        self._error = self._error or error
        self._root.error = self._root.error or describe(error)

    def close(self) -> None:
        """Send the end of the turn and of its open model calls."""
        if self._model is not None:
            self._model.close(self._error)
        self._root.end()
        self._root.patch_end(self._enqueue)


class _LangSmithStep:
    """Step of a turn; its outputs are sent when it ends."""

    __slots__ = ("outputs",)

    def __init__(self) -> None:
        self.outputs: dict[str, Any] | None = None

    def end(self, outputs: Any) -> None:
        self.outputs = as_fields(outputs)


def _message(turn: Turn, number: int) -> dict[str, Any]:
    incoming = turn.incoming[number]
    message: dict[str, Any] = {"role": "user", "content": incoming.text}
    if incoming.address.shared:
        message["name"] = incoming.speaker.label
    if incoming.attachments:
        message["attachments"] = [
            {"kind": each.kind, "name": each.name, "size_bytes": each.size_bytes}
            for each in incoming.attachments
        ]
    return message
