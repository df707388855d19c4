"""Page on reliability: the tests that it names exist, its rows are complete, and chaos does what it says."""

import ast
import re
from functools import cache
from pathlib import Path

from vaeforge.chaos.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]


@cache
def functions_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if name not in functions_in(ROOT / path)] == []


def test_every_fault_has_a_row_that_names_a_test_or_says_that_there_is_none() -> None:
    numbered = {int(row[0].strip("| ")): row for row in ROWS if row[0].strip("| ").isdigit()}
    assert sorted(numbered) == list(range(1, 53))
    silent = [number for number, row in numbered.items() if "::" not in row[3] and "not injected" not in row[3]]
    assert [number for number in silent if "of chaos" not in numbered[number][3]] == []


def test_every_fault_of_chaos_is_on_the_page() -> None:
    table = PAGE.split("## Chaos")[1].split("## Processes")[0]
    words = set(re.findall(r"`([a-z0-9-]+)", table)) | set(re.findall(r"-[a-z0-9]+", table))
    kinds = set(re.findall(r"[a-z]+", table))
    for fault in FAULTS:
        verb, _, what = fault.name.partition("-")
        assert fault.name in words or f"-{what}" in words or (verb == "pause" and what in kinds), fault.name
