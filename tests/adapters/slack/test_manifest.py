"""The manifest asks for exactly what the code uses."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import yaml
from click.testing import CliRunner
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import action_ids
from adapters.slack.cli import slack as group
from adapters.slack.inbound.parse import parse
from adapters.slack.manifest import (
    ESSENTIAL,
    EVENTS,
    FEATURES,
    METHODS,
    SCOPES,
    as_yaml,
    manifest,
    missing,
)
from tests.payloads import slack, slack_names
from tests.support.repository import ROOT

SLACK = ROOT / "adapters" / "slack"
SOURCES = {str(path.relative_to(SLACK)): path.read_text() for path in SLACK.rglob("*.py")}

BY_BOLT = {"oauth.v2.access"}
"""Called by Bolt's installation flow and the SDK's token rotation."""

OLDER_EVENTS = {"assistant_thread_started"}
"""Sent to apps declared with `assistant_view`; the manifest declares `agent_view`."""


KNOWN = set(re.findall(r"api_call\(\s*\"([\w.]+)\"", inspect.getsource(AsyncWebClient)))
"""Every method that the SDK has."""


def methods_called() -> set[str]:
    """Web API methods that the sources call: by name, or through a helper of the SDK's."""
    found: set[str] = set()
    for name, text in SOURCES.items():
        if name != "manifest.py":
            found |= set(re.findall(r"\"([a-z]+(?:\.[A-Za-z0-9]+)+)\"", text)) & KNOWN
            for helper in set(re.findall(r"\.([a-z]+(?:_[A-Za-z0-9]+)+)\(", text)):
                found |= _methods_of(helper)
    return found


def _methods_of(helper: str) -> set[str]:
    function = getattr(AsyncWebClient, helper, None)
    if function is None:
        return set()
    source = inspect.getsource(function)
    found = set(re.findall(r"api_call\(\s*\"([\w.]+)\"", source))
    for inner in re.findall(r"self\.([a-z]+(?:_[A-Za-z0-9]+)+)\(", source):
        found |= _methods_of(inner)
    return found


def test_the_methods_it_asks_rights_for_are_those_the_code_calls() -> None:
    assert sorted(methods_called() | BY_BOLT) == sorted(METHODS)


def test_every_scope_is_there_for_something_and_nothing_lacks_one() -> None:
    needed = {
        scope for table in (EVENTS, METHODS, FEATURES) for each in table.values() for scope in each
    }
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed == set(SCOPES)
    assert set(ESSENTIAL) <= set(SCOPES)


def test_the_events_it_subscribes_to_are_those_the_code_understands() -> None:
    understood: set[str] = set()
    for name in slack_names():
        body = slack(name)
        event = body.get("event")
        if not event or parse(body) is None:
            continue
        kind = event["type"]
        if kind == "message":
            places = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
            kind = f"message.{places[event['channel_type']]}"
        understood.add(kind)
    subscribed = set(manifest()["settings"]["event_subscriptions"]["bot_events"])
    assert understood - OLDER_EVENTS == subscribed == set(EVENTS)


def test_buttons_of_the_manifest_are_those_that_the_code_handles() -> None:
    features = manifest()["features"]
    assert [feature["command"] for feature in features["slash_commands"]] == [
        action_ids.SLASH_COMMAND
    ]
    ids = {feature["callback_id"] for feature in features["shortcuts"]}
    assert ids == {action_ids.RESET_SHORTCUT, action_ids.FORGET_SHORTCUT}
    for name in ("RESET_SHORTCUT", "FORGET_SHORTCUT", "STOP", "RETRY", "FEEDBACK", "OFFER"):
        assert f"action_ids.{name}" in SOURCES["inbound/interactions.py"], name
    assert all(len(feature["name"]) <= 24 for feature in features["shortcuts"])


def test_for_http_every_address_is_under_the_public_one() -> None:
    data = manifest(base_url="https://bot.example.com/")
    assert data["settings"]["socket_mode_enabled"] is False
    expected = "https://bot.example.com/slack/events"
    assert data["settings"]["event_subscriptions"]["request_url"] == expected
    assert data["settings"]["interactivity"]["request_url"] == expected
    assert data["features"]["slash_commands"][0]["url"] == expected
    assert data["oauth_config"]["redirect_urls"] == ["https://bot.example.com/slack/oauth_redirect"]
    assert manifest()["settings"]["socket_mode_enabled"] is True


def test_the_yaml_says_what_the_json_says() -> None:
    for base_url in ("", "https://bot.example.com"):
        data = manifest('Bot: "the #1"', base_url)
        assert yaml.safe_load(as_yaml(data)) == data == json.loads(json.dumps(data))


def test_the_command_prints_it_ready_to_paste() -> None:
    runner = CliRunner()
    as_text = runner.invoke(group, ["manifest", "--name", "Ada"])
    assert yaml.safe_load(as_text.output) == manifest("Ada")
    as_json = runner.invoke(group, ["manifest", "--json", "--url", "https://b.example"])
    assert json.loads(as_json.output) == manifest(base_url="https://b.example")


def test_the_deployed_copy_is_fresh() -> None:
    """To update it: keepthread slack manifest > deploy/slack-manifest.yaml"""
    assert (ROOT / "deploy" / "slack-manifest.yaml").read_text() == as_yaml(manifest())


def test_missing_scopes_are_named_and_an_untold_list_counts_as_enough() -> None:
    assert missing(tuple(scope for scope in SCOPES if scope != "files:read")) == ("files:read",)
    assert missing(()) == ()


def test_the_manifest_stays_within_slacks_limits() -> None:
    """https://docs.slack.dev/reference/app-manifest"""
    data: Any = manifest()
    assert len(data["display_information"]["description"]) <= 140
    assert len(data["features"]["agent_view"]["agent_description"]) <= 300
    assert len(data["features"]["agent_view"]["suggested_prompts"]) <= 4
    assert all(len(shortcut["description"]) <= 150 for shortcut in data["features"]["shortcuts"])
    assert len(data["features"]["slash_commands"][0]["description"]) <= 2000
