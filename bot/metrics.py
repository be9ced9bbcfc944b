"""Prometheus metrics (https://prometheus.io/docs/practices/naming/)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bot.conversation import Usage

_TURN_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
_START_BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
MAX_MODELS = 50
"""Limit of the label `model`: an endpoint may name another model in each answer."""


class Metrics:
    """Metrics of one process, on their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.admitted = self._counter(
            "keepthread_messages", "Messages received.", "platform", "admission"
        )
        self.turns = self._counter("keepthread_turns", "Turns that ended.", "platform", "outcome")
        self.retries = self._counter("keepthread_retries", "Turns put back to be retried.")
        self.redeliveries = self._counter("keepthread_redeliveries", "Turns taken over.")
        self.dead = self._counter("keepthread_dead_letters", "Turns that were given up.")
        self.lost_leases = self._counter("keepthread_lost_leases", "Leases of turns, lost here.")
        self.tokens = self._counter("keepthread_model_tokens", "Tokens.", "model", "kind")
        self._models: set[str] = set()
        self.model_failures = self._counter("keepthread_model_failures", "Failed turns.", "error")
        self.feedback = self._counter("keepthread_feedback", "Feedback on answers.", "verdict")
        self.compactions = self._counter("keepthread_compactions", "Folds of turns.", "outcome")
        self.redis_errors = self._counter("keepthread_redis_errors", "Failures of Redis.", "kind")
        self.ready = Gauge(
            "keepthread_ready", "1 where /readyz says yes, else 0.", registry=self.registry
        )
        self.running = Gauge(
            "keepthread_turns_running", "Turns running here now.", registry=self.registry
        )
        self.depth = Gauge(
            "keepthread_queue_depth",
            "Conversations that wait for a worker, or are delayed.",
            ["state"],
            registry=self.registry,
        )
        self.age = Gauge(
            "keepthread_queue_age_seconds",
            "How long the oldest conversation has waited or run.",
            registry=self.registry,
        )
        self.start_wait = self._histogram(
            "keepthread_start_wait_seconds",
            "From a message's arrival in the inbox to the start of its turn.",
            _START_BUCKETS_S,
        )
        self.first_token = self._histogram(
            "keepthread_first_token_seconds",
            "From a turn's start to its first text.",
            _TURN_BUCKETS_S,
        )
        self.turn_time = self._histogram(
            "keepthread_turn_seconds", "From a turn's start to its end.", _TURN_BUCKETS_S
        )

    def count_tokens(self, model: str, usage: Usage) -> None:
        """Add the tokens of an answer. Models beyond MAX_MODELS count as `other`."""
        if len(self._models) < MAX_MODELS:
            self._models.add(model)
        name = model if model in self._models else "other"
        self.tokens.labels(name, "input").inc(usage.input_tokens)
        self.tokens.labels(name, "output").inc(usage.output_tokens)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, help_text, buckets=buckets, registry=self.registry)
