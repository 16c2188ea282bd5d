"""The pages are held to the program: commands, settings and tables, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console import command
from headend import files
from mdm.export import formats
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {" ".join(path) for path in command.paths()}
# What stands in a table, and what is typed: code spans and blocks that begin with the command.
_NAMED = re.compile(r"(?:`|^|bin/)miqyas((?: [a-z-]+)+)", re.MULTILINE)


def named(text: str) -> set[str]:
    """Give the commands that a page names, by as many words as commands have."""
    found = set()
    for match in _NAMED.finditer(text):
        words = [word for word in match[1].split() if not word.startswith("-")]
        if words:
            starts = (" ".join(words[:n]) for n in range(len(words), 0, -1))
            found.add(next((start for start in starts if start in COMMANDS), " ".join(words[:2])))
    return found


def test_every_command_stands_in_operations_with_an_example() -> None:
    rows = dict(
        re.findall(
            r"^\| `miqyas ([a-z -]+)` \| .* \| `miqyas ([^`]+)` \|$", OPERATIONS, re.MULTILINE
        )
    )
    assert set(rows) == COMMANDS
    for name, example in rows.items():
        assert example.startswith(name), f"the example of {name} is of another command: {example}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    groups = {" ".join(name.split()[:n]) for name in COMMANDS for n in range(1, len(name.split()))}
    unknown = named(page.read_text("utf-8")) - COMMANDS - groups
    assert not unknown


def test_a_page_with_a_wrong_command_would_be_found() -> None:
    assert named("run `miqyas bill runn monthly`, then `miqyas meter M1`") == {"bill runn", "meter"}
    assert named("```sh\n.venv/bin/miqyas vee run\n```\nmiqyas nosuch x\n") == {
        "vee run",
        "nosuch x",
    }


def test_every_setting_stands_in_operations_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(MIQYAS_[A-Z_]+)` \| (.+?) \|", OPERATIONS, re.MULTILINE))
    defaults = {
        f"MIQYAS_{name.upper()}": "none" if field.default is None else f"`{field.default}`"
        for name, field in Settings.model_fields.items()
    }
    assert rows == defaults


def test_every_setting_that_the_pages_name_exists() -> None:
    known = {f"MIQYAS_{name.upper()}" for name in Settings.model_fields}
    for page in PAGES:
        assert set(re.findall(r"MIQYAS_[A-Z_]+", page.read_text("utf-8"))) <= known, page.name


def test_every_table_of_facts_is_referred_to() -> None:
    tables = {f"schemas/{file.name}" for file in (ROOT / "schemas").glob("*.csv")}
    assert tables
    assert set(re.findall(r"`(schemas/\w+\.csv)`", OPERATIONS)) == tables


def test_every_file_format_is_described() -> None:
    text = (ROOT / "docs/formats.md").read_text("utf-8")
    assert set(re.findall(r"^## `(\w+)`", text, re.MULTILINE)) == set(files.FORMATS)
    billing = (ROOT / "docs/billing.md").read_text("utf-8")
    assert all(f"**`{name}`**" in billing for name in formats.FORMATS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z]+)`", page.read_text("utf-8"))) <= targets, page.name
