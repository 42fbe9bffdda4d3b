"""What README and documentation name is there: links, files, commands, options, and the results that commands read."""

from __future__ import annotations

import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from accelsim.cli.main import app

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "experiments", "traces", "benchmarks", "rtl", "tests")
FILES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"^(?:    |\$ )?((?:python|accelsim|torchrun) .*)$")
TOP = {path.name for path in ROOT.iterdir()}
PLACEHOLDER = re.compile(r"[A-Z]{2,}|[<>…*{]|:")  # NAME, <name>, a wildcard, tcp://…: not a file of ours
PYTHON_OR_VERILOG = (".py", ".sv")


def outside_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def commands_of(text: str) -> list[list[str]]:
    """The words of the commands that stand in blocks of code, without comments; `torchrun … -m accelsim` is one."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [shlex.split(match[1], comments=True) for line in lines if (match := COMMAND.match(line))]
    found = [words[words.index("-m") + 1 :] if words[0] == "torchrun" else words for words in found]
    return [words for words in found if len(words) > 1 and (words[0] == "python" or words[1] in subcommands())]


@cache
def subcommands() -> dict[str, Any]:
    return dict(get_command(app).commands)  # type: ignore[attr-defined]


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", outside_blocks(path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_pages() -> None:
    assert {"README.md", "docs/plots.md", "experiments/pareto/README.md"} <= set(map(identify, FILES))
    assert sum(len(commands_of(path.read_text(encoding="utf-8"))) for path in FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(outside_blocks(path.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_files_that_are_named_exist(path: Path) -> None:
    for name in CODE.findall(outside_blocks(path.read_text(encoding="utf-8"))):
        if re.search(r"\s", name) or PLACEHOLDER.search(name):
            continue
        folder = name.split("/")[0] in TOP and (Path(name).suffix or name.endswith("/"))
        if folder and "/" in name:
            assert (ROOT / name).exists(), name
        elif name.endswith(PYTHON_OR_VERILOG):
            places = ROOT / "accelsim", ROOT / "tests", ROOT / "rtl", ROOT / "benchmarks", path.parent
            assert any(list(place.rglob(name)) for place in places), name


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_commands_and_their_options_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    inline = [code.translate(str.maketrans("[]", "  ")).split() for code in CODE.findall(outside_blocks(text))]
    for words in commands_of(text) + [words for words in inline if words[:1] == ["accelsim"] and len(words) > 1]:
        if words[0] != "accelsim" or words[1] == "--help":
            continue
        assert words[1] in subcommands(), words
        command = subcommands()[words[1]]
        if words[1] == "validate":
            command = command.commands[words[2]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
            "--help"
        }
        # A script that `profile` runs has options of its own.
        given = words[: words.index("train.py")] if "train.py" in words else words
        assert {word.partition("=")[0] for word in given if word.startswith("-")} <= known, words


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_commands_read_what_is_there_or_was_made_before(path: Path) -> None:
    made = ["scalesim-venv/", "zigzag-venv/"]  # of `python -m venv`
    for words in commands_of(path.read_text(encoding="utf-8")):
        for before, word in pairwise(words):
            if before in ("--out", "--record", "--keep"):
                made.append(word.removesuffix(".pkl"))
            elif "/" in word and not PLACEHOLDER.search(word):
                exists = (ROOT / word).exists() or word.startswith(tuple(made))
                assert exists, f"{word} in {shlex.join(words)}"
