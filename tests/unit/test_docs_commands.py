"""Commands that README and docs show: each exists, with these options and arguments, as the command line reads them."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from project import ROOT
from vaeforge.cli.app import app
from vaeforge.cli.option_types import _PROBLEMS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "tune_spaces" / "README.md"]
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
            command = command.commands.get(words[2])
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
