"""LangSmith run as data: posted when it starts, patched when it ends.

Runs are not built with `langsmith.RunTree`: that costs the event loop a pydantic model and two deep
copies a run, and adds every `LANGSMITH_*` variable of the environment to the metadata.
The format is that of https://docs.langchain.com/langsmith/run-data-format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from bot.logs import redact

Operation = Literal["post", "patch"]
EnqueueRun = Callable[[Operation, dict[str, Any]], None]
"""Enqueues a run's data for sending; never waits, never raises."""


@dataclass(slots=True)
class Run:
    """Run: one node of a trace.

    Attributes:
        id: UUID version 7, so that runs sort by their start.
        kind: LangSmith's run type: `chain`, `llm`, `tool` …
        dotted_order: the path from the root, in LangSmith's `<start>Z<id>.<start>Z<id>` form.
        metadata: must hold `thread_id`.
    """

    id: UUID
    name: str
    kind: str
    project: str
    inputs: dict[str, Any]
    metadata: dict[str, Any]
    tags: list[str]
    parent: Run | None = None
    parameters: dict[str, Any] | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    outputs: dict[str, Any] | None = None
    error: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    dotted_order: str = ""

    def __post_init__(self) -> None:
        own = f"{self.started_at:%Y%m%dT%H%M%S%f}Z{self.id}"
        self.dotted_order = f"{self.parent.dotted_order}.{own}" if self.parent else own

    @property
    def root(self) -> Run:
        return self.parent.root if self.parent else self

    def post_start(self, enqueue: EnqueueRun) -> None:
        """Post the start, so that LangSmith shows the run as running."""
        enqueue("post", self._identity_fields() | self._start_fields())

    def patch_end(self, enqueue: EnqueueRun) -> None:
        """Patch a posted run with its end. Its inputs are not sent again."""
        enqueue("patch", self._identity_fields() | self._end_fields())

    def post_ended(self, enqueue: EnqueueRun) -> None:
        """Post a run that has ended already."""
        enqueue("post", self._identity_fields() | self._start_fields() | self._end_fields())

    def end(
        self, outputs: dict[str, Any] | None = None, error: BaseException | None = None
    ) -> None:
        """Set the end time, the outputs and the error."""
        self.ended_at = datetime.now(UTC)
        if outputs is not None:
            self.outputs = outputs
        if error is not None:
            self.error = describe(error)

    def _identity_fields(self) -> dict[str, Any]:
        identity: dict[str, Any] = {
            "id": self.id,
            "trace_id": self.root.id,
            "dotted_order": self.dotted_order,
            "session_name": self.project,
            "name": self.name,
            "run_type": self.kind,
            "extra": self._extra_fields(),
            "tags": list(self.tags),
        }
        if self.parent:
            identity["parent_run_id"] = self.parent.id
        return identity

    def _start_fields(self) -> dict[str, Any]:
        return {"start_time": self.started_at.isoformat(), "inputs": self.inputs}

    def _end_fields(self) -> dict[str, Any]:
        ending: dict[str, Any] = {
            "end_time": (self.ended_at or datetime.now(UTC)).isoformat(),
            "outputs": self.outputs or {},
        }
        if self.error is not None:
            ending["error"] = self.error
        if self.events:
            ending["events"] = list(self.events)
        return ending

    def _extra_fields(self) -> dict[str, Any]:
        extra: dict[str, Any] = {"metadata": dict(self.metadata)}
        if self.parameters is not None:
            extra["invocation_params"] = dict(self.parameters)
        return extra


def describe(error: BaseException) -> str:
    """Error text of a run: class name and message, without traceback and tokens."""
    message = redact(str(error))  # some endpoints repeat the key that they refuse
    name = type(error).__name__
    return f"{name}: {message}" if message else name


def as_fields(value: Any) -> dict[str, Any]:
    """`value` as the JSON object that inputs and outputs must be."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {"value": value}
