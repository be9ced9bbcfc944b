"""Checks of the local model for `keepthread doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot.errors import LocalModelError
from bot.model.local import doctor
from bot.model.local.runtime import LocalRuntime
from bot.settings import Settings


async def test_a_missing_runtime_is_an_error_with_both_cures(
    local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(LocalModelError, match="not installed") as caught:
        await LocalRuntime.start(local)
    assert "pip install 'keepthread[local]'" in caught.value.cure
    assert "OPENAI_API_KEY" in caught.value.cure
    (runtime, file, _) = await doctor.check(local)
    assert (runtime.state, file.state) == ("failed", "ok")


async def test_doctor_reports_a_missing_model_and_fetches_nothing(
    tmp_path: Path,
) -> None:
    settings = Settings.load(bot_data_dir=tmp_path / "data")
    runtime, file, memory = await doctor.check(settings)
    assert runtime.state == "ok"
    assert (file.state, file.detail) == ("warning", "not fetched yet (1,117 MB)")
    assert "keepthread model fetch" in file.cure
    assert memory.state in ("ok", "warning", "off")
    assert not (tmp_path / "data").exists()
