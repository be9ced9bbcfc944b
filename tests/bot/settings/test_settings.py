"""Settings: read once, frozen, with every mistake named and no secret shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from bot.cli.readme import settings_table
from bot.errors import SettingsError
from bot.plugins import load_settings, settings_classes
from bot.settings import Settings, SettingsBase
from bot.settings.unknown_names import refuse_unknown_names
from bot.wiring import open_components

SECRET = "do-not-show-me"


class OtherSettings(SettingsBase):
    """As platforms have them."""

    own_prefixes = ("SLACK_", "TELEGRAM_")

    slack_bot_token: SecretStr | None = Field(None, description="A token.")
    telegram_mode: str = Field("polling", description="How messages come in.")


SetEnv = Callable[[str, str], None]


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    return monkeypatch.setenv


def test_the_defaults_hold_without_any_setting() -> None:
    settings = Settings.load()
    assert settings.bot_history_tokens == 16_000
    assert settings.bot_allow == ()
    assert settings.redis_url is None
    assert settings.uses_local_model
    assert settings.bot_data_dir.is_absolute()


def test_the_environment_goes_before_the_env_file(tmp_path: Path, setenv: SetEnv) -> None:
    (tmp_path / ".env").write_text(
        "# ours\nBOT_MODEL=from-file\nexport BOT_LEASE_S=7\nOPENAI_API_KEY='k'\n"
    )
    setenv("BOT_MODEL", "from-environment")
    settings = Settings.load()
    assert settings.bot_model == "from-environment"
    assert settings.bot_lease_s == 7
    assert not settings.uses_local_model


def test_names_are_read_in_any_case(setenv: SetEnv) -> None:
    setenv("bot_model", "small")
    assert Settings.load().bot_model == "small"
    refuse_unknown_names([Settings])


def test_settings_cannot_be_changed() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.bot_model = "other"


SECRETS = {
    "OPENAI_API_KEY": SECRET,
    "BOT_FALLBACK_API_KEY": SECRET,
    "BOT_ENCRYPTION_KEY": SECRET,
    "LANGSMITH_API_KEY": SECRET,
    "REDIS_URL": f"redis://user:{SECRET}@host/0",
}


def test_secrets_are_hidden_wherever_settings_are_shown(setenv: SetEnv) -> None:
    setenv("BOT_FALLBACK_MODEL", "other")
    for name, value in SECRETS.items():
        setenv(name, value)
    settings = Settings.load()
    for shown in (repr(settings), str(settings), f"{settings}", settings.model_dump_json()):
        assert SECRET not in shown
    assert settings.redis_url is not None
    assert SECRET in settings.redis_url.get_secret_value()


def test_every_setting_that_holds_a_key_or_token_is_a_secret() -> None:
    for cls in (Settings, OtherSettings):
        for name, info in cls.model_fields.items():
            if name.endswith(("_key", "_token", "_secret", "redis_url")):
                assert "SecretStr" in str(info.annotation), name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("BOT_MODLE", "BOT_MODEL"),
        ("BOT_ALLOWED", "BOT_ALLOW"),
        ("BOT_HISTORY_TOKEN", "BOT_HISTORY_TOKENS"),
        ("SLACK_BOT_TOKN", "SLACK_BOT_TOKEN"),
        ("TELEGRAM_MODUS", "TELEGRAM_MODE"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest_right_one(
    setenv: SetEnv, wrong: str, right: str
) -> None:
    setenv(wrong, SECRET)
    with pytest.raises(SettingsError) as caught:
        refuse_unknown_names([Settings, OtherSettings])
    assert str(caught.value) == f"{wrong} is no setting; did you mean {right}?"
    assert caught.value.cure


def test_misspelt_names_in_the_env_file_are_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOT_MODLE=x\n")
    with pytest.raises(SettingsError, match="did you mean BOT_MODEL"):
        refuse_unknown_names([Settings])


def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"BOT_MODEL=gr\xfcn\n")
    with pytest.raises(SettingsError, match=r"\.env is no UTF-8 text") as caught:
        refuse_unknown_names([Settings])
    assert "UTF-8" in caught.value.cure


def test_all_misspelt_names_are_listed_at_once_and_foreign_names_ignored(setenv: SetEnv) -> None:
    for name in ("BOT_MODLE", "SLACK_ZZZZZZZZ", "ROBOT_MODEL", "OPENAI_ORG", "LANGSMITH_X"):
        setenv(name, "x")
    with pytest.raises(SettingsError) as caught:
        refuse_unknown_names([Settings, OtherSettings])
    lines = str(caught.value).splitlines()
    assert lines == [
        "BOT_MODLE is no setting; did you mean BOT_MODEL?",
        "SLACK_ZZZZZZZZ is no setting.",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOT_HISTORY_TOKENS", "many"),
        ("BOT_HISTORY_TOKENS", "10"),
        ("BOT_HISTORY_LOW_WATER", "0.95"),
        ("BOT_HTTP_PORT", "70000"),
        ("BOT_LOG_LEVEL", "loud"),
        ("BOT_REDIS_PREFIX", "a{b}"),
        ("BOT_REDIS_PREFIX", "a:b"),
        ("BOT_REDIS_PREFIX", "x" * 65),
        ("BOT_TEMPERATURE", "3"),
        ("BOT_MODEL_TIMEOUT_S", "0"),
        ("BOT_SUMMARIZE", "perhaps"),
        ("LANGSMITH_TRACING", "perhaps"),
        ("BOT_ALLOW", "U1"),
        ("BOT_ALLOW", "slack:"),
        ("BOT_ALLOW", "slack:T1/U1/x"),
        ("BOT_ALLOW", "slack:T1 U2"),
        ("BOT_ALLOW", "slack:T1/*"),
        ("BOT_ADMINS", "slack T1"),
        ("BOT_ADMINS", "telegram:*"),
        ("BOT_LEASE_S", "inf"),
        ("BOT_HISTORY_TTL_DAYS", "1e9"),
        ("OPENAI_BASE_URL", "localhost:8000/v1"),
        ("OPENAI_BASE_URL", "http://"),
        ("OPENAI_BASE_URL", "http://[::1/v1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:99999/v1"),
        ("BOT_FALLBACK_BASE_URL", "api.example.org/v1"),
        ("LANGSMITH_ENDPOINT", "smith"),
    ],
)
def test_an_impossible_value_is_named(setenv: SetEnv, name: str, value: str) -> None:
    setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{name}: ")
    assert len(line) > len(name) + 10


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"BOT_WAIT_FOR_REPLICAS": "1"}, ["BOT_WAIT_FOR_REPLICAS"]),
        ({"BOT_FALLBACK_MODEL": "other"}, ["BOT_FALLBACK_MODEL"]),
        (
            {"BOT_FALLBACK_BASE_URL": "http://a/v1", "BOT_FALLBACK_API_KEY": "k"},
            ["BOT_FALLBACK_BASE_URL", "BOT_FALLBACK_API_KEY"],
        ),
    ],
)
def test_an_impossible_combination_is_refused(
    setenv: SetEnv, given: dict[str, str], named: list[str]
) -> None:
    for name, value in given.items():
        setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert [line.partition(" ")[0] for line in str(caught.value).splitlines()] == named


@pytest.mark.parametrize("name", ["BOT_ALLOW", "BOT_ADMINS"])
def test_a_pattern_of_an_unknown_platform_is_refused(setenv: SetEnv, name: str) -> None:
    setenv(name, "telegram:42 slakc:T1/U1")
    with pytest.raises(SettingsError, match="'slakc:T1/U1' is of no platform") as caught:
        load_settings()
    assert "slack:" in caught.value.cure


async def test_a_system_prompt_that_leaves_no_room_is_refused(settings: Settings) -> None:
    long = settings.model_copy(update={"bot_system_prompt": "word " * 16_000})
    with pytest.raises(SettingsError, match="BOT_SYSTEM_PROMPT leaves 0 of"):
        async with open_components(long):
            pass


def test_several_mistakes_are_listed_at_once_without_secrets(setenv: SetEnv) -> None:
    for name, value in SECRETS.items():
        setenv(name, value)
    setenv("BOT_HTTP_PORT", SECRET)
    setenv("BOT_LEASE_S", "never")
    setenv("BOT_ALLOW", "nonsense")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    text = str(caught.value)
    named = {line.partition(":")[0] for line in text.splitlines()}
    assert named == {"BOT_ALLOW", "BOT_HTTP_PORT", "BOT_LEASE_S"}
    assert SECRET not in text + caught.value.cure + repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("empty", ["", " ", ",", " , \n"])
@pytest.mark.parametrize("cls", settings_classes())
def test_an_empty_list_of_any_platform_has_no_items(
    setenv: SetEnv, cls: type[SettingsBase], empty: str
) -> None:
    lists = [name for name, info in cls.model_fields.items() if info.annotation == tuple[str, ...]]
    for name in lists:
        setenv(name.upper(), empty)
    settings = cls.load()
    assert [getattr(settings, name) for name in lists] == [()] * len(lists)


def test_an_empty_value_counts_as_not_set(setenv: SetEnv) -> None:
    for name in ("REDIS_URL", "OPENAI_API_KEY", "BOT_MODEL", "BOT_HTTP_PORT", "BOT_TEMPERATURE"):
        setenv(name, "")
    settings = Settings.load()
    assert settings.redis_url is None
    assert settings.uses_local_model
    assert settings.bot_model == "gpt-5-mini"
    assert settings.bot_http_port == 8080


def test_lists_are_written_with_commas_or_blanks(setenv: SetEnv) -> None:
    setenv("BOT_ALLOW", "slack:T1/U1, slack:T1/C1 telegram:-100123,telegram:*,")
    assert Settings.load().bot_allow == (
        "slack:T1/U1", "slack:T1/C1", "telegram:-100123", "telegram:*",
    )  # fmt: skip


def test_the_old_names_of_langsmith_work_and_the_new_ones_go_first(setenv: SetEnv) -> None:
    setenv("LANGCHAIN_TRACING_V2", "true")
    setenv("LANGCHAIN_API_KEY", "old")
    setenv("LANGCHAIN_ENDPOINT", "https://old.example")
    setenv("LANGCHAIN_PROJECT", "old")
    settings = Settings.load()
    assert settings.langsmith_tracing
    assert settings.langsmith_api_key == SecretStr("old")
    assert settings.langsmith_endpoint == "https://old.example"
    assert settings.langsmith_project == "old"
    setenv("LANGSMITH_PROJECT", "new")
    setenv("LANGSMITH_TRACING", "false")
    settings = Settings.load()
    assert settings.langsmith_project == "new"
    assert not settings.langsmith_tracing


def test_paths_are_expanded_and_made_absolute(setenv: SetEnv, tmp_path: Path) -> None:
    setenv("HOME", str(tmp_path))
    setenv("BOT_DATA_DIR", "~/keep")
    setenv("BOT_LOCAL_MODEL", "model.gguf")
    settings = Settings.load()
    assert settings.bot_data_dir == tmp_path / "keep"
    assert settings.bot_local_model == Path.cwd() / "model.gguf"


def test_the_table_names_each_setting_once_with_its_default_and_meaning() -> None:
    rows = settings_table([Settings, OtherSettings]).splitlines()[2:]
    names = [row.split("`")[1] for row in rows]
    fields = [*Settings.model_fields, *OtherSettings.model_fields]
    assert names == [name.upper() for name in fields]
    for row in rows:
        assert row.count("|") == 4, row
        assert len(row.split("|")[3].strip()) > 5, row
    assert str(Path.home()) not in settings_table([Settings])
    assert "| `BOT_SUMMARIZE` | `true` |" in settings_table([Settings])
