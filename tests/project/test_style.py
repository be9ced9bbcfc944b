"""House rules of style: sizes of folders, files and functions, names, log events, names of tests."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT, sources

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_ENTRIES = 14
MAX_SHARED_MODULES = 11
ONE_FILE_A_COMMAND = {"bot/commands"}
"""Folders that grow by one file with each command."""

Function = ast.FunctionDef | ast.AsyncFunctionDef

VAGUE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    amending believe believed courier courtesy deaf desk ear ears errand errands few happened hear
    heard hearing hears impatient intake least meaning meant most mouth paper patience patient
    preparing pressed presses pulse reacted said say says seeding silence silent slashed spot
    standing taken tell tells together told verdict verdicts whisper wire
    """,
    )
)
"""Words that no name has: former terms of this project, which no documentation of the field has."""

VAGUE_NAMES = frozenset({"Found", "Growing", "Mark", "Piece", "one", "sign", "words", "words_of"})
VAGUE_MODULES = frozenset({"fields", "marks", "notes", "people", "words"})

VAGUE_LOG_WORDS = re.compile(
    r"\b(deaf|hear[ds]?|hearing|believed?|silent|silence|told|tell|says?|said|whisper\w*|mouth|ears?"
    r"|nobody|somebody|somewhere|nothing|words?)\b|[?!…]",
    re.IGNORECASE,
)
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(*folders: str) -> Iterator[tuple[Path, Function]]:
    for path in sources(*folders):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, Function):
                yield path, node


def words_in(identifier: str) -> set[str]:
    """Words of an identifier, in lower case: `is_HTTPUrl` has `is`, `http` and `url`."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {word.lower() for word in found}


def defined_names(path: Path) -> Iterator[str]:
    """Names of a module's classes, fields, functions, parameters and loop variables."""
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case (
                ast.AnnAssign(target=ast.Name(id=name))
                | ast.comprehension(target=ast.Name(id=name))
            ):
                yield name
            case ast.For(target=ast.Name(id=name)) | ast.AsyncFor(target=ast.Name(id=name)):
                yield name


def log_calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method)) if (
                method in LOG_METHODS
            ):
                yield node


def log_events(call: ast.Call) -> Iterator[str]:
    """The event of a log call, or each of those between which it chooses."""
    for part in ast.walk(call.args[0]):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def entries_of_folders() -> Counter[str]:
    """Number of files and folders in each folder of the packages, `__init__.py` not counted."""
    children: dict[str, set[str]] = {}
    for path in sources("bot", "adapters", suffix=""):
        parts = path.relative_to(ROOT).parts
        for depth in range(1, len(parts)):
            children.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    return Counter({folder: len(names - {"__init__.py"}) for folder, names in children.items()})


@pytest.mark.parametrize("package", ["bot", "adapters"])
def test_a_file_is_short_enough_to_be_read_at_once(package: str) -> None:
    sizes = {name_of(path): path.read_text().count("\n") for path in sources(package)}
    assert sizes
    assert not {name: lines for name, lines in sizes.items() if lines > MAX_FILE_LINES}


def test_a_function_fits_on_a_screen() -> None:
    sizes = {
        f"{name_of(path)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, node in functions("bot", "adapters")
    }
    assert len(sizes) > 1_000
    assert not {name: lines for name, lines in sizes.items() if lines > MAX_FUNCTION_LINES}


def test_a_folder_has_few_entries() -> None:
    entries = entries_of_folders()
    packages = {path.parent.name for path in (ROOT / "bot").glob("*/__init__.py")}
    shared_modules = entries.pop("bot") - len(packages)
    assert shared_modules <= MAX_SHARED_MODULES
    assert not {
        folder: count
        for folder, count in entries.items()
        if count > MAX_ENTRIES and folder not in ONE_FILE_A_COMMAND
    }


@pytest.mark.parametrize("package", ["bot", "adapters"])
def test_a_name_is_a_term_of_the_field(package: str) -> None:
    vague = {
        f"{name_of(path)}: {name}"
        for path in sources(package)
        for name in defined_names(path)
        if name in VAGUE_NAMES or words_in(name) & VAGUE_WORDS
    }
    assert not sorted(vague)


def test_a_module_has_the_name_of_its_subject() -> None:
    assert not [
        name_of(path)
        for path in sources("bot", "adapters")
        if path.stem in VAGUE_MODULES or words_in(path.stem) & VAGUE_WORDS
    ]


def test_a_log_event_names_its_subject() -> None:
    events = [
        (f"{name_of(path)}:{call.lineno}", event)
        for path in sources("bot", "adapters")
        for call in log_calls(path)
        for event in log_events(call)
    ]
    assert len(events) > 80
    assert not [
        (place, event)
        for place, event in events
        if VAGUE_LOG_WORDS.search(event) or event.endswith(".")
    ]


def test_a_log_field_is_a_term_of_the_field() -> None:
    assert not [
        (f"{name_of(path)}:{call.lineno}", keyword.arg)
        for path in sources("bot", "adapters")
        for call in log_calls(path)
        for keyword in call.keywords
        if words_in(keyword.arg or "") & VAGUE_WORDS
    ]


def test_a_module_says_what_it_is_for() -> None:
    undocumented = [
        name_of(path)
        for path in sources("bot", "adapters", "tests")
        if path.read_text().strip() and not ast.get_docstring(tree_of(path))
    ]
    assert not undocumented


def test_a_test_is_named_by_a_sentence_that_begins_with_its_subject() -> None:
    names = {
        f"{name_of(path)}: {node.name}": node.name.split("_")[1:]
        for path, node in functions("tests")
        if node.name.startswith("test_")
    }
    assert len(names) > 1_000
    assert not [name for name, words in names.items() if len(words) < 3]
    assert not [name for name, words in names.items() if words[0] in ("what", "who", "that")]


@pytest.mark.parametrize("package", ["bot", "adapters"])
def test_a_folder_of_tests_mirrors_a_package(package: str) -> None:
    tested = {path.parent.relative_to(ROOT / "tests") for path in sources("tests")}
    mirrored = {folder for folder in tested if folder.parts[:1] == (package,)}
    assert len(mirrored) > 3
    assert not [str(folder) for folder in mirrored if not (ROOT / folder).is_dir()]


def test_a_fixture_is_found_in_a_conftest_and_not_re_exported() -> None:
    assert not [
        name_of(path)
        for path in sources("tests")
        if re.search(r"^__all__\b", path.read_text(), re.M)
    ]
