"""deploy/ tells the truth: names, ports, paths, roles, commands, metrics and times are those of the code."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.requirements import Requirement

from adapters.telegram.adapter import ADAPTER as TELEGRAM
from bot.cli.main import main
from bot.plugins import load_settings, settings_classes
from bot.service.http import HEALTH_PATH, METRICS_PATH, READY_PATH, create_app, serve
from bot.settings import Settings, SettingsBase
from tests.support.repository import ROOT

DEPLOY = ROOT / "deploy"
FILES = sorted(p for p in DEPLOY.rglob("*") if p.is_file() and not p.name.startswith("."))
RUNBOOK = (DEPLOY / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
SETTING = re.compile(
    r"\b(?:BOT|SLACK|TELEGRAM|REDIS|OPENAI|LANGSMITH|LANGCHAIN)_[A-Z0-9_]*[A-Z0-9]\b"
)
PORT = Settings.model_fields["bot_http_port"].default
DRAIN_S = Settings.model_fields["bot_drain_s"].default
ROLES = ("all", "ingress", "worker")
FILLED_IN = {"OPENAI_API_KEY": "k", "TELEGRAM_BOT_TOKEN": "7000:t", "STORE_PASSWORD": "p"}


def each_file(function: Any) -> Any:
    return pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)(function)


def known_settings() -> dict[str, type[SettingsBase]]:
    return {name: cls for cls in settings_classes() for name in cls.names()}


def example() -> tuple[dict[str, str], dict[str, str]]:
    """What env.example sets, and what it shows behind a `#`."""
    text = (DEPLOY / "env.example").read_text(encoding="utf-8")
    lines = re.findall(r"^(#?)([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE)
    return (
        {name: value for mark, name, value in lines if not mark},
        {name: value for mark, name, value in lines if mark},
    )


def manifests(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def pods() -> dict[str, Any]:
    """The two deployments of Kubernetes, by role."""
    found = [*manifests("kubernetes/ingress.yaml"), *manifests("kubernetes/worker.yaml")]
    return {
        manifest["metadata"]["labels"]["role"]: manifest
        for manifest in found
        if manifest["kind"] == "Deployment"
    }


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s?", text)[1])  # type: ignore[index]


@each_file
def test_every_setting_it_names_exists(path: Path) -> None:
    named = set(SETTING.findall(path.read_text(encoding="utf-8")))
    assert named <= set(known_settings()), named - set(known_settings())


@each_file
def test_every_path_role_and_command_it_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    paths = set(re.findall(r"(?<![\w/.-])/(?:[a-z]+z|metrics)\b", text))
    assert paths <= {HEALTH_PATH, READY_PATH, METRICS_PATH}
    roles = set(re.findall(r"--role[\"',\s]+([a-z]+)", text))
    assert roles <= set(ROLES)
    for first, second in re.findall(r"(?:^|[\s`\"(]|bin/)keepthread ([a-z]+)(?: ([a-z]+))?", text):
        if first in ("worker", "ingress"):
            continue  # `--entrypoint keepthread worker`: a service of compose.yaml
        command = main.get_command(click.Context(main), first)
        assert command is not None, first
        if isinstance(command, click.Group) and second:
            assert command.get_command(click.Context(command), second), f"{first} {second}"


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix in (".yaml", ".json")], ids=str)
def test_every_manifest_can_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) if path.suffix == ".json" else list(yaml.safe_load_all(text))


def test_the_example_shows_every_setting_once_and_no_secret() -> None:
    given, shown = example()
    assert not set(given) & set(shown)
    without_old_names = {name for name in known_settings() if not name.startswith("LANGCHAIN_")}
    missing = without_old_names - set(given) - set(shown)
    assert not missing, f"add to deploy/env.example: {sorted(missing)}"
    assert not [name for name, value in given.items() if value], "filled in already"


def test_values_of_the_example_are_the_defaults_or_may_be_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, shown = example()
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    load_settings()
    for cls in settings_classes():
        default, loaded = cls.model_construct(), cls.load()
        for field in cls.model_fields:
            was = getattr(default, field)
            has_default = was not in (None, ()) and field not in (
                "bot_system_prompt",
                "bot_data_dir",
            )
            if field.upper() in shown and has_default:
                assert getattr(loaded, field) == was, field


def test_three_lines_are_enough_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**example()[0], **FILLED_IN}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert TELEGRAM.is_configured(TELEGRAM.settings_class.load())
    assert not settings.uses_local_model
    assert settings.bot_allow == (), "nobody is let in by an example"


@pytest.mark.parametrize("role", ["ingress", "worker"])
def test_compose_runs_each_role_locked_in_and_with_time_to_drain(role: str) -> None:
    (compose,) = manifests("compose.yaml")
    one = compose["services"][role]
    assert one["command"] == ["--role", role]
    assert one["env_file"] == ".env"
    assert one["environment"]["BOT_HTTP_HOST"] == "0.0.0.0"
    assert int(one["environment"]["BOT_HTTP_PORT"]) == PORT
    assert seconds(one["stop_grace_period"]) > DRAIN_S + 20
    assert one["restart"] == "unless-stopped"
    assert one["read_only"] is True
    assert "no-new-privileges:true" in one["security_opt"]
    assert (DEPLOY / one["build"]["context"] / one["build"]["dockerfile"]).is_file()
    assert one["depends_on"]["redis"]["condition"] == "service_healthy"
    for port in one.get("ports", ()):
        assert port == f"127.0.0.1:{PORT}:{PORT}"


def test_compose_keeps_what_redis_has_taken_in() -> None:
    (compose,) = manifests("compose.yaml")
    redis = compose["services"]["redis"]
    words = redis["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--requirepass"].startswith("${STORE_PASSWORD:?")
    assert "ports" not in redis
    assert redis["healthcheck"]
    assert redis["volumes"] == ["redis:/data"]
    used = set(re.findall(r"\$\{([A-Z_]+)", str(compose)))
    given, shown = example()
    assert used <= {*given, *shown}


@pytest.mark.parametrize("role", ["ingress", "worker"])
def test_kubernetes_asks_the_right_probes_and_waits_for_the_drain(role: str) -> None:
    pod = pods()[role]["spec"]["template"]["spec"]
    (one,) = pod["containers"]
    assert one["args"] == ["--role", role]
    assert one["livenessProbe"]["httpGet"]["path"] == HEALTH_PATH
    assert one["startupProbe"]["httpGet"]["path"] == HEALTH_PATH
    assert one["readinessProbe"]["httpGet"]["path"] == READY_PATH
    assert all(one[probe]["timeoutSeconds"] > 2 for probe in one if probe.endswith("Probe"))
    environment = {item["name"]: item["value"] for item in one["env"]}
    assert environment == {"BOT_HTTP_HOST": "0.0.0.0", "BOT_HTTP_PORT": str(PORT)}
    assert [port["containerPort"] for port in one["ports"]] == [PORT]
    pause_s = int(one["lifecycle"]["preStop"]["exec"]["command"][1]) if "lifecycle" in one else 0
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + pause_s + 20
    assert pod["enableServiceLinks"] is False, "names such as BOT_PORT would be refused"
    assert pod["securityContext"]["runAsUser"] == 10001
    assert one["securityContext"]["readOnlyRootFilesystem"] is True
    annotations = pods()[role]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == METRICS_PATH
    assert annotations["prometheus.io/port"] == str(PORT)
    mounts = {mount["mountPath"] for mount in one["volumeMounts"]}
    assert mounts == {"/var/lib/keepthread", "/tmp"}
    assert "BOT_DATA_DIR=/var/lib/keepthread" in DOCKERFILE


def test_only_one_ingress_at_a_time_polls_telegram() -> None:
    assert pods()["ingress"]["spec"]["replicas"] == 1
    assert pods()["ingress"]["spec"]["strategy"] == {"type": "Recreate"}


def test_the_secret_holds_settings_and_no_secrets() -> None:
    (secret,) = manifests("kubernetes/secret.example.yaml")
    assert set(secret["stringData"]) <= set(known_settings())
    assert not any(secret["stringData"].values())
    for role in ("ingress", "worker"):
        (one,) = pods()[role]["spec"]["template"]["spec"]["containers"]
        assert one["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]


def test_systemd_waits_for_the_drain_and_keeps_the_data() -> None:
    text = (DEPLOY / "systemd" / "keepthread.service").read_text(encoding="utf-8")
    options = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))
    assert options["ExecStart"].endswith("/keepthread serve")
    assert seconds(options["TimeoutStopSec"]) > DRAIN_S + 20
    assert options["KillMode"] == "mixed", "SIGTERM to all would end the embedded server first"
    assert options["Environment"] == f"BOT_DATA_DIR=%S/{options['StateDirectory']}"
    assert options["Restart"] == "always"
    assert options["User"] != "root"


def test_the_image_is_made_from_the_lock_and_runs_as_nobody_in_particular() -> None:
    build, final = DOCKERFILE.split("FROM ${PYTHON_IMAGE} AS build")[1].split("\nFROM ")
    assert "--require-hashes" in build
    assert "--no-deps --no-build-isolation" in build
    assert json.loads(instruction(final, "ENTRYPOINT")) == ["keepthread", "serve"]
    assert instruction(final, "USER") == "10001:10001"
    assert instruction(final, "STOPSIGNAL") == "SIGTERM"
    assert instruction(final, "EXPOSE") == str(PORT)
    assert instruction(final, "VOLUME") in final.partition("ENV ")[2]
    assert "pip" not in final
    allowed = re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = [
        word
        for words in re.findall(r"^COPY (?!--)(.+)$", build, re.MULTILINE)
        for word in shlex.split(words)[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_keeps_nothing_that_only_builds() -> None:
    removed = re.search(r"uninstall --yes ([a-z -]+?)\s+&&", DOCKERFILE)
    assert removed
    kept = closure("keepthread", {"local", "slack", "telegram"})
    assert set(removed[1].split()) == closure("keepthread", {"build"}) - kept


def closure(name: str, extras: set[str], seen: set[str] | None = None) -> set[str]:
    """What a distribution needs, and what that needs."""
    found = set() if seen is None else seen
    for line in requires(name) or ():
        one = Requirement(line)
        environments = [{"extra": extra} for extra in (extras or {""})]
        if one.marker and not any(one.marker.evaluate(each) for each in environments):
            continue
        if one.name.lower() not in found:
            found.add(one.name.lower())
            closure(one.name, one.extras, found)
    return found


def instruction(stage: str, name: str) -> str:
    (value,) = re.findall(rf"^{name} (.+)$", stage, re.MULTILINE)
    return str(value).strip()


@pytest.mark.parametrize(("wrong", "status"), [({}, 0), ({"worker": "stuck"}, 1)])
async def test_the_images_own_health_check_sees_what_the_probe_says(
    wrong: dict[str, str], status: int
) -> None:
    async def health() -> dict[str, str]:
        return wrong

    async def metrics() -> bytes:
        return b""

    line = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert line
    _, *words = json.loads(line[1])
    async with serve(create_app([], health, health, metrics), "127.0.0.1", 0) as port:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, env={"BOT_HTTP_PORT": str(port)}
        )
        assert await process.wait() == status
