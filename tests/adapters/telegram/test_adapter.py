"""Adapter: its settings, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapters.telegram.adapter import ADAPTER
from adapters.telegram.settings import TelegramSettings
from bot.errors import (
    SettingsError,
)
from bot.settings import Settings
from bot.settings.unknown_names import refuse_unknown_names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELEGRAM_BOT_TOKEN", "not a token"),
        ("TELEGRAM_API_URL", "api.telegram.org"),
        ("TELEGRAM_WEBHOOK_URL", "ftp://x.example"),
        ("TELEGRAM_WEBHOOK_SECRET", "with blanks"),
        ("TELEGRAM_POLL_S", "51"),
        ("TELEGRAM_STREAMING", "perhaps"),
    ],
)
def test_impossible_settings_are_named_without_their_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        TelegramSettings.load()
    assert name in raised.value.detail
    if "TOKEN" in name or "SECRET" in name:
        assert value not in raised.value.detail


def test_every_setting_is_described_and_a_misspelt_one_is_corrected() -> None:
    assert all(info.description for info in TelegramSettings.model_fields.values())
    with pytest.raises(SettingsError, match="did you mean TELEGRAM_BOT_TOKEN"):
        refuse_unknown_names([Settings, TelegramSettings], {"TELEGRAM_BOT_TOKN": "x"})


def test_the_adapter_is_found_and_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys; from bot.plugins import adapters; adapters()['telegram'];"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'telegram', 'pyromark'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_adapter_is_off_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ADAPTER.is_configured(TelegramSettings.load())
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "7000:x")
    assert ADAPTER.is_configured(TelegramSettings.load())
