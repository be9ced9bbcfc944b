"""Dependencies stay out of published advisories: their floors in pyproject.toml, and what the locks pin."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.repository import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
"""What users and developers install; the bench's lock holds other people's programs, which are only measured."""


@dataclass(frozen=True, slots=True)
class Advisory:
    id: str
    package: str
    affected: SpecifierSet
    about: str

    def names(self, package: str, version: Version) -> bool:
        """Whether this version of the package is affected."""
        return self.package == package and self.affected.contains(version, prereleases=True)


def read_advisories() -> list[Advisory]:
    text = (Path(__file__).with_name("advisories.yaml")).read_text(encoding="utf-8")
    return [
        Advisory(item["id"], item["package"], SpecifierSet(item["affected"]), item["about"])
        for item in yaml.safe_load(text)
    ]


ADVISORIES = read_advisories()


def floors() -> Iterator[tuple[str, Version]]:
    """The lowest version that each requirement of users admits; 0 where it names none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for extra, lines in {"": project["dependencies"], **extras}.items():
        for line in lines if extra != "bench" else ():
            requirement = Requirement(line)
            lowest = [
                Version(part.version)
                for part in requirement.specifier
                if part.operator in (">=", "==", "~=")
            ]
            yield canonicalize_name(requirement.name), max(lowest, default=Version("0"))


def pins(lock: str) -> Iterator[tuple[str, Version]]:
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.M):
        yield canonicalize_name(name), Version(version)


def affected(versions: Iterator[tuple[str, Version]]) -> list[str]:
    return [
        f"{package} {version}: {advisory.id}, {advisory.about}, {advisory.affected}"
        for package, version in versions
        for advisory in ADVISORIES
        if advisory.names(package, version)
    ]


def test_the_floor_of_a_dependency_is_above_its_advisories() -> None:
    """L13: whoever installs with the oldest admitted versions gets none with a published advisory."""
    assert not affected(floors())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_locked_version_has_no_advisory(lock: str) -> None:
    """L13: nor does what the locks install, transitive dependencies included."""
    assert not affected(pins(lock))


def test_advisories_name_packages_that_are_installed() -> None:
    """L13: each entry can catch something; a misspelt package never would."""
    locked = {package for lock in LOCKS for package, _ in pins(lock)}
    assert {advisory.package for advisory in ADVISORIES} <= locked


@pytest.mark.parametrize(
    ("package", "version", "count"),
    [("pypdf", "5.0", 10), ("starlette", "0.45", 5), ("cryptography", "49.0", 1), ("pypdf", "7.1", 0)],
)  # fmt: skip
def test_an_affected_version_is_recognized(package: str, version: str, count: int) -> None:
    """L13: the search would have caught the floors that were too low."""
    assert len(affected(iter([(package, Version(version))]))) == count
