"""deploy/README.md, the alerts and the dashboard tell the truth: metrics, sections, words and times are the code's."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from prometheus_client.metrics_core import Metric

from adapters.slack.manifest import EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH
from adapters.telegram.settings import WEBHOOK_PATH
from bot.inbox.inbox import TTL_MS
from bot.metrics import Metrics
from bot.service.health import HealthProbes
from bot.settings import Settings
from bot.storage.client import WORKER_RETRY_S
from bot.storage.durability import WAIT_MS
from tests.project.test_deploy import DEPLOY, DRAIN_S, ROOT, manifests

RUNBOOK = (DEPLOY / "README.md").read_text(encoding="utf-8")
ON_ONE_LINE = re.sub(r"\s+", " ", RUNBOOK)
WATCHING = ("README.md", "prometheus-alerts.yaml", "grafana/dashboard.json")


def families() -> dict[str, Metric]:
    return {
        family.name: family
        for family in Metrics().registry.collect()
        if family.name.startswith("keepthread_")
    }


def series() -> set[str]:
    """Every name Prometheus can be asked for."""
    found: set[str] = set()
    for name, family in families().items():
        if family.type == "counter":
            found.add(f"{name}_total")
        elif family.type == "histogram":
            found |= {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        else:
            found.add(name)
    return found


@pytest.mark.parametrize("name", WATCHING)
def test_every_metric_it_names_exists(name: str) -> None:
    named = set(re.findall(r"\bkeepthread_[a-z_]+", (DEPLOY / name).read_text(encoding="utf-8")))
    assert named
    assert named <= series(), named - series()


def test_every_metric_is_explained_and_shown() -> None:
    dashboard = (DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8")
    for name in families():
        assert f"| `{name}" in RUNBOOK, f"the runbook says nothing of {name}"
        assert name in dashboard, f"the dashboard does not show {name}"


def test_alerts_and_panels_group_by_labels_that_exist() -> None:
    registry = Metrics()
    labels = {
        label for metric in vars(registry).values() for label in getattr(metric, "_labelnames", ())
    }
    labels |= {"le", "instance"}  # Prometheus' own
    for name in WATCHING[1:]:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        by = re.findall(r"\b(?:by|on) \(([a-z_, ]+)\)", text)
        assert {label for some in by for label in some.split(", ")} <= labels, name
        assert set(re.findall(r"\{([a-z_]+)=", text)) <= labels, name


def test_every_alert_leads_to_a_section_of_the_runbook() -> None:
    (alerts,) = manifests("prometheus-alerts.yaml")
    headings = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    for rule in alerts["groups"][0]["rules"]:
        file, section = re.fullmatch(r"(\S+), \"(.+)\"", rule["annotations"]["runbook"]).groups()  # type: ignore[union-attr]
        assert file == "README.md"
        assert any(heading.startswith(section) for heading in headings), section


def test_every_link_of_the_runbook_leads_somewhere() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", RUNBOOK):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (DEPLOY / target).exists(), target


def test_the_runbook_says_which_paths_are_public() -> None:
    (line,) = re.findall(
        r"^\*\*What is public\.\*\* Only webhooks: (.+)\. Keep", RUNBOOK, re.MULTILINE
    )
    public = {EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH, WEBHOOK_PATH}
    assert set(re.findall(r"`([^`]+)`", line)) == public


SAID = (
    "receive loop failed",
    "socket not connected",
    "cannot poll",
    "webhook cannot be set or checked",
    "Another process polls with the same bot token",
    "Telegram cannot call the webhook",
    "Telegram refuses the token",
    "Socket Mode: ",
    "turn waits for a platform not configured here",
    "message enqueued",
    "turn ended",
    "unreadable",
    "I was interrupted",
    "I cannot reach my memory",
    "My memory is full",
)
"""Words of the log, of probes and of the bot that the runbook quotes."""


@pytest.mark.parametrize("words", SAID)
def test_the_words_that_the_runbook_quotes_are_those_of_the_code(words: str) -> None:
    assert words in ON_ONE_LINE
    sources = [*(ROOT / "bot").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    assert any(words in path.read_text(encoding="utf-8") for path in sources)


def test_the_times_that_the_runbook_names_are_those_of_the_code() -> None:
    max_disconnected_s = next(
        field.default for field in fields(HealthProbes) if field.name == "max_disconnected_s"
    )
    for words in (
        f"`BOT_DRAIN_S` ({DRAIN_S:g} s)",
        f"`BOT_MAX_TURNS` ({Settings.model_fields['bot_max_turns'].default})",
        f"kept for {TTL_MS / 86_400_000:g} days",
        f"tries for {WORKER_RETRY_S:g} s",
        f"safe within {WAIT_MS / 1000:g} s",
        f"for {max_disconnected_s / 60:g} minutes",
    ):
        assert words in ON_ONE_LINE, words
