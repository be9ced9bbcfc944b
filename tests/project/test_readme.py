"""README.md tells the truth: its tables are those of the code, its files and anchors exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.main import main
from bot.cli.readme import generated_tables, replace_tables, settings_table
from bot.errors import CommandError
from bot.plugins import settings_classes
from tests.support.repository import ROOT

PARTS = ("settings", "cli", "commands")
REFRESH = "run: keepthread settings --write README.md"


def between(text: str, name: str) -> str:
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    assert text.count(start) == text.count(end) == 1, f"README.md needs <!-- {name} --> once"
    return text.partition(start)[2].partition(end)[0]


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PARTS)
def test_each_table_of_the_readme_is_the_one_the_code_makes(readme: str, name: str) -> None:
    assert between(readme, name) == generated_tables(main)[name], REFRESH


def test_every_file_the_readme_points_at_is_there(readme: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", readme):
        assert (ROOT / target).exists(), target


def test_every_command_the_readme_shows_exists(readme: str) -> None:
    runner = CliRunner()
    shown = set(re.findall(r"^\s*(?:\$ )?keepthread ([a-z]+)", readme, re.MULTILINE))
    for name in shown:
        assert runner.invoke(main, [name, "--help"]).exit_code == 0, name


def test_the_parts_name_every_setting_and_command() -> None:
    made = generated_tables(main)
    assert made["settings"] == settings_table(settings_classes())
    for words in ("`keepthread chat`", "`keepthread sessions export`", "`keepthread doctor`"):
        assert f"| {words} | " in made["cli"]
    assert "| `reset`, `clear` | Forget this conversation for good" in made["commands"]
    for part in made.values():
        assert all(len(row.split("|")) >= 4 for row in part.splitlines())
        assert not re.search(r"\|\s*\|\s*$", part, re.MULTILINE), "something is not explained"


def test_refreshing_changes_the_parts_and_nothing_else(tmp_path: Path) -> None:
    old = "".join(
        f"# {name}\n<!-- {name} -->\nstale words \\1\n<!-- /{name} -->\nmine\n" for name in PARTS
    )
    file = tmp_path / "README.md"
    file.write_text(old)
    done = CliRunner().invoke(main, ["settings", "--write", str(file)])
    assert done.exit_code == 0, done.output
    new = file.read_text()
    for name in PARTS:
        assert between(new, name) == generated_tables(main)[name]
    assert new.count("\nmine\n") == 3
    assert "stale words" not in new
    CliRunner().invoke(main, ["settings", "--write", str(file)])
    assert file.read_text() == new


def test_a_file_without_a_place_for_a_part_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("# Hello\n<!-- settings -->\n<!-- /settings -->\n")
    done = CliRunner().invoke(main, ["settings", "--write", str(file)])
    assert done.exit_code == 1
    assert "<!-- cli -->" in done.output
    assert file.read_text() == "# Hello\n<!-- settings -->\n<!-- /settings -->\n"
    with pytest.raises(CommandError):
        replace_tables("", generated_tables(main))
