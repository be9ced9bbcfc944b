"""Tracing: one LangSmith trace a turn, or silence.

tracer.py     the turn, its steps, and the silent twin of both
model_run.py  the language model's call, as LangChain reports it
runs.py       what LangSmith calls a run, as data
sender.py     the bounded queue and the one thread that talks to LangSmith
setup.py      from settings to a tracer; the line in `keepthread doctor`
"""

from __future__ import annotations

from bot.tracing.doctor import check
from bot.tracing.factory import build_tracer, switch_off_automatic_tracing
from bot.tracing.langsmith import LangSmithTracer
from bot.tracing.noop import NoopTracer

__all__ = [
    "LangSmithTracer",
    "NoopTracer",
    "build_tracer",
    "check",
    "switch_off_automatic_tracing",
]
