"""Tracing: one LangSmith trace for each turn, or none.

factory.py    the tracer for given settings
langsmith.py  LangSmith tracer: traces of turns and their steps
noop.py       no-op tracer
callbacks.py  runs of model calls, from LangChain's callbacks
run.py        LangSmith run, as data
sender.py     bounded queue, and the thread that sends it to LangSmith
doctor.py     check for `keepthread doctor`

LangSmith and LangChain are imported when tracing is on, not with this package.
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
