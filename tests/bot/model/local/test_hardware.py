"""Hardware requirements of the local model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot.errors import LocalModelError
from bot.model.local import hardware


def cpu(tmp_path: Path, flags: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu sse2 {flags}\n\nprocessor\t: 1\n")
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_a_processor_without_avx2_is_refused_before_it_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    with pytest.raises(LocalModelError, match="no AVX2") as caught:
        hardware.check_hardware(cpu(tmp_path, "avx fma f16c"))
    assert "OPENAI_API_KEY" in caught.value.cure
    assert "OPENAI_BASE_URL" in caught.value.cure
    hardware.check_hardware(cpu(tmp_path, "avx avx2 fma f16c"))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "aarch64")
    hardware.check_hardware(cpu(tmp_path, ""))
