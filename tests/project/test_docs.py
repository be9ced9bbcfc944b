"""Documentation: the paths and links of its pages exist, and the architecture page names every package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT

ARCHITECTURE = ROOT / "docs" / "architecture.md"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PAGES = (*sorted((ROOT / "docs").glob("*.md")), CONTRIBUTING)
FOLDERS = ("adapters", "bot", "deploy", "docs", "tests")


def each_page(function: object) -> object:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(function)


def paths_of(page: Path) -> set[str]:
    """Paths of the repository that a page names in backticks; `…/` stands for any adapter."""
    quoted = re.findall(r"`([\w./…-]+/[\w./-]*)`", page.read_text(encoding="utf-8"))
    return {path for path in quoted if path.split("/")[0] in (*FOLDERS, "…")}


@each_page
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    for path in paths_of(page):
        assert list(ROOT.glob(path.replace("…", "adapters/*"))), path


@each_page
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for target in re.findall(
        r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")
    ):
        assert (page.parent / target).exists(), target


def test_the_architecture_page_names_every_package_and_module_of_the_core() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    packages = [path.parent.name for path in (ROOT / "bot").glob("*/__init__.py")]
    modules = [path.stem for path in (ROOT / "bot").glob("*.py") if path.stem != "__init__"]
    assert len(packages) > 10
    assert not [name for name in packages if f"`bot/{name}/`" not in text]
    (listed,) = re.findall(r"^Single modules of `bot/`: (.+)\.$", text, re.MULTILINE)
    assert listed.split(", ") == sorted(modules)


def test_the_architecture_page_names_every_adapter() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    adapters = [path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py")]
    assert not [name for name in adapters if f"`adapters/{name}/`" not in text]


def test_the_architecture_page_is_one_page() -> None:
    assert len(ARCHITECTURE.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", [ROOT / "README.md", CONTRIBUTING], ids=lambda page: page.name)
def test_the_architecture_page_is_linked(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert ARCHITECTURE in [(page.parent / link).resolve() for link in links]
