"""Commands that README and docs show: each exists, with these options and arguments, as the command line reads them.

And each block of code on a page is run by a test, or says in the page's source why it is not (`tests/page_blocks.py`).
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from page_blocks import NO_CODE, PAGE_RUNNER, PAGES, PYTHON, SHELL, every_block
from project import ROOT
from vaeforge.cli.app import app
from vaeforge.cli.option_types import _PROBLEMS

BLOCK = re.compile(r"^```(?:sh|bash|shell|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(vaeforge [^`]+)`")
ENDS = {"&&", "||", ";", "|", ">", ">>", "2>", "&"}
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


@cache
def group() -> Any:
    return typer.main.get_command(app)


def lines(text: str) -> Iterator[str]:
    """The lines of the shell blocks of a page, continued ones joined."""
    for block in BLOCK.findall(text):
        yield from block.replace("\\\n", " ").splitlines()


def calls(text: str) -> Iterator[list[str]]:
    """The words of each command in the shell blocks of a page; settings of the environment before it are left out."""
    for line in lines(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # no shell
        call: list[str] = []
        for word in [*words, ";"]:
            last = word.endswith(";")
            if word not in ENDS:
                call.append(word.removesuffix(";"))
            if word in ENDS or last:
                while call and re.fullmatch(r"[A-Z_]+=.*", call[0]):
                    call.pop(0)
                if call:
                    yield call
                call = []


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` call, and what follows it.

    Raises:
        KeyError: if there is none.
    """
    command, rest = group(), words[1:]
    while rest and hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_block_is_one_that_the_command_line_takes(page: Path) -> None:
    wrong = []
    for words in calls(page.read_text(encoding="utf-8")):
        if words[0] == "sbatch":  # what follows the script goes to `tune`
            words = ["vaeforge", "tune", *words[1 + next(n for n, word in enumerate(words) if ".sbatch" in word) :]]
        # words in capitals and in brackets stand for something
        if words[0] == "vaeforge" and re.fullmatch("[a-z][a-z-]*", " ".join(words[1:2])) and "[" not in "".join(words):
            try:
                command, rest = found(words)
                context = command.make_context(words[1], list(rest))
                wrong += [f"{shlex.join(words)}: {problem}" for problem in context.meta.get(_PROBLEMS, [])]
            except KeyError as error:
                wrong.append(f"{shlex.join(words)}: no command {error}")
            except Exception as error:
                wrong.append(f"{shlex.join(words)}: {error}")
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    wrong = []
    for text in INLINE.findall(page.read_text(encoding="utf-8")):
        words = re.split(r"[\s]+", text.strip())
        if not re.fullmatch(r"[a-z][a-z-]*", words[1]):
            continue  # an option of vaeforge itself, or a word that stands for a command
        command = group().commands.get(words[1])
        if command is not None and hasattr(command, "commands") and len(words) > 2:
            several = [command.commands.get(name) for name in words[2].split("|")]
            command = several[0] if all(several) else None
        known = {name for param in command.params for name in param.opts} | {"--help"} if command else set()
        wrong += [text] if command is None else []
        wrong += [text for word in words if word.startswith("--") and word.partition("=")[0] not in known] * bool(known)
    assert not wrong


def test_every_target_of_make_and_every_entry_point_of_mlflow_is_there() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    points = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    seen, wrong = 0, []
    for page in PAGES:
        for words in calls(page.read_text(encoding="utf-8")):
            if words[0] == "make" and len(words) > 1 and "=" not in words[1]:
                seen += 1
                wrong += [f"{page.name}: {shlex.join(words)}"] if words[1] not in targets else []
            if words[:2] == ["mlflow", "run"] and "-e" in words:
                seen += 1
                point = words[words.index("-e") + 1]
                given = [words[place + 1].partition("=")[0] for place, word in enumerate(words) if word == "-P"]
                lacking = [name for name in given if name not in points.get(point, {}).get("parameters", {})]
                wrong += [f"{page.name}: {shlex.join(words)}"] if point not in points or lacking else []
    assert seen >= 3 and not wrong


def test_every_command_of_dvc_is_one_that_dvc_takes() -> None:
    from dvc.cli.parser import DvcParserError, get_main_parser

    parser, seen, wrong = get_main_parser(), 0, []
    for page in PAGES:
        for words in calls(page.read_text(encoding="utf-8")):
            if words[0] == "dvc":
                seen += 1
                try:
                    parser.parse_args(words[1:])
                except DvcParserError:
                    wrong.append(f"{page.name}: {shlex.join(words)}")
    assert seen > 10 and not wrong


def test_every_block_is_run_by_a_test_or_says_why_not() -> None:
    unknown, idle = [], []
    for block in every_block():
        place = f"{block.page}:{block.line}"
        if block.language not in (*SHELL, *PYTHON, *NO_CODE):
            unknown.append(f"{place}: {block.language}")
        elif block.language not in NO_CODE and block.reason is None and block.runner is None:
            idle.append(f"{place}: no test runs it (tests/page_blocks.py)")
        elif block.runner is not None and not (ROOT / block.runner).is_file():
            idle.append(f"{place}: {block.runner} is not there")
    assert not unknown and not idle


def test_every_page_with_commands_is_one_that_the_walk_knows() -> None:
    """Of pages without a test of their own, and of reasons that have lost their block."""
    walked = (ROOT / PAGE_RUNNER).read_text(encoding="utf-8")
    mine = {block.page for block in every_block() if block.runner == PAGE_RUNNER and block.reason is None}
    lost = [page for page in sorted(mine) if f'"{page.removeprefix("docs/")}"' not in walked]
    marks = sum(len(re.findall("^<!-- not run:", page.read_text(encoding="utf-8"), re.MULTILINE)) for page in PAGES)
    assert not lost and marks == sum(block.reason is not None for block in every_block())
