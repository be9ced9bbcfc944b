"""The tracers behind `ports.Tracer`: LangSmith, and silence.

Nothing here is kept in context variables: a turn's trace is a value that is handed on. So hundreds
of turns in one loop cannot mix, and an async generator cannot leak a trace to its consumer.
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
from bot.tracing.run import Put, Run, as_fields, describe
from bot.tracing.sender import Sender

CLOSE_TIMEOUT_S = 2.0


class LangSmithTracer:
    """One trace a turn: the root "turn", and under it its steps and the model's calls.

    Args:
        sender: takes the runs.
        project: the LangSmith project they go to.
        new_id: makes a UUID version 7.
        release: called when everything was sent, or the time for it is over; may block.
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
        """Trace what happens inside; it may have begun earlier, at `started_at` (UTC). An exception that passes is noted on the run, and passes."""
        place_kind = turn.address.place_kind
        root = Run(
            id=self._new_id(),
            name="turn",
            kind="chain",
            project=self._project,
            inputs={"messages": [_said(turn, number) for number in range(len(turn.incoming))]},
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
        root.begin(self._sender.put)
        trace = _Turn(root, self._sender.put, self._new_id)
        try:
            yield trace
        except BaseException as error:
            trace.broke(error)
            raise
        finally:
            trace.finish()

    async def aclose(self) -> None:
        """Send what waits, for at most two seconds."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._sender.close(CLOSE_TIMEOUT_S)
        self._release()


class _Turn:
    """A running turn in LangSmith."""

    def __init__(self, root: Run, put: Put, new_id: Callable[[], UUID]) -> None:
        self.run_id = str(root.id)
        self._root = root
        self._put = put
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
        step = _Step()
        try:
            yield step
        except BaseException as error:
            run.error = describe(error)
            raise
        finally:
            run.end(step.outputs)
            run.record(self._put)

    def model_config(self) -> dict[str, Any]:
        """`{"callbacks": [...]}`: pass it as the config of the LangChain call."""
        if self._model is None:
            from bot.tracing.callbacks import ModelRuns

            self._model = ModelRuns(self._root, self._put)
        return {"callbacks": [self._model]}

    def end(self, turn: Turn, error: BaseException | None = None) -> None:
        """Say how the turn ended. Later calls correct earlier ones."""
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

    def broke(self, error: BaseException) -> None:
        self._error = self._error or error
        self._root.error = self._root.error or describe(error)

    def finish(self) -> None:
        if self._model is not None:
            self._model.close(self._error)
        self._root.end()
        self._root.finish(self._put)


class _Step:
    """A step in LangSmith; outputs are read when it is over."""

    __slots__ = ("outputs",)

    def __init__(self) -> None:
        self.outputs: dict[str, Any] | None = None

    def end(self, outputs: Any) -> None:
        self.outputs = as_fields(outputs)


def _said(turn: Turn, number: int) -> dict[str, Any]:
    incoming = turn.incoming[number]
    message: dict[str, Any] = {"role": "user", "content": incoming.text}
    if incoming.address.shared:
        message["name"] = incoming.speaker.label
    if incoming.attachments:
        message["attachments"] = [
            {"kind": one.kind, "name": one.name, "size_bytes": one.size_bytes}
            for one in incoming.attachments
        ]
    return message
